(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const state = { sentence: 0, model: 0, phase: 0, word: 0, heads: data.models.map(() => 0) };
  const [PARENT, STEP, TOKEN, LOG_P, FATE, SCORE, TEXT] = [0, 1, 2, 3, 4, 5, 6];
  const BOX = 40, ROW = 52, TOP = 26, GAP = 44;

  const { $, element, svg, number, percent, shown, fillSelect, addBar, pieces, unpack, fillMatrix, chart } = parts;
  const signed = (value) => (value > 0 ? "+" : "") + number(value);
  const sentence = () => data.sentences[state.sentence];
  const view = () => sentence().views[state.model];
  const options = () => data.models[state.model].options;

  function drawCards() {
    $("cards").replaceChildren(...sentence().views.map((own, index) => {
      const { name, description, parameters, options: search } = data.models[index], list = element("dl");
      const facts = [description, `${(parameters / 1e6).toPrecision(3)} million parameters`].filter(Boolean).join("; ");
      const card = element("div", [element("h3", name), element("p", facts, "note"), list], "card");
      const add = (label, hypothesis, other) => {
        const what = element("dd", [element("span", hypothesis.text), pieces(hypothesis.tokens, hypothesis.p, other),
          element("span", `log p ${number(hypothesis.log_p)}, score ${number(hypothesis.score)}`, "note")]);
        what.dir = "auto";
        list.append(element("dt", label), what);
      };
      add(search.beam_size > 1 ? `Beam search, ${search.beam_size} hypotheses` : "Greedy search", own.best);
      const isSame = own.greedy.text === own.best.text;
      add(isSame ? "Greedy search: the same" : "Greedy search", own.greedy, own.best.tokens);
      if (index === state.model && data.models.length > 1) card.setAttribute("aria-current", "true");
      return card;
    }));
  }

  // The tree

  const numSteps = () => Math.max(...view().beam.nodes.map((node) => node[STEP])) + 1;
  const prefix = (index) => index < 0 ? [] : [...prefix(view().beam.nodes[index][PARENT]), view().beam.nodes[index][TOKEN]];
  const path = (index) => index < 0 ? [] : [...path(view().beam.nodes[index][PARENT]), index];
  const text = (index) => prefix(index).map(shown).join(" ").replaceAll(" ·", "");
  const ownP = (node) => Math.exp(node[LOG_P] - (node[PARENT] < 0 ? 0 : view().beam.nodes[node[PARENT]][LOG_P]));

  function reason(node) {
    const k = options().beam_size;
    if (node[FATE] === "kept") return "kept: among the best that go on";
    if (node[FATE] === "finished") return `finished: it ends among the ${k} best`;
    if (node[FATE] === "pruned") return `pruned: too far below the best one (threshold ${options().prune})`;
    if (node[FATE] === "stopped") return "stopped: enough translations are finished";
    return node[TOKEN] === "</s>" ? `dropped: it ends, but is not among the ${k} best` : "dropped: others are more probable";
  }

  // Steps come in two phases: what is considered, and what is chosen.
  const currentStep = () => Math.ceil(state.phase / 2) - 1;
  const isChosen = (step) => 2 * step + 2 <= state.phase;

  function drawTree() {
    const { nodes, greedy } = view().beam, count = numSteps(), drawn = svg("g", {});
    const columns = Array.from({ length: count }, () => []);
    nodes.forEach((node, index) => columns[node[STEP]].push(index));
    const widths = columns.map((column) => Math.max(86, ...column.map((i) => 7.4 * [...cut(shown(nodes[i][TOKEN]))].length + 30)));
    const lefts = widths.map((_, step) => 70 + widths.slice(0, step).reduce((a, b) => a + b + GAP, 0));
    const tallest = Math.max(...columns.map((column) => column.length));
    const row = nodes.map((node, index) => columns[node[STEP]].indexOf(index));
    const middle = (index) => index < 0 ? TOP + BOX / 2 : TOP + row[index] * ROW + BOX / 2;
    const winning = new Set(state.phase === 2 * count ? path(winner()) : []), isGreedy = new Set(greedy);
    const start = svg("g", { class: "kept" });
    start.append(svg("rect", { x: 2, y: TOP, width: 46, height: BOX, rx: 6 }), svg("text", { x: 9, y: TOP + 25 }, "start"));
    const boxes = [start];
    nodes.forEach((node, index) => {
      const [parent, step] = node;
      if (step > currentStep()) return;
      const fate = isChosen(step) ? node[FATE] : "open", left = lefts[step], y = middle(index), won = winning.has(index) ? " winner" : "";
      const from = parent < 0 ? 48 : lefts[step - 1] + widths[step - 1], bend = (left - from) / 2;
      drawn.append(svg("path", { class: fate + won, d: `M${from} ${middle(parent)}C${from + bend} ${middle(parent)} ${left - bend} ${y} ${left} ${y}` }));
      const box = svg("g", { class: fate + won }), mark = { finished: "✓", dropped: "×", pruned: "×", stopped: "■" }[fate] || "";
      box.append(svg("title", {}, `${text(index)}: log p ${number(node[LOG_P], 3)}, token ${percent(ownP(node))}` + (fate === "open" ? "" : `; ${reason(node)}`)),
        svg("rect", { x: left, y: y - BOX / 2, width: widths[step], height: BOX, rx: 6 }),
        svg("text", { x: left + 8, y: y - 3 }, `${cut(shown(node[TOKEN]))} ${mark}`),
        svg("text", { x: left + 8, y: y + 13, class: "number" }, `${percent(ownP(node))}  ${number(node[LOG_P])}`));
      if (isGreedy.has(index)) box.append(svg("text", { x: left + widths[step] - 14, y: y - 6, class: "greedy" }, "G"));
      boxes.push(box);
    });
    columns.forEach((_, step) => { if (step <= currentStep()) drawn.append(svg("text", { x: lefts[step] + widths[step] / 2, y: 14, class: "column" }, `step ${step + 1}`)); });
    drawn.append(...drawn.querySelectorAll("path.winner"), ...boxes);
    const width = lefts[count - 1] + widths[count - 1] + 4;
    $("tree").setAttribute("width", width);
    $("tree").setAttribute("height", TOP + tallest * ROW);
    $("tree").setAttribute("viewBox", `0 0 ${width} ${TOP + tallest * ROW}`);
    $("tree").replaceChildren(drawn);
    return currentStep() < 0 ? 0 : lefts[currentStep()] + widths[currentStep()];
  }
  const cut = (token) => [...token].length > 16 ? `${[...token].slice(0, 15).join("")}…` : token;

  function drawStep() {
    const { nodes } = view().beam, step = currentStep(), column = nodes.map((_, index) => index).filter((index) => nodes[index][STEP] === step);
    const count = (fate) => column.filter((index) => nodes[index][FATE] === fate).length;
    const fates = ["kept", "finished", "dropped", "pruned", "stopped"].filter(count).map((fate) => `${count(fate)} ${fate}`).join(", ");
    const isEnd = state.phase === 2 * numSteps();
    $("status").textContent = step < 0 ? `Before step 1: one empty hypothesis. The beam holds ${options().beam_size}.`
      : `Step ${step + 1} of ${numSteps()}: ` + (isChosen(step) ? `${fates}.` : `the ${column.length} best continuations of ${step ? "the hypotheses" : "the start"} are considered.`) +
        (isEnd ? " The search is over." : "");
    $("first").disabled = $("back").disabled = state.phase === 0;
    $("last").disabled = $("forward").disabled = isEnd;
    const head = ["rank", "hypothesis", "token", "log p", "what happens"].map((name) => element("th", name));
    $("step").replaceChildren(element("tr", head), ...column.map((index, rank) => {
      const node = nodes[index], words = element("td", text(index));
      words.dir = "auto";
      return element("tr", [element("td", rank + 1), words, element("td", percent(ownP(node))), element("td", number(node[LOG_P], 3)),
        element("td", isChosen(step) ? reason(node) : "is considered")]);
    }));
    $("step-title").textContent = step < 0 ? "Continuations of this step" : `Continuations of step ${step + 1} as a table`;
  }

  function go(phase) {
    state.phase = Math.max(0, Math.min(2 * numSteps(), phase));
    const right = drawTree(), area = $("tree-scroll");
    area.scrollLeft = right - area.clientWidth + 12;
    drawStep();
  }

  // Finished hypotheses

  // The formula of each length penalty, and its score as in nmt/decoding/ranking.py.
  const LENGTH_PENALTIES = {
    none: ["log p", (logP) => logP],
    average: ["log p / length^α", (logP, length, alpha) => logP / length ** alpha],
    gnmt: ["log p / ((5 + length) / 6)^α", (logP, length, alpha) => logP / ((5 + length) / 6) ** alpha],
    word_reward: ["log p + α length", (logP, length, alpha) => logP + alpha * length],
  };
  const penalised = (name, ...values) => LENGTH_PENALTIES[name][1](...values);
  $("penalty").append(...Object.entries(LENGTH_PENALTIES).map(([name, [formula]]) => new Option(`${name}: ${formula}`, name)));
  const finished = () => view().beam.nodes.map((_, index) => index).filter((index) => view().beam.nodes[index][FATE] === "finished");

  function score(index) {
    const node = view().beam.nodes[index], { length_penalty: own, alpha } = options(), length = node[STEP] + 1;
    const isOwn = $("penalty").value === own && Number($("alpha").value) === Number(alpha);
    if (isOwn || !$("penalty").value) return node[SCORE];
    // What the coverage penalty adds does not depend on the length.
    const coverage = own in LENGTH_PENALTIES ? node[SCORE] - penalised(own, node[LOG_P], length, alpha) : 0;
    return penalised($("penalty").value, node[LOG_P], length, Number($("alpha").value)) + (Math.abs(coverage) < 1e-3 ? 0 : coverage);
  }
  const ranked = () => finished().map((index) => [score(index), index]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  const winner = () => ranked()[0][1];

  function rank() {
    const { nodes, best } = view().beam, head = ["rank", "translation", "length", "log p", "score"].map((name) => element("th", name));
    $("finished").replaceChildren(element("tr", head), ...ranked().map(([value, index], place) => {
      const words = element("td", nodes[index][TEXT]), figures = [nodes[index][STEP] + 1, number(nodes[index][LOG_P], 3), number(value, 3)];
      words.dir = "auto";
      if (index === best) words.append(element("span", " (the model’s choice)", "note"));
      return element("tr", [element("td", place + 1), words, ...figures.map((figure) => element("td", figure))], place ? "" : "first");
    }));
    $("alpha-value").textContent = number(Number($("alpha").value));
    $("alpha").disabled = $("penalty").value === "none";
    drawTree();
  }

  function ownPenalty() {
    const { length_penalty: own, alpha } = options();
    $("alpha").max = Math.max(2, 2 * alpha);
    $("alpha").step = Number.isInteger(alpha * 20) ? 0.05 : "any";
    $("penalty").value = own;
    $("alpha").value = alpha;
  }

  // Tokens: attention, and what if

  const weights = (own, head) => unpack(own.attention[head].weights, own.source.length);

  // Tokens as buttons that the arrow keys go through; as text without a function.
  function wordButtons(place, tokens, onChoose, probabilities) {
    place.dir = "auto";
    place.replaceChildren(...tokens.map((token, t) => {
      const made = element(onChoose ? "button" : "span", shown(token), "word");
      if (probabilities) addBar(made, probabilities[t]);
      if (!onChoose) return made;
      made.tabIndex = t ? -1 : 0;
      made.setAttribute("aria-pressed", "false");
      made.addEventListener("click", () => onChoose(t));
      made.addEventListener("keydown", (event) => {
        const isLeft = getComputedStyle(place).direction === "rtl";
        const by = { ArrowRight: isLeft ? -1 : 1, ArrowLeft: isLeft ? 1 : -1 }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        const next = place.children[t + by];
        if (next) { onChoose(t + by); made.tabIndex = -1; next.tabIndex = 0; next.focus(); }
      });
      return made;
    }));
  }

  function drawWords() {
    const { source, best } = view();
    changes.sourceWords(source);
    wordButtons($("target"), best.tokens, choose, best.p);
  }

  function choose(t) {
    const own = view(), { best, source, alternatives } = own;
    state.word = t = Math.min(t, best.tokens.length - 1);
    [...$("target").children].forEach((button, index) => {
      button.classList.toggle("chosen", index === t);
      button.setAttribute("aria-pressed", index === t ? "true" : "false");
      button.tabIndex = index === t ? 0 : -1;
    });
    const weight = own.attention && weights(own, state.heads[state.model]);
    [...$("source").children].forEach((word, s) => {
      const share = weight ? weight(t, s) : 0;
      word.style.setProperty("--share", share.toFixed(3));
      word.replaceChildren(shown(source[s]));
      if (word.tagName === "BUTTON") word.title = `attend to ${shown(source[s])} alone`;
      if (weight) word.append(element("small", percent(share)));
    });
    document.querySelectorAll(`#matrix-${state.model} tbody tr`).forEach((tr, index) => tr.classList.toggle("chosen", index === t));
    drawNumbers(t);
    drawCell(t);
    changes.drawStep();
    const others = alternatives && alternatives[t];
    $("alternatives-title").textContent = !others ? "" : `What if something else stood in place of “${shown(best.tokens[t])}”?`;
    const choices = others ? [{ text: best.text, log_p: best.log_p, score: best.score, tokens: best.tokens.slice(t), p: best.p.slice(t) }, ...others] : [];
    $("alternatives").replaceChildren(...choices.map((other, index) => {
      const title = element("p", [element("strong", shown(other.tokens[0])), ` ${percent(other.p[0])}` + (index ? "" : ", the model’s choice")]);
      const line = element("p", [pieces([...best.tokens.slice(0, t), ...other.tokens], [...best.p.slice(0, t), ...other.p], index ? best.tokens : null, t)]);
      const whole = element("p", other.text);
      whole.dir = line.dir = "auto";
      const facts = `log p ${number(other.log_p)}` + (index ? ` (${signed(other.log_p - best.log_p)})` : "") +
        `, score ${number(other.score)}` + (index ? ` (${signed(other.score - best.score)})` : "");
      return element("li", [title, whole, line, element("p", facts, "note")], index ? "" : "own");
    }));
  }

  // An equation with its indices as such: h_{t-1}, a_i.
  const equation = (text) => text.split(/(_(?:\{[^}]*\}|\w+))/).map((part) =>
    part.startsWith("_") ? element("sub", part.replace(/[_{}]/g, "").replace("-", "−")) : part.replaceAll("C~", "C\u0303").replaceAll("h~", "h\u0303"));

  // Code under a table of numbers; returns a function that makes a heading of the table a link to a listing.
  function listCode(place, sources) {
    $(place).replaceChildren(...sources.flatMap(({ file, line, text: code }, at) => {
      const title = element("p", `${file}, line ${line}`), listing = element("pre", code);
      title.id = `${place}-${at}`;
      Object.assign(listing, { tabIndex: 0, className: "scroll" });
      listing.setAttribute("role", "region");
      listing.setAttribute("aria-label", `code of ${file}, line ${line}`);
      return [title, listing];
    }));
    return (name, at) => {
      const link = Object.assign(element("a", name), { href: `#${place}-${Math.min(at, sources.length - 1)}` });
      return element("th", [sources.length ? link : name]);
    };
  }

  function numberTable(table, width, results, rows) {
    const head = [element("th", "vector"), ...Array.from({ length: width }, (_, d) => element("th", d + 1)), ...results];
    table.replaceChildren(element("thead", [element("tr", head)]), element("tbody", rows));
  }

  function numberRow(name, cells, results = [], kind = "") {
    const th = name instanceof Node ? name : element("th", name);
    th.scope = "row";
    return element("tr", [th, ...cells.map((value) => element("td", number(value), kind)), ...results.map((value) => element("td", number(value, 3), "result"))]);
  }

  function drawNumbers(t) {
    const { numbers, source, best } = view();
    $("numbers-details").hidden = !numbers;
    if (!numbers) return;
    const { query, keys, values, scores, weights: shares, context } = numbers.values, { query: queryWidth, keys: keyWidth } = numbers.widths;
    const isTransformer = Boolean(values), more = Math.max(queryWidth, keyWidth) > keys[0].length;
    $("numbers-title").textContent = `Every number of the attention that predicts “${shown(best.tokens[t])}”: ${numbers.name}`;
    $("equation").replaceChildren(...equation(`${numbers.equation} The weights are a = softmax(score), and the context is the sum of a_i ${isTransformer ? "v_i" : "h_i"}.`));
    $("numbers-note").textContent = `${numbers.code} computes it; docs/concepts/attention explains it. The query ${isTransformer ? "q" : "s"} has ${queryWidth} numbers, ` +
      `a ${isTransformer ? "key k" : "vector h"} ${keyWidth}${more ? `; the first ${keys[0].length} are shown, while scores are of all of them` : ""}.`;
    const linked = listCode("numbers-code", numbers.sources);
    numberTable($("numbers"), keys[0].length, [linked("score", 0), linked("weight", 1)], [
      numberRow(isTransformer ? "query q" : "query s", query[t]),
      ...source.map((token, s) => numberRow(`${isTransformer ? "k" : "h"}: ${shown(token)}`, keys[s], [scores[t][s], shares[t][s]])),
      ...(values ? source.map((token, s) => numberRow(`v: ${shown(token)}`, values[s])) : []),
      numberRow(linked("context", 1), context[t], [], "result")]);
  }

  function drawCell(t) {
    const { cell, best } = view();
    $("cell-details").hidden = !cell;
    if (!cell) return;
    const rows = Object.entries(cell.values), count = rows[0][1][t].length, width = cell.widths["h_t"], linked = listCode("cell-code", cell.sources);
    $("cell-title").textContent = `Every number of the cell in the step that predicts “${shown(best.tokens[t])}”`;
    $("cell-equation").replaceChildren(...equation(cell.equation));
    $("cell-note").textContent = `${cell.code} computes it; docs/concepts/cells explains it. A state has ${width} numbers` +
      `${width > count ? `; the first ${count} are shown` : ""}. Gates are between 0 (closed) and 1 (open).`;
    numberTable($("cell"), count, [], rows.map(([name, values]) => {
      const isAfter = name.endsWith("_t"), th = name.endsWith("}") ? element("th") : linked("", isAfter ? 1 : 0);
      (th.firstChild || th).append(...equation(name));
      return numberRow(th, values[t], [], isAfter ? "result" : "");
    }));
  }

  // Attention of all models

  function drawMatrices() {
    $("matrices").replaceChildren(...sentence().views.map((own, index) => {
      const figure = element("div"), top = element("p", undefined, "head"), area = element("div", undefined, "scroll"), name = data.models[index].name;
      figure.append(element("h3", name), top, area);
      const isBlind = !own.attention || own.attention[0].is_attribution;
      if (isBlind) figure.insertBefore(element("p", "This model has no attention over the source tokens."), top);
      if (!own.attention) { top.remove(); area.remove(); return figure; }
      const select = element("select"), table = element("table", undefined, "matrix");
      const group = Object.assign(element("optgroup"), { label: "Attribution" });
      own.attention.forEach((head, at) => (head.is_attribution ? group : select).append(Object.assign(element("option", head.name), { value: at })));
      if (group.children.length) select.append(group);
      select.value = state.heads[index] = Math.min(state.heads[index], own.attention.length - 1);
      select.setAttribute("aria-label", `attention head or attribution of ${name}`);
      select.addEventListener("change", () => {
        state.heads[index] = Number(select.value);
        fillMatrix(table, own.source, own.best.tokens, weights(own, state.heads[index]));
        choose(state.word);
      });
      if (own.attention.length > 1 || isBlind) top.append(select); else top.remove();
      table.id = `matrix-${index}`;
      area.tabIndex = 0;
      area.setAttribute("role", "region");
      area.setAttribute("aria-label", `attention matrix of ${name}`);
      area.append(table);
      fillMatrix(table, own.source, own.best.tokens, weights(own, state.heads[index]));
      return figure;
    }));
  }

  // Scores by sentence length

  function drawLengths() {
    const { whole, rows, sentences, signature } = data.lengths, names = Object.keys(whole), [key] = Object.keys(rows[0].scores);
    const kind = (index) => `k${index % 4}`;
    $("lengths-section").hidden = false;
    $("lengths-note").textContent = `${sentences.toLocaleString("en")} sentences; a length is the number of words of the source. ${signature}`;
    chart($("lengths"), names.map((name, index) => ({ xs: rows.map((_, at) => at), ys: rows.map((row) => row.scores[key][name]), kind: kind(index) })),
      { xLabel: "words of the source", xTicks: rows.map(({ label }) => label), low: 0 });
    $("lengths-keys").replaceChildren(...names.map((name, index) => {
      const sample = svg("svg", { viewBox: "0 0 35 14", "aria-hidden": "true" });
      sample.append(svg("line", { class: `line ${kind(index)}`, x1: 0, x2: 35, y1: 7, y2: 7 }));
      return element("li", [sample, name]);
    }));
    const line = (cells, heading) => element("tr", cells.map((text, at) =>
      Object.assign(element(at && !heading ? "td" : "th", text), at && !heading ? {} : { scope: heading ? "col" : "row" })));
    const scored = (label, count, of) => line([label, count.toLocaleString("en"), ...names.map((name) => number(of[name], 1))]);
    const body = [...rows.map((row) => scored(row.label, row.sentences, row.scores[key])), scored("all", sentences, whole)];
    $("lengths-table").replaceChildren(element("thead", [line(["words", "sentences", ...names], true)]), element("tbody", body));
  }

  // What is shown

  function draw() {
    ownPenalty();
    drawCards();
    drawMatrices();
    drawWords();
    changes.draw();
    go(2 * numSteps());
    $("tree-scroll").scrollLeft = 0;
    rank();
    choose(state.word);
  }

  function show(index) {
    if (index < 0 || index >= data.sentences.length) return;
    state.sentence = index;
    state.word = 0;
    fillSelect($("sentence"), data.sentences.map(({ text: line }, at) => `${at + 1}. ${line.length > 80 ? `${line.slice(0, 79)}…` : line}`));
    fillSelect($("model"), data.models.map(({ name }) => name));
    $("model").value = state.model;
    $("model-label").hidden = data.models.length < 2;
    $("sentence").value = index;
    $("previous").disabled = index === 0;
    $("next").disabled = index === data.sentences.length - 1;
    draw();
  }

  const page = { $, element, pieces, shown, percent, number, signed, state, data, view, model: () => data.models[state.model], wordButtons, show };
  const changes = interventions(page);
  [["kept", "kept in the beam"], ["finished", "finished ✓"], ["dropped", "dropped ×"], ["pruned", "pruned ×"], ["stopped", "unfinished at the end ■"],
    ["winner", "first of the finished ones"], ["greedy", "path of greedy search"]].forEach(([name, label]) => $("legend").append(element("li", label, name)));
  $("sentence").addEventListener("change", () => show(Number($("sentence").value)));
  $("previous").addEventListener("click", () => show(state.sentence - 1));
  $("next").addEventListener("click", () => show(state.sentence + 1));
  $("model").addEventListener("change", () => { state.model = Number($("model").value); state.word = 0; draw(); });
  $("first").addEventListener("click", () => go(0));
  $("back").addEventListener("click", () => go(state.phase - 1));
  $("forward").addEventListener("click", () => go(state.phase + 1));
  $("last").addEventListener("click", () => go(Infinity));
  $("penalty").addEventListener("change", rank);
  $("alpha").addEventListener("input", rank);
  $("own").addEventListener("click", () => { ownPenalty(); rank(); });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, summary") || event.ctrlKey || event.metaKey || event.altKey || !data.sentences.length) return;
    const phase = { ArrowRight: state.phase + 1, ArrowLeft: state.phase - 1, Home: 0, End: Infinity }[event.key];
    const isElsewhere = event.target.matches("[role=region]") && event.target !== $("tree-scroll");
    if (phase !== undefined && !isElsewhere) { event.preventDefault(); go(phase); }
    else if (event.key === "[") show(state.sentence - 1);
    else if (event.key === "]") show(state.sentence + 1);
  });
  if (data.lengths) { drawLengths(); addEventListener("resize", drawLengths); }
  if (data.sentences.length) show(0);
  else live(page);
})();
