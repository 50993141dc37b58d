// Parts that the pages of translations share: numbers, tokens with probabilities, matrices of attention, charts.
const parts = (() => {
  // The content is a text or a list of nodes.
  const element = (tag, content, name) => {
    const made = document.createElement(tag);
    if (tag === "button") made.type = "button";
    if (Array.isArray(content)) made.append(...content);
    else if (content !== undefined) made.textContent = content;
    if (name) made.className = name;
    return made;
  };
  const svg = (tag, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const $ = (id) => document.getElementById(id);
  const number = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
  const percent = (p) => p >= 0.0995 ? `${Math.round(100 * p)}%` : p >= 0.001 ? `${(100 * p).toFixed(1)}%` : "<0.1%";
  // A token that begins a word carries a mark for the space before it.
  const shown = (token) => token === "</s>" ? "⟨end⟩" : token === "<unk>" ? "⟨unknown⟩" : token.startsWith("▁") ? token.slice(1) || "␣" : `·${token}`;
  const fillSelect = (select, names) => select.replaceChildren(...names.map((name, index) => Object.assign(element("option", name), { value: index })));

  // Which tokens are not in the longest common subsequence with others.
  function differences(tokens, others) {
    const length = Array.from({ length: tokens.length + 1 }, () => new Uint16Array(others.length + 1)), differs = tokens.map(() => true);
    for (let i = tokens.length - 1; i >= 0; i--) {
      for (let j = others.length - 1; j >= 0; j--) length[i][j] = tokens[i] === others[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
    for (let i = 0, j = 0; i < tokens.length && j < others.length;) {
      if (tokens[i] === others[j]) { differs[i] = false; i++; j++; } else if (length[i + 1][j] >= length[i][j + 1]) i++; else j++;
    }
    return differs;
  }

  // A bar for the probability of a token.
  function addBar(made, probability) {
    const bar = element("i");
    bar.style.setProperty("--probability", probability);
    made.append(bar);
    made.title = `probability ${percent(probability)}`;
  }

  // Tokens with bars for their probabilities; those that differ from other tokens are underlined.
  function pieces(tokens, probabilities, other, from = -1) {
    const made = element("span", undefined, "pieces"), isOther = other && differences(tokens, other);
    tokens.forEach((token, t) => {
      const differs = isOther && (isOther[t] || t === from);
      const piece = element("span", shown(token), `piece${differs ? " differs" : ""}${t < from ? " same" : ""}`);
      if (probabilities) addBar(piece, probabilities[t]);
      made.append(piece);
    });
    return made;
  }

  // Attention as bytes in base64, as a function of the target and the source position.
  const decoded = new Map();
  function unpack(packed, width) {
    if (!decoded.has(packed)) decoded.set(packed, Uint8Array.from(atob(packed), (c) => c.charCodeAt(0)));
    return (t, s) => decoded.get(packed)[t * width + s] / 255;
  }

  // A matrix of attention. Cells of a table with the same tokens are kept, so that a change can be watched.
  function fillMatrix(table, source, tokens, weight) {
    const key = JSON.stringify([source, tokens]);
    if (table.dataset.key !== key) {
      const heading = (content, scope) => Object.assign(element("th", content), { scope });
      const line = element("tr", [element("td", "", "corner"), ...source.map((token) => heading([element("span", shown(token))], "col"))]);
      const lines = tokens.map((token) => element("tr", [heading(shown(token), "row"), ...source.map(() => element("td"))]));
      table.replaceChildren(element("thead", [line]), element("tbody", lines));
      table.dataset.key = key;
    }
    tokens.forEach((token, t) => {
      const row = source.map((_, s) => weight(t, s)), most = Math.max(...row);
      row.forEach((share, s) => {
        const td = table.tBodies[0].rows[t].cells[s + 1];
        td.textContent = share === most && most > 0 ? "•" : "";
        td.style.setProperty("--share", share.toFixed(3));
        td.title = `${shown(token)} – ${shown(source[s])}: ${share.toFixed(2)}`;
      });
    });
  }

  // About five round numbers that span a range; on a logarithmic axis 1, 2 and 5 times powers of ten, or these alone, where
  // the range has three of them.
  function ticks(low, high, isLog) {
    if (isLog) {
      const from = Math.floor(Math.log10(low)), powers = Array.from({ length: Math.ceil(Math.log10(high)) - from + 1 }, (_, i) => from + i);
      const found = powers.flatMap((power) => (powers.length > 4 ? [1] : [1, 2, 5]).map((m) => m * 10 ** power));
      const inside = found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
      if (inside.length > 2) return inside;
    }
    const raw = (high - low) / 4 || 1, power = 10 ** Math.floor(Math.log10(raw)), step = power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999);
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
  }

  const plain = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 });

  // A chart of lines in as much width as the picture has. series: { xs, ys, kind, name }; kind is the class of its line.
  // options: xLabel, xTicks (texts for 0, 1, …), isLog, isInteger, low, text (of a y), at (where a vertical line is).
  function chart(picture, series, { xLabel, xTicks, isLog, isInteger, low: least, text = plain, at }) {
    const width = Math.max(240, picture.parentElement.clientWidth), height = 200, [left, right, top, bottom] = [52, 26, 10, 44];
    const xs = series.flatMap((line) => line.xs), ys = series.flatMap((line) => line.ys).filter((y) => !isLog || y > 0);
    const [first, last] = [Math.min(...xs), Math.max(...xs)], high = Math.max(...ys);
    const low = Math.min(...ys, least ?? Infinity), scale = isLog ? Math.log10 : Number, flat = high === low ? 1 : 0;
    const px = (x) => left + (width - left - right) * (last > first ? (x - first) / (last - first) : 0.5);
    const py = (y) => top + (height - top - bottom) * (1 - (scale(y) - scale(low)) / (scale(high) - scale(low) + flat));
    const drawn = [];
    for (const y of ticks(low, high, isLog)) {
      drawn.push(svg("line", { class: "grid", x1: left, x2: width - right, y1: py(y), y2: py(y) }), svg("text", { x: left - 6, y: py(y) + 4, "text-anchor": "end" }, text(y)));
    }
    const places = xTicks ? xTicks.map((_, i) => i) : ticks(first, last).filter((x) => !isInteger || Number.isInteger(x));
    const every = Math.ceil(places.length * 46 / (width - left - right));
    places.forEach((x, i) => { if (i % every === 0) drawn.push(svg("text", { x: px(x), y: height - bottom + 18, "text-anchor": "middle" }, xTicks ? xTicks[x] : plain(x))); });
    drawn.push(svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xLabel));
    if (at !== undefined) drawn.push(svg("line", { class: "at", x1: px(at), x2: px(at), y1: top, y2: height - bottom }));
    for (const { xs: own, ys: values, kind } of series) {
      const points = own.map((x, i) => [x, values[i]]).filter(([, y]) => !isLog || y > 0).map(([x, y]) => [px(x), py(y)]);
      drawn.push(svg("polyline", { class: `line ${kind}`, points: points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" ") }));
      if (!kind.includes("past")) drawn.push(...points.map(([x, y]) => svg("circle", { class: `dot ${kind}`, cx: x, cy: y, r: points.length > 40 ? 2 : 3.5 })));
    }
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) picture.setAttribute(name, value);
    picture.replaceChildren(...drawn);
    return (x) => first + (last - first) * Math.max(0, Math.min(1, (x - left) / (width - left - right)));
  }

  return { $, element, svg, number, percent, shown, fillSelect, addBar, pieces, unpack, fillMatrix, chart };
})();
