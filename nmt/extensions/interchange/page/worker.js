// Runs the model beside the page, so that the page stays responsive. Each message has the number of its request.

import { loadSentences, sentencesOf } from "./sentences.js";
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
      const divided = text.split(/\r?\n/).map((line) => sentencesOf(line.replace(INVISIBLE, ""), model.config.languages[0]));
      const lines = divided.flat(), counts = divided.map((sentences) => sentences.length);
      const onProgress = (count) => postMessage({ kind: "progress", number, count, total: lines.length });
      const results = await model.translate(lines, options, onProgress);
      for (const result of results) {
        result.sourcePieces = result.source.map((id) => model.source.piece(id));
        result.targetPieces = result.ids.map((id) => model.target.piece(id));
        result.attention = result.ids.length ? await model.attention(result.source, result.ids) : [];
      }
      postMessage({ kind: "result", number, results, counts });
    } catch (error) {
      postMessage({ kind: "error", number, message: error.message });
    }
  });
};
