// Divides text into sentences by sentencex, as nmt does (nmt/extensions/documents/segmentation.py).

import load, { segment } from "./runtime/sentencex_wasm.js";

const BREAKS = /([\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+)/; // end a sentence, whatever is around them
const hasLetters = (text) => /[\p{L}\p{N}]/u.test(text);

// Letters and marks of Chinese and Japanese, behind which no space stands (ends_narrow in nmt/translation/patterns.py).
const WIDE = "\\u2e80-\\u303e\\u3041-\\u312f\\u3190-\\u31ff\\u3220-\\ua4cf\\uf900-\\ufaff\\ufe30-\\ufe6f\\uff01-\\uff60\\uffe0-\\uffe6\\u{20000}-\\u{3ffff}";
const ENDS_WIDE = new RegExp(`[${WIDE}]["'”’…—)]*$`, "u");

/** Loads sentencex. */
export const loadSentences = () => load();

/** Returns the sentences of a line; a mark inside a name such as ASP.NET ends none, and a line of mere marks has none. */
export function sentencesOf(line, language) {
  if (!hasLetters(line)) return [];
  const sentences = [""];
  for (const text of line.split(BREAKS)) {
    const parts = [""];
    for (const part of segment(language, text)) {
      const edge = parts.at(-1).slice(-1) + part.slice(0, 1);
      if (/^\s|[^\x00-\x7f]/.test(edge)) parts.push("");
      parts[parts.length - 1] += part;
    }
    for (const part of parts.join("") === text ? parts : [text]) {
      if (hasLetters(sentences.at(-1)) && hasLetters(part)) sentences.push("");
      sentences[sentences.length - 1] += part;
    }
  }
  return sentences.map((sentence) => sentence.trim()).filter(Boolean);
}

/** Returns sentences as one text, with spaces between them if their script has any. */
export function sideBySide(sentences) {
  return sentences.reduce((text, sentence) => text + (text && sentence && !ENDS_WIDE.test(text) ? " " : "") + sentence, "");
}
