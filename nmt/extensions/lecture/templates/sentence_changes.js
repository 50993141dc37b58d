// What if the attention of a step, a head or a layer were different? Results are in the page, or come from the server.
function interventions(page) {
  const { $, element, pieces, shown, percent, number, signed } = page;
  let position = null;  // of the source, which all attention of the chosen step goes to; -1 for equal weights
  let asked = 0, computed = 0;  // the newest step, and the newest table of changes
  const GROUPS = [["off", "a head is switched off"], ["head", "the heads of a layer look where one of them looks"],
    ["uniform", "all attention is uniform"], ["skip", "a layer is left out"]];

  const model = () => page.model();
  const headName = (index) => model().heads[index] || "attention";
  const label = ({ kind, to, heads, side }) => ({
    off: () => `${headName(heads ? heads[0] : 0)} off`,
    head: () => `${headName(to)} for its layer`,
    uniform: () => "uniform attention",
    skip: () => `without ${side} layer ${to + 1}`,
  })[kind]();
  // Interventions in all steps, by the heads and layers of a model.
  function whole() {
    const { heads, layers } = model(), found = heads.map((_, index) => ({ kind: "off", heads: [index] }));
    if (heads.length > 1) heads.forEach((_, index) => found.push({ kind: "head", to: index }));
    if (heads.length) found.push({ kind: "uniform" });
    for (const side of ["encoder", "decoder"]) for (let to = 0; to < layers[side]; to++) found.push({ kind: "skip", to, side });
    return found;
  }
  const canIntervene = () => Boolean(page.ask || page.view().interventions);

  // Attention of one step

  async function ofStep(t, s) {
    if (page.ask) {
      const [found] = await page.ask([s < 0 ? { kind: "uniform", step: t } : { kind: "word", to: s, step: t }]);
      return { own: found.own[t], token: found.top[t][0][0], p: found.top[t][0][1], text: found.text, tokens: found.tokens, log_p: found.log_p };
    }
    const { steps, texts } = page.view().interventions, entry = (steps[t] || []).find(([place]) => place === s);
    return entry && { own: entry[1], token: entry[2], p: entry[3], ...texts[entry[4]], log_p: entry[5] };
  }

  function sourceWords(tokens) {
    const hasAttention = model().heads.length > 0 && canIntervene();
    page.wordButtons($("source"), tokens, hasAttention && ((s) => attendTo(position === s ? null : s)));
    $("attend").hidden = !hasAttention;
  }

  function attendTo(s) {
    position = s;
    drawStep();
  }

  async function drawStep() {
    const t = page.state.word, { best, source } = page.view(), turn = ++asked, box = $("attended");
    [...$("source").children].forEach((word, s) => {
      word.classList.toggle("chosen", s === position);
      if (word.tagName === "BUTTON") word.setAttribute("aria-pressed", s === position ? "true" : "false");
    });
    $("uniform").setAttribute("aria-pressed", position === -1 ? "true" : "false");
    if (position === null) { box.replaceChildren(); return; }
    const where = position < 0 ? "attended to all tokens equally" : `attended to “${shown(source[position])}” alone`;
    const title = element("h3", `What if the step that predicts “${shown(best.tokens[t])}” ${where}?`);
    let found;
    try {
      if (page.ask) box.replaceChildren(title, element("p", "computing …", "note"));
      found = await ofStep(t, position);
    } catch (error) {
      if (turn === asked) box.replaceChildren(title, element("p", error.message));
      return;
    }
    if (turn !== asked) return;
    if (!found) { box.replaceChildren(title, element("p", "This page holds the tokens with the most attention only: nmt serve computes the others.", "note")); return; }
    const change = element("p", ["The probability of ", element("strong", shown(best.tokens[t])), ` goes from ${percent(best.p[t])} to `, element("strong", percent(found.own)),
      found.token === best.tokens[t] ? "; it is still the most probable token." : `; the most probable token is “${shown(found.token)}” with ${percent(found.p)}.`]);
    const isSame = found.text === best.text, text = element("p", found.text), line = element("p", [pieces(found.tokens, null, best.tokens, isSame ? -1 : t)]);
    text.dir = line.dir = "auto";
    box.replaceChildren(title, change, element("p", isSame ? "The translation stays the same." : "The translation goes on so:", "note"),
      ...(isSame ? [] : [text, line]), element("p", `log p ${number(found.log_p)} (${signed(found.log_p - best.log_p)})`, "note"));
  }

  // Heads and layers

  function row({ label: name, result }) {
    const { best } = page.view(), th = element("th", name), own = element("td"), after = element("td");
    const logP = result.own.reduce((sum, p) => sum + Math.log(Math.max(p, 1e-9)), 0);
    th.scope = "row";
    own.dir = after.dir = "auto";
    own.append(pieces(best.tokens, result.own));
    [...own.firstChild.children].forEach((piece, t) => {
      const lost = Math.max(0, Math.min(1, Math.log(best.p[t] / Math.max(result.own[t], 1e-9)) / 3));
      piece.style.setProperty("--lost", lost.toFixed(2));
      piece.title = `probability ${percent(best.p[t])}, then ${percent(result.own[t])}`;
      piece.classList.add("lost");
    });
    const isSame = result.text === best.text;
    if (isSame) after.append(element("span", "the same", "note"));
    else after.append(element("span", result.text), pieces(result.tokens, result.p, best.tokens));
    return element("tr", [th, element("td", signed(logP - best.log_p)), own, after]);
  }

  async function drawWhole() {
    const group = $("group").value, changes = whole(), turn = ++computed, table = $("changes"), wanted = changes.filter(({ kind }) => kind === group);
    const head = ["change", "log p of the translation", "the translation’s tokens under the change", "translation found"];
    let results;
    try {
      if (page.ask) { $("changes-status").textContent = "computing …"; results = await page.ask(wanted); }
      else results = page.view().interventions.whole.filter((_, index) => changes[index].kind === group);
    } catch (error) {
      if (turn === computed) $("changes-status").textContent = error.message;
      return;
    }
    if (turn !== computed) return;
    $("changes-status").textContent = "";
    const line = element("tr", head.map((name) => Object.assign(element("th", name), { scope: "col" })));
    table.replaceChildren(element("thead", [line]), element("tbody", wanted.map((change, index) => row({ label: label(change), result: results[index] }))));
  }

  // Links of a reference

  function drawGold() {
    const { gold } = page.view();
    $("gold-section").hidden = !gold;
    if (!gold) return;
    const [before, after] = ["before", "after"].map((key) => { const dd = element("dd"); dd.dir = "auto"; dd.append(pieces(gold.tokens, gold[key]),
      element("span", `log p ${number(gold[key].reduce((sum, p) => sum + Math.log(Math.max(p, 1e-9)), 0))}`, "note")); return dd; });
    const found = element("dd", gold.text);
    found.dir = "auto";
    found.append(pieces(gold.found, gold.p, page.view().best.tokens));
    $("gold").replaceChildren(element("dt", "The reference with the model’s attention"), before, element("dt", "The reference with the attention of its links"), after,
      element("dt", "Translation that the model finds with that attention"), found);
  }

  function forget() {
    computed++;
    $("changes").replaceChildren();
    $("changes-status").textContent = "";
  }

  function draw() {
    position = null;
    const kinds = new Set(whole().map(({ kind }) => kind)), can = canIntervene() && kinds.size > 0;
    $("changes-section").hidden = !can;
    forget();
    $("attended").replaceChildren();
    const before = $("group").value;
    $("group").replaceChildren(...GROUPS.filter(([kind]) => kinds.has(kind)).map(([kind, name]) => Object.assign(element("option", name), { value: kind })));
    if (kinds.has(before)) $("group").value = before;
    $("compute").hidden = !page.ask;
    if (can && !page.ask) drawWhole();
    drawGold();
  }

  $("uniform").addEventListener("click", () => attendTo(position === -1 ? null : -1));
  $("group").addEventListener("change", () => { if (page.ask) forget(); else drawWhole(); });
  $("compute").addEventListener("click", drawWhole);
  return { draw, drawStep, sourceWords };
}
