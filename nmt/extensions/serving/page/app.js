"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const PAUSE = 350, MAX_SENTENCES = 40, MAX_HISTORY = 50, CANDIDATES = 4, ALTERNATIVES = 10;
  const PLAIN = { alignment: false, check: undefined, confidence: undefined };  // where the text alone is needed
  const TEXTS = { numbers: "Number", urls: "Address", tags: "Tag", placeholders: "Placeholder", code: "Code" };
  const DEGENERATE = { loop: "repeats itself", copy: "copies the source", empty: "is empty", long: "is far too long", short: "is far too short" };
  const state = { answer: null, asked: null, held: null, settings: {}, languages: [], models: [] };
  const stored = (name, otherwise) => {
    try { return JSON.parse(localStorage.getItem(`nmt.${name}`)) ?? otherwise; } catch { return otherwise; }
  };
  const store = (name, value) => { try { localStorage.setItem(`nmt.${name}`, JSON.stringify(value)); } catch { /* full or forbidden */ } };
  // The content is a text or a list of nodes and texts.
  const element = (tag, content, name) => {
    const made = document.createElement(tag);
    if (tag === "button") made.type = "button";
    if (Array.isArray(content)) made.append(...content);
    else if (content !== undefined) made.textContent = content;
    if (name) made.className = name;
    return made;
  };
  const words = (text) => text.split(/\s+/).filter(Boolean);
  const bare = (word) => word.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");

  // The server

  async function call(path, body, { base = "", signal } = {}) {
    const headers = {}, key = $("key").value;  // of this server: others don't see it
    // A header has bytes: each character stands for one of the key in UTF-8.
    if (key && !base) headers.Authorization = `Bearer ${String.fromCharCode(...new TextEncoder().encode(key))}`;
    if (body && !(body instanceof FormData)) headers["Content-Type"] = "application/json";
    const sent = body instanceof FormData || !body ? body : JSON.stringify(body);
    const answer = await fetch(base + path, { method: body ? "POST" : "GET", headers, body: sent, signal }).catch((error) => {
      throw error.name === "AbortError" ? error : new Error("The server does not answer. Check the connection, and whether it is running.");
    });
    const found = await answer.json().catch((error) => { if (error.name === "AbortError") throw error; });
    if (answer.ok && found) return found;
    throw new Error(found?.error || `This is no answer of nmt: ${answer.status} ${answer.statusText}. Check the address, and the programs on the way to the server.`);
  }

  function request(text, changes = {}) {
    const terms = glossary(), model = $("model").value ? { model: $("model").value } : {};
    const body = { text, source: $("source").value, target: $("target").value, n_best: CANDIDATES, alignment: true, suggest: true,
      check: true, confidence: true, ...model, ...changes };
    return Object.keys(terms).length ? { ...body, glossary: terms } : body;
  }

  function glossary() {
    const lines = $("glossary").value.split("\n").map((line) => line.split("\t").map((part) => part.trim()));
    return Object.fromEntries(lines.filter((parts) => parts.length === 2 && parts[0] && parts[1]));
  }

  function complain(text) {
    $("problem").hidden = !text;
    $("problem").textContent = text || "";
  }

  // Translation

  let timer = 0, running = null;
  function later(pause = PAUSE) {
    clearTimeout(timer);
    count();
    timer = setTimeout(translate, pause);
  }

  async function translate() {
    running?.abort();
    const own = running = new AbortController(), text = $("input").value;
    complain("");
    closeMenu();
    if (!text.trim()) { state.answer = null; show(); return; }
    $("output").classList.add("waiting");
    const start = performance.now();
    const second = $("compare").checked ? compare(text, own.signal) : null;
    try {
      const answer = (await call("v1/translate", request(text), { signal: own.signal })).translations[0];
      state.answer = answer;
      state.asked = { source: answer.source, target: $("target").value };
      if ($("model").value) state.asked.model = $("model").value;
      const seconds = ((performance.now() - start) / 1000).toFixed(2);
      const detected = answer.confidence === undefined ? "" : `, ${nameOf(answer.source)} detected (${answer.confidence} %)`;
      show(`${seconds} s${detected}`);
      if (answer.source === $("target").value && answer.confidence !== 0) complain(`The text is in ${nameOf(answer.source)} already: choose another language to translate to.`);
      remember(text, answer.text);
      await second;
      await addProbabilities(own.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      state.answer = null;
      show();
      complain(error.message);
    }
  }

  async function compare(text, signal) {
    const base = $("server").value.trim().replace(/\/*$/, (end) => ($("server").value.trim() ? "/" : end)), beam = Number($("beam").value);
    // Another server has models of its own.
    const model = base ? { model: undefined } : $("model-2").value ? { model: $("model-2").value } : {};
    const changes = { n_best: 1, ...PLAIN, suggest: undefined, ...model, ...(beam ? { beam_size: beam } : {}) };
    try {
      const start = performance.now();
      const answer = (await call("v1/translate", request(text, changes), { base, signal })).translations[0];
      state.second = answer.text;
      $("status-2").textContent = `${((performance.now() - start) / 1000).toFixed(2)} s`;
    } catch (error) {
      if (error.name === "AbortError") return;
      state.second = "";
      $("status-2").textContent = error.message;
    }
    showSecond();
  }

  function showSecond() {
    $("output-2").replaceChildren(...marked(state.answer ? state.answer.text : "", state.second || ""));
  }

  // A text with the words that another one lacks as marks; line breaks stay.
  function marked(other, text) {
    const a = words(other), b = text.split(/(\s+)/), lengths = [];
    const own = b.filter((_, i) => i % 2 === 0);
    if (a.length * own.length > 4e6) return [text];
    for (let i = a.length; i >= 0; i--) {
      lengths[i] = [];
      for (let j = own.length; j >= 0; j--) {
        lengths[i][j] = i === a.length || j === own.length ? 0
          : a[i] === own[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
      }
    }
    const parts = [];
    for (let i = 0, j = 0; j < own.length; j++) {
      while (i < a.length && a[i] !== own[j] && lengths[i + 1][j] >= lengths[i][j + 1]) i++;
      const same = i < a.length && a[i] === own[j];
      if (same) i++;
      parts.push(same || !own[j] ? own[j] : element("mark", own[j]), b[2 * j + 1] || "");
    }
    return parts;
  }

  // Sentences word by word

  function show(status = "") {
    const answer = state.answer;
    state.held = null;
    $("output").classList.remove("waiting");
    $("output").textContent = answer ? answer.text : "";
    $("input").lang = answer ? state.asked.source : "";
    $("output").lang = $("output-2").lang = $("menu").lang = $("target").value;
    $("status").textContent = status;
    $("swap").disabled = $("source").value === "auto" && !answer;
    const suspects = answer ? answer.sentences.flatMap((sentence, at) => (problemsOf(sentence).length ? [at] : [])) : [];
    const suspect = suspects.length;
    $("jump").hidden = !suspect;
    $("jump").textContent = `⚠ Problems in ${suspect} of ${answer?.sentences.length} sentence${answer?.sentences.length > 1 ? "s" : ""}`;
    $("details").hidden = !answer || !answer.sentences.length;
    const shown = answer ? answer.sentences.slice(0, Math.max(MAX_SENTENCES, (suspects[0] ?? 0) + 1)) : [];
    $("sentences").replaceChildren(...shown.map(drawSentence));
    if (answer && answer.sentences.length > shown.length) {
      $("sentences").append(element("p", `The first ${shown.length} of ${answer.sentences.length} sentences.`, "note"));
    }
    if (!answer) { state.second = ""; $("status-2").textContent = ""; }
    showSecond();
  }

  // What the check has found in a sentence, as messages with texts, and `fits`, which tells what word such a text is in.
  function problemsOf({ problems, memory }) {
    const found = [], add = (side, message, texts, fits) => { if (texts?.length) found.push({ side, message, texts, fits }); };
    const isWord = (word, text) => [word, bare(word)].some((each) => each.toLowerCase() === text.toLowerCase());
    const holds = (word, text) => word.includes(text) || text.split(/\s+/).includes(word);
    const hasNumber = (word, text) => (word.match(/\d+(?:[.,:/]\d+)*/g) ?? []).some((number) => number.replace(/\D/g, "") === text);
    Object.entries(TEXTS).forEach(([name, title]) => {
      const fits = name === "numbers" ? hasNumber : holds;
      add("from", `${title} missing in the translation`, problems?.[name]?.lost, fits);
      add("to", `${title} not in the source`, problems?.[name]?.added, fits);
    });
    add("from", "Probably not translated", problems?.uncovered, isWord);
    // A human translation has words that the model would not choose.
    if (memory?.similarity !== 1) add("to", "The model expects something else here", problems?.unsupported, isWord);
    add("to", "Letters of another script", [...new Set(problems?.script)], holds);
    if (problems?.sentences) add("", problems.sentences > 1 ? `${problems.sentences} sentences are missing` : "A sentence is missing", [""]);
    if (problems?.degenerate) add("", `The translation ${DEGENERATE[problems.degenerate]}`, [""]);
    return found;
  }

  function drawProblems(problems, index, canRepair) {
    const repair = element("button", "Repair"), items = problems.map(({ message, texts }) => {
      const named = element("bdi", texts.map((text) => (text === "</s>" ? "the end" : text)).join(", "));
      return element("li", texts[0] ? [message, ": ", named] : message);
    });
    repair.title = "Search for a translation without these problems";
    repair.addEventListener("click", () => replace(index, "", { check: "repair" }));
    return element("div", [element("ul", items), ...(canRepair ? [repair] : [])], "suspicious");
  }

  function drawSentence(sentence, index) {
    const box = element("article", undefined, "sentence"), sides = { from: [], to: [] }, problems = problemsOf(sentence);
    box.setAttribute("aria-label", `Sentence ${index + 1}`);
    const highlight = (side, at) => {
      const other = side === "from" ? "to" : "from", links = sentence.alignment || [];
      const linked = new Set(links.filter(([s, t]) => (side === "from" ? s : t) === at).map(([s, t]) => (side === "from" ? t : s)));
      sides.from.concat(sides.to).forEach((button) => button.classList.remove("chosen", "linked"));
      if (!side) return;
      sides[side][at].classList.add("chosen");
      linked.forEach((i) => sides[other][i]?.classList.add("linked"));
    };
    const row = (side, text, label, probabilities) => {
      const line = element("div", undefined, `words ${side}`);
      line.setAttribute("role", "group");
      line.setAttribute("aria-label", label);
      line.dir = "auto";
      line.lang = state.asked[side === "from" ? "source" : "target"];
      words(text).forEach((word, at) => {
        const button = element("button", word, "word");
        button.tabIndex = at ? -1 : 0;
        const notes = problems.filter((each) => each.side === side && each.texts.some((text) => each.fits(word, text))).map(({ message }) => message);
        if (notes.length) { button.classList.add("suspect"); describe(button, notes.join("; ")); }
        if (probabilities) addBar(button, probabilities[at]);
        button.addEventListener("pointerenter", () => { if (!state.held) highlight(side, at); });
        button.addEventListener("pointerleave", () => { if (!state.held) highlight(null); });
        button.addEventListener("focus", () => { if (!state.held) highlight(side, at); });
        button.addEventListener("keydown", (event) => move(event, sides[side], at));
        button.addEventListener("click", () => {
          highlight(side, at);
          if (side === "to") openMenu(index, at, button);
        });
        sides[side].push(button);
        line.append(button);
      });
      return line;
    };
    box.append(row("from", sentence.source, "Source words"), row("to", sentence.translation, "Words of the translation", sentence.probabilities));
    if (problems.length) box.append(drawProblems(problems, index, sentence.repaired === undefined && sentence.memory?.similarity !== 1));
    if (sentence.missing) box.append(element("p", `Could not be placed: ${sentence.missing.join(", ")}`, "problem"));
    const others = (sentence.n_best || []).slice(1);
    const more = element("div", undefined, "more");
    if (sentence.confidence !== undefined) {
      const certain = element("span", `${Math.round(100 * sentence.confidence)} % confidence`, "note");
      certain.title = "Probability that the translation is acceptable";
      more.append(certain);
    }
    const model = modelOf(state.answer);
    if (model) {
      const link = element("a", "Search and attention");
      link.href = `sentence#${new URLSearchParams({ text: sentence.source, model })}`;
      more.append(link);
    }
    if (others.length) more.append(drawCandidates(sentence, index, others));
    const canCorrect = state.settings.suggestions && state.asked.source !== state.asked.target;
    if (canCorrect) more.append(drawCorrection(sentence, index));
    if (sentence.memory) box.append(drawMemory(sentence, index));
    box.append(more);
    return box;
  }

  // The entry of the translation memory: the translation itself, or that of a similar sentence.
  function drawMemory({ memory, translation }, index) {
    if (memory.similarity === 1) return element("p", "From the translation memory", "note memory");
    const text = element("span", [`${memory.source} → `, ...marked(translation, memory.translation)]);
    text.dir = "auto";
    const title = `Similar sentence (${Math.round(100 * memory.similarity)} %): `;
    return element("p", [title, text, " ", useButton(memory.translation, index)], "memory");
  }

  function useButton(translation, index) {
    const use = element("button", "Use");
    use.setAttribute("aria-label", `Use “${translation}”`);
    use.addEventListener("click", () => replace(index, translation));
    return use;
  }

  function drawCorrection(sentence, index) {
    const text = element("textarea", sentence.translation), save = element("button", "Save");
    text.rows = 2;
    text.dir = "auto";
    text.setAttribute("aria-label", "Corrected translation");
    save.addEventListener("click", async () => {
      save.disabled = true;
      try {
        await call("v1/feedback", { ...state.asked, text: sentence.source, translation: text.value });
        if (state.answer?.sentences[index] === sentence) await replace(index, "", {}, "saved");
      } catch (error) { save.disabled = false; complain(error.message); }
    });
    return element("details", [element("summary", "Correct"), text, " ", save]);
  }

  function addBar(button, probability) {
    const bar = element("i", undefined, probability < 0.3 ? "low" : "");
    bar.style.setProperty("--p", probability);
    button.append(bar);
    describe(button, `probability ${probability.toFixed(2)}`);
  }

  function describe(button, text) {
    button.title = button.title ? `${button.title}; ${text}` : text;
    button.setAttribute("aria-description", button.title);
  }

  // The model that has translated, if one alone has.
  function modelOf(answer) {
    const fits = state.models.filter(({ source, target }) => source.code === answer.source && target.code === $("target").value);
    return (fits.find(({ name }) => name === state.asked?.model) || fits[0])?.name;
  }

  function drawCandidates(sentence, index, others) {
    const list = element("ol", others.map((candidate) => {
      const text = element("span", marked(sentence.translation, candidate.translation));
      text.dir = "auto";
      text.lang = state.asked.target;
      return element("li", [text, " ", element("span", candidate.score.toFixed(2), "note"), " ", useButton(candidate.translation, index)]);
    }), "best");
    const section = element("details", [element("summary", `${others.length} other translation${others.length > 1 ? "s" : ""}`), list]);
    section.open = stored("open", false);
    section.addEventListener("toggle", () => store("open", section.open));
    list.start = 2;
    return section;
  }

  function move(event, buttons, at) {
    const forward = getComputedStyle(buttons[at].parentElement).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    const by = { [forward]: 1, [forward === "ArrowRight" ? "ArrowLeft" : "ArrowRight"]: -1 }[event.key];
    const next = { Home: 0, End: buttons.length - 1 }[event.key] ?? (by && at + by);
    if (next === undefined || !buttons[next]) return;
    buttons[at].tabIndex = -1;
    buttons[next].tabIndex = 0;
    buttons[next].focus();
    event.preventDefault();
  }

  // A line in capitals or a title was translated as ordinary text: the model can't judge its words as they stand.
  function isRestored({ tokens, translation }) {
    const [own, shown] = [tokens.join("").replaceAll("▁", ""), translation.replace(/\s/g, "")];
    return own !== shown && own.toLowerCase() === shown.toLowerCase();
  }

  // Of the words of each sentence, from those of their tokens; a model that can't score leaves them out.
  async function addProbabilities(signal) {
    const shown = state.answer?.sentences.slice(0, MAX_SENTENCES) ?? [];  // none if the text was deleted since
    let scores;
    try {
      const pairs = shown.map((sentence) => [sentence.source, sentence.translation]);
      if (!pairs.length || state.asked.source === state.asked.target) return;
      ({ scores } = await call("v1/score", { ...state.asked, pairs }, { signal }));
    } catch { return; }
    scores.forEach(({ tokens, token_log_probabilities: logs }, i) => {
      const found = [];
      tokens.slice(0, -1).forEach((token, t) => {
        if (token.startsWith("▁") || !found.length) found.push(0);
        found[found.length - 1] += logs[t];
      });
      if (state.answer?.sentences[i] !== shown[i]) return;  // the text has changed since
      if (found.length !== words(shown[i].translation).length || isRestored(shown[i])) return;
      shown[i].probabilities = found.map(Math.exp);
      const buttons = $("sentences").children[i]?.querySelectorAll(".to .word") ?? [];
      buttons.forEach((button, at) => { if (!button.querySelector("i")) addBar(button, shown[i].probabilities[at]); });
    });
  }

  // Another translation of one sentence

  function within(index) {
    let begin = 0;
    state.answer.sentences.slice(0, index + 1).forEach((sentence, i) => {
      begin = state.answer.text.indexOf(sentence.translation, begin);
      if (i < index) begin += sentence.translation.length;
    });
    return begin;
  }

  async function replace(index, prefix, changes = {}, status = "changed") {
    const { answer } = state, old = answer.sentences[index];
    try {
      const body = request(old.source, { ...state.asked, split: false, prefix, ...changes });
      const [sentence] = (await call("v1/translate", body)).translations[0].sentences;
      if (state.answer !== answer || answer.sentences[index] !== old) return;  // the text has changed since
      const start = within(index), { text } = answer;
      answer.text = text.slice(0, start) + sentence.translation + text.slice(start + old.translation.length);
      if (prefix || changes.check) delete sentence.confidence;  // it is that of translations which the model chose
      if (prefix && sentence.problems?.unsupported) {  // nor is what the user has chosen a problem
        const chosen = new Set(words(prefix));
        sentence.problems.unsupported = sentence.problems.unsupported.filter((word) => !chosen.has(word));
      }
      answer.sentences[index] = sentence;
      show(sentence.repaired === false ? "nothing better was found" : status);
      $("sentences").children[index]?.querySelector(".to .word")?.focus();
      await addProbabilities();
    } catch (error) { complain(error.message); }
  }

  let options = [], selected = 0, opener = null;
  async function openMenu(index, at, button) {
    const sentence = state.answer.sentences[index], given = words(sentence.translation).slice(0, at), menu = $("menu");
    state.held = opener = button;
    options = [];
    menu.replaceChildren(element("p", "Looking for alternatives …", "note"));
    menu.hidden = false;
    place(button);
    menu.focus({ preventScroll: true });
    try {
      const body = { ...request(sentence.source), ...state.asked, split: false, prefix: given.join(" "), n_best: ALTERNATIVES, ...PLAIN };
      delete body.glossary;
      const [found] = (await call("v1/translate", body)).translations[0].sentences;
      if (opener !== button) return;
      const current = words(sentence.translation)[at], seen = new Set([current]);
      found.n_best.forEach((candidate) => {
        const own = words(candidate.translation), word = own[at];
        if (!word || seen.has(word) || own.slice(0, at).join(" ") !== given.join(" ")) return;
        seen.add(word);
        // With the next word, as the pieces of a word may be the beginning of another: "house" of "houses".
        options.push({ word, prefix: own.slice(0, at + 2).join(" "), rest: own.slice(at + 1, at + 5).join(" "), score: candidate.score });
      });
      drawMenu(index);
      place(button);
    } catch (error) {
      menu.replaceChildren(element("p", error.message, "note"));
    }
  }

  function drawMenu(index) {
    $("menu").replaceChildren(...options.map((option, i) => {
      const item = element("div", [element("span", option.word), element("small", option.rest ? `… ${option.rest}` : "")]);
      item.id = `option-${i}`;
      item.setAttribute("role", "option");
      [...item.children].forEach((part) => { part.dir = "auto"; });
      item.addEventListener("pointerenter", () => select(i));
      item.addEventListener("click", () => choose(index, i));
      return item;
    }));
    if (!options.length) $("menu").append(element("p", "The model knows nothing else here.", "note"));
    $("menu").onkeydown = (event) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (by && options.length) select((selected + by + options.length) % options.length);
      else if (event.key === "Enter" && options.length) choose(index, selected);
      else return;
      event.preventDefault();
    };
    select(0);
  }

  function select(i) {
    selected = i;
    [...$("menu").querySelectorAll("[role=option]")].forEach((item, at) => {
      item.setAttribute("aria-selected", String(at === i));
      if (at === i) { $("menu").setAttribute("aria-activedescendant", item.id); item.scrollIntoView({ block: "nearest" }); }
    });
  }

  function choose(index, i) {
    const { prefix } = options[i];
    closeMenu();
    replace(index, prefix);
  }

  function place(button) {
    const menu = $("menu"), at = button.getBoundingClientRect(), width = document.documentElement.clientWidth;
    menu.style.top = `${at.bottom + scrollY + 4}px`;
    menu.style.left = `${Math.max(8, Math.min(at.left, width - menu.offsetWidth - 8)) + scrollX}px`;
  }

  function closeMenu(back = false) {
    if ($("menu").hidden) return;
    $("menu").hidden = true;
    $("menu").removeAttribute("aria-activedescendant");
    const from = opener;
    opener = state.held = null;
    if (back) from?.focus();
  }

  // Files, history, clipboard

  async function translateFile(file) {
    const line = element("span", `${file.name}: translating …`), form = new FormData();
    $("files").append(line, element("br"));
    form.append("file", file);
    form.append("source", $("source").value);
    form.append("target", $("target").value);
    form.append("glossary", Object.entries(glossary()).map((term) => term.join("\t")).join("\n"));
    try {
      const { translatedFileUrl, missing } = await call("translate_file", form), link = element("a", `Download the translation of ${file.name}`);
      link.href = new URL(translatedFileUrl).pathname;
      link.download = file.name;
      line.replaceChildren(link, missing ? ` Could not be placed everywhere: ${Object.values(missing).join(", ")}` : "");
    } catch (error) { line.textContent = `${file.name}: ${error.message}`; line.className = "problem"; }
  }

  function remember(text, translation) {
    const entry = { text, translation, source: $("source").value, target: $("target").value };
    const known = stored("history", []).filter((old) => !(text.startsWith(old.text) || old.text === text));
    store("history", [entry, ...known].slice(0, MAX_HISTORY));
    drawHistory();
  }

  function drawHistory() {
    $("history").replaceChildren(...stored("history", []).map((entry, index) => {
      const open = element("button", undefined, "open"), remove = element("button", "Delete");
      [entry.text, entry.translation].forEach((text) => { const line = element("span", text); line.dir = "auto"; open.append(line); });
      remove.setAttribute("aria-label", `Delete “${entry.text.slice(0, 40)}” from the history`);
      open.addEventListener("click", () => {
        $("source").value = entry.source;
        if ($("source").selectedIndex < 0) $("source").value = "auto";  // a language of models that were served before
        fillTargets(entry.target);
        $("input").value = entry.text;
        later(0);
        $("input").focus();
      });
      remove.addEventListener("click", () => {
        store("history", stored("history", []).filter((_, i) => i !== index));
        drawHistory();
        ($("history").children[Math.min(index, $("history").children.length - 1)]?.querySelector(".open") ?? $("forget")).focus();
      });
      return element("li", [open, remove]);
    }));
    $("forget").hidden = !$("history").children.length;
  }

  async function copy(text, button) {
    try { await navigator.clipboard.writeText(text); } catch {
      const area = element("textarea", text);
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    $("status").textContent = "copied";
  }

  function curl() {
    const body = JSON.stringify(request($("input").value)).replaceAll("'", "'\\''");
    const key = $("key").value ? ` -H 'Authorization: Bearer ${$("key").value}'` : "";
    return `curl ${new URL("v1/translate", location.href)} -H 'Content-Type: application/json'${key} -d '${body}'`;
  }

  // Languages and settings

  const nameOf = (code) => state.languages.find((language) => language.code === code)?.name ?? code;
  const option = (code, name) => Object.assign(element("option", name), { value: code });

  function fillTargets(wanted = $("target").value) {
    const known = state.languages.find(({ code }) => code === $("source").value);
    const codes = (known ? known.targets.filter((code) => code !== known.code) : state.languages.map(({ code }) => code));
    $("target").replaceChildren(...codes.map((code) => option(code, nameOf(code))));
    if (codes.includes(wanted)) $("target").value = wanted;
    fillModels();
    store("languages", [$("source").value, $("target").value]);
  }

  // The models of the direction, where there are several.
  function fillModels() {
    const source = $("source").value, target = $("target").value;
    const models = state.models.filter((model) => model.target.code === target && (source === "auto" || model.source.code === source));
    const isChoice = models.length > 1 && new Set(models.map((model) => model.source.code)).size === 1;
    ["model", "model-2"].forEach((id, at) => {
      const before = $(id).value, names = isChoice ? models.map(({ name }) => name) : [];
      $(id).replaceChildren(...names.map((name) => option(name, name)));
      if (isChoice) $(id).value = names.includes(before) ? before : names[at];
      $(id).parentElement.hidden = !isChoice;
    });
  }

  function swap() {
    const from = $("source").value === "auto" ? state.answer?.source : $("source").value, to = $("target").value;
    const reverse = state.languages.find(({ code }) => code === to);
    if (!from || !reverse?.targets.includes(from)) { complain(`There is no model from ${nameOf(to)} to ${nameOf(from)}.`); return; }
    $("source").value = to;
    fillTargets(from);
    if (state.answer) $("input").value = state.answer.text;
    later(0);
  }

  function count() {
    const limit = state.settings.charLimit ?? -1, length = [...$("input").value].length;
    $("count").textContent = limit > 0 ? `${length.toLocaleString()} of ${limit.toLocaleString()} characters` : `${length.toLocaleString()} characters`;
    const terms = Object.keys(glossary()).length;
    $("glossary-count").textContent = terms ? `${terms} term${terms > 1 ? "s" : ""}` : "";
  }

  async function start() {
    try {
      [state.languages, state.settings, { models: state.models }] = await Promise.all(["languages", "frontend/settings", "v1/models"].map((path) => call(path)));
    } catch (error) { complain(error.message); return; }
    const sources = state.languages.filter(({ code, targets }) => targets.some((target) => target !== code));
    $("source").replaceChildren(option("auto", "Detect"), ...sources.map(({ code, name }) => option(code, name)));
    const [source, target] = stored("languages", ["auto", state.settings.language?.target.code]);
    if ([...$("source").options].some(({ value }) => value === source)) $("source").value = source;
    fillTargets(target);
    $("glossary").value = stored("glossary", "");
    $("key-section").hidden = !state.settings.apiKeys;
    $("file").accept = (state.settings.supportedFilesFormat || []).join(",");
    $("file").parentElement.hidden = !state.settings.filesTranslation;
    drawHistory();
    later(0);
  }

  $("form").addEventListener("submit", (event) => event.preventDefault());
  $("input").addEventListener("input", () => later());
  $("input").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) later(0); });
  $("source").addEventListener("change", () => { fillTargets(); later(0); });
  $("target").addEventListener("change", () => { fillTargets(); later(0); });
  [$("model"), $("model-2")].forEach((field) => field.addEventListener("change", () => later(0)));
  $("swap").addEventListener("click", swap);
  $("clear").addEventListener("click", () => { $("input").value = ""; $("files").replaceChildren(); later(0); $("input").focus(); });
  $("jump").addEventListener("click", () => {
    const first = $("sentences").querySelector(".suspicious")?.closest(".sentence");
    first?.scrollIntoView({ block: "center" });
    (first?.querySelector(".suspect") ?? first?.querySelector(".word, button"))?.focus();
  });
  $("copy").addEventListener("click", () => copy(state.answer?.text ?? "", $("copy")));
  $("curl").addEventListener("click", () => copy(curl(), $("curl")));
  $("glossary").addEventListener("input", () => { store("glossary", $("glossary").value); later(); });
  $("key").addEventListener("change", () => later(0));
  $("compare").addEventListener("change", () => {
    $("second").hidden = !$("compare").checked;
    if (!$("server").value && !$("beam").value && !$("model-2").value) $("beam").value = 1;
    later(0);
  });
  [$("server"), $("beam")].forEach((field) => field.addEventListener("change", () => later(0)));
  $("forget").addEventListener("click", () => { store("history", []); drawHistory(); document.querySelector("#history-section summary").focus(); });
  $("file").addEventListener("change", () => { [...$("file").files].forEach(translateFile); $("file").value = ""; });
  addEventListener("storage", ({ key }) => {  // of another tab; where the storage is full, the own glossary isn't there
    if (key === "nmt.glossary") $("glossary").value = stored("glossary", "");
    drawHistory();
    count();
  });
  document.addEventListener("keydown", (event) => { if (["Escape", "Tab"].includes(event.key)) closeMenu(true); });
  document.addEventListener("pointerdown", (event) => { if (!$("menu").contains(event.target)) closeMenu(); });
  const pane = $("input").closest(".pane");
  const hasFiles = ({ dataTransfer }) => dataTransfer.types.includes("Files");  // the browser itself moves words of a field
  document.addEventListener("dragover", (event) => { if (hasFiles(event)) { event.preventDefault(); pane.classList.add("over"); } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) pane.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    pane.classList.remove("over");
    [...event.dataTransfer.files].forEach(translateFile);
  });
  start();
})();
