// Applies a sentencepiece model: normalisation, segmentation (unigram, BPE, characters) and decoding, as sentencepiece does it.

const SPACE = "\u2581";
const TYPES = { NORMAL: 1, UNKNOWN: 2, CONTROL: 3, USER_DEFINED: 4, UNUSED: 5, BYTE: 6 };
const UNIGRAM = 1, BPE = 2, CHARACTER = 4;
const TAG = /^\s*(<[^<>\s]+>)\s*/, LANGUAGE = /^(>>[^<>\s]+<<)/;
const UNKNOWN_PENALTY = 10; // below the lowest score, as in sentencepiece's unigram_model.cc
const byteName = (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true }); // a byte order mark is a character like others

/** Yields [field, value] of a message in the wire format of protocol buffers; the value is a number or bytes. */
function* fields(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0, factor = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 127) * factor;
      factor *= 128;
    } while (byte & 128);
    return value;
  };
  while (at < bytes.length) {
    const key = varint(), kind = key & 7;
    let value;
    if (kind === 0) {
      value = varint();
    } else if (kind === 2) {
      const size = varint();
      value = bytes.subarray(at, (at += size));
    } else if (kind === 5) {
      value = view.getFloat32(at, true);
      at += 4;
    } else {
      throw new Error("The vocabulary is not a sentencepiece model.");
    }
    yield [key >>> 3, value];
  }
}

/** The longest-match rules of a normaliser: a double array over UTF-8 bytes, and the replacements. */
class Rules {
  constructor(blob) {
    const size = new DataView(blob.buffer, blob.byteOffset).getUint32(0, true);
    const units = blob.slice(4, 4 + size);
    this.units = new Uint32Array(units.buffer);
    this.replacements = blob.subarray(4 + size);
  }

  /** Returns [length, replacement] of the longest rule that matches the bytes at a place; undefined if there is none. */
  match(bytes, start) {
    const { units } = this;
    const offset = (unit) => (unit >>> 10) << ((unit & 512) >>> 6);
    let node = offset(units[0]), found;
    for (let at = start; at < bytes.length; at++) {
      node ^= bytes[at];
      const unit = units[node];
      if ((unit & 0x800000ff) >>> 0 !== bytes[at]) break;
      node ^= offset(unit);
      if ((unit >>> 8) & 1) found = [at + 1 - start, units[node] & 0x7fffffff];
    }
    if (!found) return undefined;
    const end = this.replacements.indexOf(0, found[1]);
    return [found[0], utf8.decode(this.replacements.subarray(found[1], end))];
  }
}

/** A binary heap of merges; the one with the highest score comes first, of equal ones the leftmost. */
class Heap {
  #all = [];

  #isBefore(i, j) {
    const [one, other] = [this.#all[i], this.#all[j]];
    return one.score > other.score || (one.score === other.score && one.left < other.left);
  }

  #swap(i, j) {
    [this.#all[i], this.#all[j]] = [this.#all[j], this.#all[i]];
  }

  push(merge) {
    let at = this.#all.push(merge) - 1;
    for (let up; at && this.#isBefore(at, (up = (at - 1) >> 1)); at = up) this.#swap(at, up);
  }

  pop() {
    const all = this.#all, best = all[0], last = all.pop();
    if (!all.length) return best;
    all[0] = last;
    for (let at = 0; ; ) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < all.length && this.#isBefore(child, first)) first = child;
      if (first === at) return best;
      this.#swap(at, first);
      at = first;
    }
  }
}

export class Tokenizer {
  /** @param {Uint8Array} content of a .model file of sentencepiece */
  constructor(content) {
    this.pieces = [];
    this.types = [];
    this.scores = [];
    this.kind = UNIGRAM;
    Object.assign(this, { addPrefix: true, removeSpaces: true, escape: true, byteFallback: false, rules: null });
    for (const [field, value] of fields(content)) {
      if (field === 1) this.#addPiece(value);
      else if (field === 2) this.#readTrainer(value);
      else if (field === 3) this.#readNormaliser(value);
    }
    if (this.kind !== UNIGRAM && this.kind !== BPE && this.kind !== CHARACTER) {
      throw new Error("This kind of sentencepiece model is not supported.");
    }
    this.unknown = this.types.indexOf(TYPES.UNKNOWN);
    this.ids = new Map();
    this.pieces.forEach((piece, id) => {
      if ([TYPES.NORMAL, TYPES.USER_DEFINED].includes(this.types[id])) this.ids.set(piece, id);
    });
    this.byteIds = new Map(this.pieces.map((piece, id) => [piece, id]).filter(([, id]) => this.types[id] === TYPES.BYTE));
    this.typeOf = new Map(this.pieces.map((piece, id) => [piece, this.types[id]]));
    this.longest = Math.max(0, ...[...this.ids.keys()].map((piece) => [...piece].length));
    this.userDefined = this.pieces.filter((_, id) => this.types[id] === TYPES.USER_DEFINED).sort((a, b) => b.length - a.length);
    const normal = this.scores.filter((_, id) => this.types[id] === TYPES.NORMAL);
    this.unknownScore = Math.fround(normal.reduce((a, b) => Math.min(a, b), Infinity) - UNKNOWN_PENALTY);
    this.highest = normal.reduce((a, b) => Math.max(a, b), -Infinity);
  }

