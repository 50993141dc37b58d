(() => {
  const { $, element, svg, number, fillSelect, addBar, unpack } = parts;
  const data = JSON.parse(document.getElementById("data").textContent);
  const state = { sentence: 0, candidate: 0, head: 0, side: null, word: -1, held: false };
  const sides = { source: [], target: [] };
  let cells = [], columns = [], rows = [];

  const sentence = () => data.sentences[state.sentence];
  const candidate = () => sentence().candidates[state.candidate];
  const has = (links, s, t) => Boolean(links) && links.some(([a, b]) => a === s && b === t);

  const weight = (s, t) => unpack(candidate().weights[state.head], sentence().source.length)(t, s);

  function fillSentences() {
    const wanted = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const options = [];
    data.sentences.forEach((item, index) => {
      const text = item.source.join(" ");
      const all = (text + " " + item.candidates[0].target.join(" ")).toLowerCase();
      if (!wanted.every((word) => all.includes(word))) return;
      const option = element("option", `${index + 1}. ${text.length > 80 ? text.slice(0, 79) + "…" : text}`);
      option.value = index;
      options.push(option);
    });
    $("sentence").replaceChildren(...options);
    $("status").textContent = wanted.length ? `${options.length} of ${data.sentences.length} sentences` : "";
    const shown = options.map((option) => Number(option.value));
    if (shown.length && !shown.includes(state.sentence)) show(shown[0]);
    else $("sentence").value = state.sentence;
  }

  function show(index) {
    Object.assign(state, { sentence: index, candidate: 0, side: null, word: -1, held: false });
    $("sentence").value = index;
    draw();
  }

  function step(by) {
    const shown = [...$("sentence").options].map((option) => Number(option.value));
    const at = shown.indexOf(state.sentence) + by;
    if (at >= 0 && at < shown.length) show(shown[at]);
  }

  function drawWords(side, words, probabilities) {
    sides[side] = words.map((text, index) => {
      const button = element("button", text, "word");
      button.tabIndex = index ? -1 : 0;
      if (probabilities) addBar(button, probabilities[index]);
      button.addEventListener("pointerenter", () => { if (!state.held) choose(side, index); });
      button.addEventListener("pointerleave", () => { if (!state.held) choose(null, -1); });
      button.addEventListener("focus", () => {
        sides[side].forEach((each) => { each.tabIndex = each === button ? 0 : -1; });
        if (!state.held) choose(side, index);
      });
      button.addEventListener("click", () => {
        const same = state.held && state.side === side && state.word === index;
        state.held = !same;
        choose(side, index);
      });
      button.addEventListener("keydown", (event) => {
        const forward = getComputedStyle($(side)).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
        const backward = forward === "ArrowRight" ? "ArrowLeft" : "ArrowRight";
        const by = { [forward]: 1, [backward]: -1 }[event.key];
        if (by === undefined) return;
        const next = sides[side][index + by];
        if (next) { state.held = false; next.focus(); }
        event.preventDefault();
      });
      return button;
    });
    $(side).dir = "auto";
    $(side).replaceChildren(...sides[side]);
  }

  function drawMatrix() {
    const { source } = sentence(), { target, links } = candidate(), gold = sentence().gold;
    const heading = (content, scope, title) => Object.assign(element("th", content), { scope, title });
    columns = source.map((word) => heading([element("span", word)], "col", word));
    rows = target.map((word) => heading(word, "row", word));
    cells = target.map((_, t) => source.map((_, s) => {
      const td = element("td", has(links, s, t) ? "●" : "");
      if (gold && state.candidate === 0) {
        if (has(gold.sure, s, t)) td.className = "sure";
        else if (has(gold.possible, s, t)) td.className = "possible";
      }
      td.addEventListener("pointerenter", () => { if (!state.held) choose("target", t); });
      return td;
    }));
    const head = element("tr", [element("td", "", "corner"), ...columns]), lines = rows.map((th, t) => element("tr", [th, ...cells[t]]));
    $("matrix").replaceChildren(element("thead", [head]), element("tbody", lines));
    $("legend").textContent = "The shade is the attention, a dot a link" +
      (gold ? ", a frame a true link (dotted: a possible one)." : ".");
  }

  function drawLines() {
    const picture = $("lines"), height = 150, { source } = sentence(), { target, links } = candidate();
    const rows = [[source, 16], [target, height - 6]].map(([words, y]) => words.map((word) => svg("text", { y }, word)));
    picture.replaceChildren(...rows.flat());
    const widths = rows.map((row) => row.map((text) => text.getComputedTextLength() + 14));
    const sums = widths.map((row) => row.reduce((a, b) => a + b, 0)), width = Math.max(...sums);
    const middles = widths.map((row, side) => {
      let x = (width - sums[side]) / 2;
      return row.map((own) => (x += own) - own / 2);
    });
    rows.forEach((row, side) => row.forEach((text, index) => text.setAttribute("x", middles[side][index])));
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) picture.setAttribute(name, value);
    target.forEach((word, t) => source.forEach((other, s) => {
      const share = weight(s, t);
      if (share < 0.02) return;
      const line = svg("line", { x1: middles[0][s], y1: 24, x2: middles[1][t], y2: height - 24, "stroke-width": 8 * share });
      if (has(links, s, t)) line.setAttribute("class", "link");
      line.append(svg("title", {}, `${word} – ${other}: ${share.toFixed(2)}`));
      picture.prepend(line);
    }));
  }

  function drawCandidates() {
    const { candidates } = sentence();
    $("candidates-section").hidden = candidates.length < 2;
    const head = element("tr", ["candidate", "translation", "log-probability"].map((name) => element("th", name)));
    const body = candidates.map((item, index) => {
      const pick = element("button", `${index + 1}`), text = element("td", item.target.join(" "));
      pick.setAttribute("aria-label", `show candidate ${index + 1}`);
      pick.addEventListener("click", () => {
        Object.assign(state, { candidate: index, side: null, word: -1, held: false });
        draw();
        $("candidates").querySelectorAll("button")[index].focus();
      });
      text.dir = "auto";
      const first = element("td", [element("span", [pick], "buttons")]), score = item.score === null ? "" : number(item.score, 3);
      const tr = element("tr", [first, text, element("td", score)]);
      if (index === state.candidate) tr.setAttribute("aria-current", "true");
      return tr;
    });
    $("candidates").replaceChildren(head, ...body);
  }

  function draw() {
    drawWords("source", sentence().source, null);
    drawWords("target", candidate().target, candidate().probabilities);
    $("score-note").hidden = !candidate().probabilities;
    drawCandidates();
    drawMatrix();
    shade();
    choose(null, -1);
  }

  function shade() {
    if (!$("lines-section").hidden) drawLines();
    cells.forEach((row, t) => row.forEach((td, s) => {
      const share = weight(s, t);
      td.style.setProperty("--share", share.toFixed(3));
      td.title = `${candidate().target[t]} – ${sentence().source[s]}: ${share.toFixed(2)}`;
    }));
  }

  function choose(side, word) {
    Object.assign(state, { side, word });
    if (side === null) state.held = false;
    const { links } = candidate(), gold = state.candidate === 0 ? sentence().gold : null;
    for (const name of ["source", "target"]) {
      sides[name].forEach((button, index) => {
        const own = side === name && index === word;
        const other = side !== null && side !== name;
        const s = name === "source" ? index : word, t = name === "target" ? index : word;
        button.classList.toggle("chosen", own);
        button.setAttribute("aria-pressed", own && state.held ? "true" : "false");
        button.classList.toggle("linked", other && has(links, s, t));
        button.classList.toggle("gold", other && Boolean(gold) && (has(gold.sure, s, t) || has(gold.possible, s, t)));
        button.style.setProperty("--share", other ? weight(s, t).toFixed(3) : "0");
      });
    }
    columns.forEach((th, s) => th.classList.toggle("chosen", side === "source" && s === word));
    rows.forEach((th, t) => th.classList.toggle("chosen", side === "target" && t === word));
  }

  fillSelect($("head"), data.heads);
  $("head").addEventListener("change", () => {
    state.head = Number($("head").value);
    shade();
    choose(state.side, state.word);
  });
  $("picture").addEventListener("change", () => {
    $("lines-section").hidden = $("picture").value !== "lines";
    $("matrix-section").hidden = !$("lines-section").hidden;
    shade();
  });
  $("sentence").addEventListener("change", () => show(Number($("sentence").value)));
  $("find").addEventListener("input", fillSentences);
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "[") step(-1);
    else if (event.key === "]") step(1);
    else if (event.key === "Escape") choose(null, -1);
  });
  fillSentences();
  draw();
})();
