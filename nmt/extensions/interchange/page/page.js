// The page: text in, translations with their word alignment out.

const $ = (id) => document.getElementById(id);
const SPACE = "\u2581";
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
let newest = 0, isReady = false, hasFailed = false, shown = [];

const status = (text) => { $("status").textContent = text; };
const nameOf = (code) => {
  try {
    return new Intl.DisplayNames([navigator.language, "en"], { type: "language" }).of(code) ?? code;
  } catch {
    return code; // not a language code
  }
};

/** Returns words, and for each piece the index of its word; language tokens, which are null, are in no word. */
function wordsOf(pieces) {
  const words = [], indices = [];
  for (const piece of pieces) {
    if (piece === null) {
      indices.push(-1);
      continue;
    }
    if (!words.length || piece.startsWith(SPACE)) words.push("");
    words[words.length - 1] += piece.replaceAll(SPACE, " ").trimStart();
    indices.push(words.length - 1);
  }
  return [words, indices];
}

/** Attention between words [target][source], each row with sum 1; weight on the end of the sentence is left out. */
function wordWeights(result, [sources, sourceIndex], [targets, targetIndex]) {
  const weights = targets.map(() => new Array(sources.length).fill(0));
  result.attention.forEach((row, t) => sourceIndex.forEach((s, at) => {
    if (s >= 0 && targetIndex[t] >= 0) weights[targetIndex[t]][s] += row[at];
  }));
  // One round of competition: what a source word gives is divided among the target words (as `nmt align` does).
  const given = sources.map((_, s) => weights.reduce((sum, row) => sum + row[s], 0) || 1);
  return weights.map((row) => {
    const shares = row.map((weight, s) => weight / given[s]), sum = shares.reduce((a, b) => a + b, 0) || 1;
    return shares.map((share) => share / sum);
  });
}

function sentenceView(result) {
  const source = wordsOf(result.sourcePieces), target = wordsOf(result.targetPieces);
  const weights = wordWeights(result, source, target);
  const view = Object.assign(document.createElement("div"), { className: "sentence" });
  const line = (words, language, side) => {
    const paragraph = Object.assign(document.createElement("p"), { lang: language, dir: "auto" });
    const spans = words.map((word, i) => {
      const span = Object.assign(document.createElement("span"), { textContent: word, className: "word" });
      if (side === "target") {
        span.tabIndex = 0;
        span.setAttribute("role", "button");
        const main = weights[i].indexOf(Math.max(...weights[i]));
        span.setAttribute("aria-label", `${word}: ${source[0][main] ?? ""}, ${Math.round(100 * (weights[i][main] ?? 0))} %`);
      }
      if (i) paragraph.append(" ");
      paragraph.append(span);
      return span;
    });
    view.append(paragraph);
    return spans;
  };
  const [from, to] = shown.languages;
  const sources = line(source[0], from, "source"), targets = line(target[0], to, "target");
  const mark = (i) => {
    targets.forEach((span, at) => span.classList.toggle("chosen", at === i));
    sources.forEach((span, s) => span.style.setProperty("--weight", i === null ? 0 : weights[i][s].toFixed(3)));
  };
  targets.forEach((span, i) => {
    for (const event of ["pointerenter", "focus", "click"]) span.addEventListener(event, () => mark(i));
    for (const event of ["pointerleave", "blur"]) span.addEventListener(event, () => mark(null));
  });
  return view;
}

function show(results, texts, milliseconds) {
  const views = [];
  $("translation").value = texts.join("\n");
  for (const result of results) if (result.ids.length) views.push(sentenceView(result));
  $("alignment").replaceChildren(...views);
  $("details").hidden = !views.length;
  const plural = results.length === 1 ? "sentence" : "sentences";
  const cut = results.filter((each) => each.isCut).length;
  const warning = cut ? ` Too long for the model, so only the beginning was translated: ${cut} of them.` : "";
  status(`${results.length} ${plural} in ${(milliseconds / 1000).toFixed(1)} s. Nothing left this computer.${warning}`);
}

function translate() {
  if (!isReady) return;
  const number = ++newest;
  shown.requests.set(number, performance.now());
  $("translate").disabled = true;
  worker.postMessage({ number, text: $("source").value, options: { beam_size: Number($("beam").value) } });
}

const handlers = {
  loading({ loaded, total }) {
    if (hasFailed) return; // other files are still on their way
    $("progress").value = loaded / total;
    status(`Loading the model: ${(loaded / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB.`);
  },
  ready({ config }) {
    isReady = true;
    shown = { languages: config.languages, requests: new Map() };
    const [from, to] = config.languages.map(nameOf);
    document.title = `${from} to ${to}`;
    $("title").textContent = `${from} to ${to}`;
    $("source-label").textContent = from;
    $("translation-label").textContent = to;
    $("source").lang = config.languages[0];
    $("translation").lang = config.languages[1];
    $("beam").value = config.decoding.beam_size;
    $("progress").hidden = true;
    $("translate").disabled = false;
    status("The model is loaded. It works without a network.");
    document.documentElement.dataset.ready = "true";
  },
  progress({ number, count, total }) {
    if (number === newest && total > 1) status(`${count} of ${total} sentences are translated.`);
  },
  result({ number, results, texts }) {
    const start = shown.requests.get(number);
    shown.requests.delete(number);
    if (number !== newest) return;
    $("translate").disabled = false;
    show(results, texts, performance.now() - start);
  },
  error({ message }) {
    $("translate").disabled = false;
    status(`The translation failed: ${message}`);
  },
  failed({ message }) {
    hasFailed = true;
    $("progress").hidden = true;
    status(`The model can't be loaded: ${message} Reload the page to try again.`);
  },
};

worker.onmessage = ({ data }) => handlers[data.kind](data);
worker.onerror = () => handlers.failed({ message: "The browser refused to run it." });
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  translate();
});
$("source").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit(); // which checks the beam size
});
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("translation").value);
  } catch { // without HTTPS
    $("translation").select();
    document.execCommand("copy");
  }
  status("The translation was copied.");
});
if ("serviceWorker" in navigator) { // only over HTTPS or localhost
  navigator.serviceWorker.register("offline.js").catch(() => {});
  if (navigator.serviceWorker.controller) { // this page came from the browser's copy of an export
    navigator.serviceWorker.addEventListener("controllerchange", () => {
      if ($("source").value) $("title").textContent += " (a new version is here: reload the page)";
      else location.reload();
    });
  }
}