  #addPiece(message) {
    const entry = { 1: new Uint8Array(), 2: 0, 3: TYPES.NORMAL };
    for (const [field, value] of fields(message)) entry[field] = value;
    this.pieces.push(utf8.decode(entry[1]));
    this.scores.push(entry[2]);
    this.types.push(entry[3]);
  }

  #readTrainer(message) {
    for (const [field, value] of fields(message)) {
      if (field === 3) this.kind = value;
      else if (field === 35) this.byteFallback = Boolean(value);
    }
  }

  #readNormaliser(message) {
    for (const [field, value] of fields(message)) {
      if (field === 2 && value.length) this.rules = new Rules(value);
      else if (field === 3) this.addPrefix = Boolean(value);
      else if (field === 4) this.removeSpaces = Boolean(value);
      else if (field === 5) this.escape = Boolean(value);
    }
  }

  /** Returns the user-defined piece with which a text begins. */
  #fixed(text, at) {
    return this.userDefined.find((piece) => text.startsWith(piece, at));
  }

  normalise(text) {
    const well = text.toWellFormed ? text.toWellFormed() : text.replace(/\p{Surrogate}/gu, "\ufffd");
    const bytes = new TextEncoder().encode(well), space = this.escape ? SPACE : " ";
    let result = "", isAfterSpace = this.removeSpaces, isBegun = false, at = 0, character = 0;
    while (at < bytes.length) {
      const fixed = this.#fixed(well, character);
      const rule = fixed === undefined ? this.rules?.match(bytes, at) : undefined;
      let size, part;
      if (rule) {
        [size, part] = rule;
      } else {
        part = fixed ?? String.fromCodePoint(well.codePointAt(character));
        size = new TextEncoder().encode(part).length;
      }
      const source = utf8.decode(bytes.subarray(at, at + size));
      at += size;
      character += source.length;
      if (!isBegun && this.removeSpaces && part === " ") continue; // spaces in front of the text
      if (!isBegun && this.addPrefix) result += space;
      isBegun = true;
      if (isAfterSpace) part = part.replace(/^ +/, "");
      if (part) {
        result += this.escape ? part.replaceAll(" ", SPACE) : part;
        isAfterSpace = part.endsWith(" ");
      }
      if (!this.removeSpaces) isAfterSpace = false;
    }
    if (this.removeSpaces) {
      while (result.endsWith(space)) result = result.slice(0, -space.length);
    }
    return result;
  }

  /** Returns the pieces of a text; a run of unknown characters is one piece. */
  split(text) {
    const normalised = this.normalise(text), pieces = [];
    if (!normalised) return [];
    let isAfterUnknown = false;
    for (const piece of this.kind === UNIGRAM ? this.#unigram(normalised) : this.#merged(normalised)) {
      const isUnknown = !this.ids.has(piece);
      if (isUnknown && this.byteFallback) pieces.push(...[...new TextEncoder().encode(piece)].map(byteName));
      else if (isUnknown && isAfterUnknown) pieces.push(pieces.pop() + piece);
      else pieces.push(piece);
      isAfterUnknown = isUnknown;
    }
    return pieces;
  }

  /** Returns the ids of a text. */
  encode(text) {
    return this.split(text).map((piece) => this.ids.get(piece) ?? this.byteIds.get(piece) ?? this.unknown);
  }

  /** The segmentation with the highest sum of scores (Viterbi), in float32 as in sentencepiece. */
  #unigram(text) {
    const characters = [...text], size = characters.length;
    const best = new Float32Array(size + 1).fill(-Infinity), from = new Int32Array(size + 1);
    best[0] = 0;
    for (let start = 0; start < size; start++) {
      let piece = "", hasSingle = false;
      for (let end = start + 1; end <= Math.min(size, start + this.longest); end++) {
        piece += characters[end - 1];
        const id = this.ids.get(piece);
        if (id === undefined) continue;
        const isFixed = this.types[id] === TYPES.USER_DEFINED;
        const score = isFixed ? Math.fround(new TextEncoder().encode(piece).length * this.highest - 0.1) : this.scores[id];
        if (end === start + 1) hasSingle = true;
        this.#offer(best, from, start, end, score);
      }
      if (!hasSingle) this.#offer(best, from, start, start + 1, this.unknownScore);
    }
    const pieces = [];
    for (let end = size; end > 0; end = from[end]) pieces.unshift(characters.slice(from[end], end).join(""));
    return pieces;
  }

  #offer(best, from, start, end, score) {
    const sum = Math.fround(best[start] + score);
    if (sum > best[end]) {
      best[end] = sum;
      from[end] = start;
    }
  }

  /**
   * Merges neighbours to the piece with the highest score, the leftmost first, until none is left (BPE).
   * Possible merges wait in a heap, and those of parts that have changed since are passed over: n log n steps.
   */
  #merged(text) {
    const parts = [];
    for (let at = 0; at < text.length; at += parts.at(-1).length) {
      parts.push(this.#fixed(text, at) ?? String.fromCodePoint(text.codePointAt(at)));
    }
    if (this.kind === CHARACTER) return parts;
    const after = parts.map((_, i) => i + 1), before = parts.map((_, i) => i - 1), fixed = new Set(this.userDefined), heap = new Heap();
    const offer = (left, right) => {
      if (left < 0 || right >= parts.length || fixed.has(parts[left]) || fixed.has(parts[right])) return;
      const piece = parts[left] + parts[right], id = this.ids.get(piece);
      if (id !== undefined) heap.push({ left, right, piece, score: this.scores[id] });
    };
    for (let i = 0; i + 1 < parts.length; i++) offer(i, i + 1);
    for (let best; (best = heap.pop()); ) {
      const { left, right, piece } = best;
      if (parts[left] === null || parts[right] === null || parts[left] + parts[right] !== piece) continue;
      [parts[left], parts[right]] = [piece, null];
      after[left] = after[right];
      if (after[left] < parts.length) before[after[left]] = left;
      offer(before[left], left);
      offer(left, after[left]);
    }
    return parts.filter((part) => part !== null);
  }

  /** Returns the text of ids, on one line. */
  decode(ids) {
    return this.join(ids.map((id) => this.pieces[id]));
  }

  /** Returns the text of pieces, on one line; those that the model doesn't have are text. */
  join(pieces) {
    let text = "", bytes = [];
    const flush = () => {
      text += utf8.decode(new Uint8Array(bytes));
      bytes = [];
    };
    for (const piece of pieces) {
      const type = this.typeOf.get(piece);
      if (type === TYPES.BYTE) {
        bytes.push(parseInt(piece.slice(3, 5), 16));
        continue;
      }
      flush();
      if (type === TYPES.UNKNOWN) text += " \u2047 ";
      else if (type !== TYPES.CONTROL) text += piece;
    }
    flush();
    return text.replaceAll(SPACE, " ").trim().split(/\s+/).join(" ");
  }
}

