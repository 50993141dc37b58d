// Runs the model beside the page, so that the page stays responsive. Each message has the number of its request.

import { loadSentences, sentencesOf, sideBySide } from "./sentences.js";
import { INVISIBLE, Translator } from "./translator.js";

const folder = new URL("./", import.meta.url);
const model = Translator.load(folder, (loaded, total) => postMessage({ kind: "loading", loaded, total }));
const loading = Promise.all([model, loadSentences()]);
loading.then(
  ([{ config }]) => postMessage({ kind: "ready", config }),
  (error) => postMessage({ kind: "failed", message: error.message }),
);

let waiting = Promise.resolve(); // a session of onnxruntime computes one request at a time

onmessage = ({ data: { number, text, options } }) => {
  waiting = waiting.then(async () => {
    try {
      const [model] = await loading;
      const lines = text.replace(INVISIBLE, "").split(/\r?\n/);
      const divided = lines.map((line) => sentencesOf(line, model.config.languages[0])), sentences = divided.flat();
      const onProgress = (count) => postMessage({ kind: "progress", number, count, total: sentences.length });
      const results = await model.translate(sentences, options, onProgress);
      for (const result of results) {
        result.sourcePieces = result.source.map((id) => model.source.piece(id));
        result.targetPieces = result.ids.map((id) => model.target.piece(id));
        result.attention = result.ids.length ? await model.attention(result.source, result.ids) : [];
      }
      const translations = results.map((result) => result.text);
      const texts = lines.map((line, i) => { // a line of mere marks, such as an emoji, stays as it is
        const count = divided[i].length;
        return count ? sideBySide(translations.splice(0, count)) : line.trim();
      });
      postMessage({ kind: "result", number, results, texts });
    } catch (error) {
      postMessage({ kind: "error", number, message: error.message });
    }
  });
};
