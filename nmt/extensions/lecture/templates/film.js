(() => {
  const { element, number, percent, fillSelect, pieces, unpack, fillMatrix, chart } = parts;
  const data = JSON.parse(document.getElementById("data").textContent), { frames, score, loss } = data;
  const $ = (id) => document.getElementById(id), last = frames.length - 1;
  const state = { frame: last, sentence: 0, timer: null };
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
  const steps = frames.map(({ step }) => step), count = (value) => value.toLocaleString("en");
  const logP = ({ p }) => p.reduce((sum, value) => sum + Math.log(Math.max(value, 5e-5)), 0);
  const valueAt = ({ xs, ys }, step) => ys[xs.indexOf(step)];

  function describe({ step, epoch }) {
    const found = [`update ${count(step)} of ${count(data.updates)}`, `epoch ${epoch}`];
    if (score && valueAt(score, step) !== undefined) found.push(`validation ${score.name} ${number(valueAt(score, step), score.decimals)}`);
    if (valueAt(loss, step) !== undefined) found.push(`loss ${number(valueAt(loss, step))}`);
    return found.join(", ");
  }

  function text(place, whole, tokens, p, other) {
    const drawn = pieces(tokens, p, other), facts = element("span", `log p ${number(logP({ p }), 1)}`, "note");
    place.replaceChildren(element("span", whole || "(nothing)", "whole"), drawn, facts);
  }

  function drawCharts() {
    const now = frames[state.frame], at = now.step;
    const curve = (id, { xs, ys }, name, low) => {
      $(id).setAttribute("aria-label", `${name} over updates; now ${describe(now)}`);
      return chart($(id), [{ xs, ys, kind: "now" }], { xLabel: "updates", low, at });
    };
    const places = { loss: curve("loss", loss, "validation loss") };
    if (score) places.score = curve("score", score, `validation ${score.name}`, 0);
    for (const [id, place] of Object.entries(places)) {
      $(id).onclick = ({ offsetX }) => {
        const x = place(offsetX);
        go(steps.reduce((best, step, index) => Math.abs(step - x) < Math.abs(steps[best] - x) ? index : best, 0));
      };
    }
    const line = ({ gradients }, kind) => ({ xs: gradients.map((_, distance) => distance), ys: gradients, kind });
    if (!now.gradients.length) return;
    const past = frames.slice(0, state.frame).map((frame) => line(frame, "past"));
    const range = frames.flatMap(({ gradients }) => gradients.filter((share) => share > 0));
    const name = "share of the gradient", whole = { xs: [], ys: [Math.max(...range)], kind: "past" };
    $("gradients").setAttribute("aria-label", `${name} by distance: ${percent(now.gradients[0])} at the last token, ${percent(now.gradients.at(-1))} ${now.gradients.length - 1} tokens before`);
    chart($("gradients"), [whole, ...past, line(now, "now")], { xLabel: "tokens read after the token", isLog: true, isInteger: true, text: percent, low: Math.min(...range) });
  }

  function draw() {
    const now = frames[state.frame], { source, reference, translation } = now.sentences[state.sentence];
    const shown = now.sentences[state.sentence][$("rows").value];
    $("frame").value = state.frame;
    $("status").textContent = describe(now);
    $("frame").setAttribute("aria-valuetext", describe(now));
    text($("translation"), translation.text, translation.tokens, translation.p, reference.tokens);
    text($("reference"), reference.text, reference.tokens, reference.p);
    $("attention").hidden = !shown.attention;
    if (shown.attention) fillMatrix($("matrix"), source, shown.tokens, unpack(shown.attention, source.length));
    $("first").disabled = $("back").disabled = state.frame === 0;
    $("last").disabled = $("forward").disabled = state.frame === last;
    $("all").replaceChildren(...now.sentences.map((each) => {
      const found = element("span", each.translation.text || "(nothing)");
      found.dir = "auto";
      return element("li", [found, element("span", each.text, "note")]);
    }));
    drawCharts();
  }

  function go(frame) {
    state.frame = Math.max(0, Math.min(last, frame));
    draw();
  }

  function play(isOn) {
    clearInterval(state.timer);
    state.timer = isOn ? setInterval(() => { if (state.frame === last) play(false); else go(state.frame + 1); }, isCalm.matches ? 1500 : Math.max(150, Math.min(700, 20000 / frames.length))) : null;
    $("status").setAttribute("aria-live", isOn ? "off" : "polite");
    $("play").textContent = isOn ? "❚❚ pause" : "▶ play";
    if (isOn && state.frame === last) go(0);
  }
  const step = (frame) => { play(false); go(frame); };

  $("facts").textContent = [data.description, `${count(frames.length)} frames`].filter(Boolean).join("; ");
  $("frame").max = last;
  $("score-section").hidden = !score;
  $("gradient-section").hidden = !frames.some(({ gradients }) => gradients.length);
  if (score) $("curve-title").textContent = `Validation ${score.name}`;
  fillSelect($("sentence"), frames[0].sentences.map(({ text: line }, index) => `${index + 1}. ${line.length > 80 ? `${line.slice(0, 79)}…` : line}`));
  $("sentence").addEventListener("change", () => { state.sentence = Number($("sentence").value); draw(); });
  $("rows").addEventListener("change", draw);
  $("frame").addEventListener("input", () => step(Number($("frame").value)));
  $("play").addEventListener("click", () => play(!state.timer));
  $("first").addEventListener("click", () => step(0));
  $("back").addEventListener("click", () => step(state.frame - 1));
  $("forward").addEventListener("click", () => step(state.frame + 1));
  $("last").addEventListener("click", () => step(last));
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, [role=region]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowRight: state.frame + 1, ArrowLeft: state.frame - 1, Home: 0, End: last }[event.key];
    if (to !== undefined) { event.preventDefault(); step(to); }
    else if (event.key === " " && !event.target.matches("button")) { event.preventDefault(); play(!state.timer); }
  });
  addEventListener("resize", drawCharts);
  draw();
})();