/** A sentencepiece model, whose ids are those of the network. */
class OwnVocabulary {
  constructor(content, { tags = {}, hidden = [] }) {
    Object.assign(this, { tokenizer: new Tokenizer(content), tags, hidden });
  }

  /** Returns the ids of a line and of the tags at its beginning, without EOS. */
  encode(line) {
    const tags = [];
    for (let match; (match = TAG.exec(line)) && match[1] in this.tags; ) {
      tags.push(this.tags[match[1]]);
      line = line.slice(match[0].trimEnd().length);
    }
    const ids = this.tokenizer.encode(line);
    return ids.length ? [...tags, ...ids] : [];
  }

  decode(ids) {
    return this.tokenizer.decode(ids.filter((id) => !this.hidden.includes(id)));
  }

  piece(id) {
    return this.tokenizer.pieces[id];
  }
}

/** The vocabulary of an imported model: a sentencepiece model with ids of its own, and language tokens. */
class ImportedVocabulary {
  constructor(content) {
    const table = JSON.parse(new TextDecoder().decode(content));
    this.tokenizer = new Tokenizer(Uint8Array.from(atob(table.sentencepiece), (character) => character.charCodeAt(0)));
    Object.assign(this, { pieces: table.pieces, prefix: table.prefix, unknown: table.unk, languages: new Map(Object.entries(table.languages)) });
    this.tokens = new Set([...table.prefix, ...this.languages.values()]);
    this.hidden = new Set([table.pad, table.sos, table.eos, ...table.hidden, ...this.languages.values()]);
    this.ids = new Map(table.pieces.map((piece, id) => [piece, id]).filter(([, id]) => !this.hidden.has(id)));
  }

  /** Returns the ids of a line and of the language token in front of it, without EOS. */
  encode(line) {
    const name = LANGUAGE.exec(line)?.[1], isGiven = this.languages.has(name);
    const pieces = this.tokenizer.split(isGiven ? line.slice(name.length) : line);
    if (!pieces.length) return [];
    return [...(isGiven ? [this.languages.get(name)] : this.prefix), ...pieces.map((piece) => this.ids.get(piece) ?? this.unknown)];
  }

  decode(ids) {
    return this.tokenizer.join(ids.filter((id) => !this.hidden.has(id)).map((id) => this.pieces[id]));
  }

  /** Returns a piece; null for a language token, which isn't a part of the text. */
  piece(id) {
    return this.tokens.has(id) ? null : this.pieces[id];
  }
}

/**
 * Returns the vocabulary of a side, with the methods encode, decode and piece.
 * @param {object} options of the side in config.json
 * @param {Uint8Array} content of its file
 */
export function openVocabulary(options, content) {
  return options.file.endsWith(".json") ? new ImportedVocabulary(content) : new OwnVocabulary(content, options);
}
