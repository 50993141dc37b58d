// Loads the networks and translates by the beam search of nmt (nmt/decoding/beam.py): the same hypotheses, limits, length
// penalties and stopping rules. Shapes: B sentences, S source positions, K hypotheses, V target vocabulary.

import * as ort from "./runtime/ort.wasm.min.mjs";
import { openVocabulary } from "./tokenizer.js";

// What a search reads of step.onnx; as in interchange/runtime.py.
const SHORTLIST = "shortlist.bin";
const BEST = ["end", "best.value", "best.parent", "best.token"];
export const INVISIBLE = /[\u00ad\u2060\ufeff]/g;
const NOT_FINITE = "The model gives log-probabilities that are not finite: its weights are damaged or too large for their type. Export it again.";

// Scores of hypotheses by their log-probabilities and lengths, EOS counted, as in nmt/decoding/ranking.py.
const LENGTH_PENALTIES = {
  none: (logP) => logP,
  average: (logP, length, alpha) => logP / length ** alpha,
  gnmt: (logP, length, alpha) => logP / ((5 + length) / 6) ** alpha,
  word_reward: (logP, length, alpha) => logP + alpha * length,
};

async function bytesOf(url, onBytes = () => {}) {
  const response = await fetch(url).catch(() => {
    throw new Error(`${url} can't be loaded: the server does not answer.`);
  });
  if (!response.ok) throw new Error(`${url} can't be loaded (status ${response.status}).`);
  const chunks = [];
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    onBytes(value.length);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

const int64 = (values, shape) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
const NUMBERS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };
const MULTIPLE = 64; // the size of a shortlist is one of this number, as in nmt
const floats = (shape) => new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);

/** Returns the rows of a tensor along the first `axes` axes, which count as one; `shape` is their new shape. */
function gather(tensor, rows, axes, shape) {
  const rest = tensor.dims.slice(axes), width = rest.reduce((a, b) => a * b, 1);
  const data = new tensor.data.constructor(rows.length * width);
  rows.forEach((row, i) => data.set(tensor.data.subarray(row * width, (row + 1) * width), i * width));
  return new ort.Tensor(tensor.type, data, [...shape, ...rest]);
}

/** The target ids that translations may have, which the file has as lists after their lengths. */
export class Shortlist {
  constructor(content, { shortlist, target }) {
    const numbers = new NUMBERS[shortlist](content.buffer), lists = [];
    for (let at = 0; at < numbers.length; at += 1 + numbers[at]) lists.push(numbers.subarray(at + 1, at + 1 + numbers[at]));
    [this.always, ...this.ofToken] = lists;
    this.size = target.size;
  }

  /** Returns the ids for the translations of sentences, ascending; all ids without sentences. */
  of(sources) {
    const isThere = new Uint8Array(this.size).fill(Number(!sources.length));
    for (const ids of [this.always, ...[...new Set(sources.flat())].map((token) => this.ofToken[token])]) {
      for (const id of ids) isThere[id] = 1;
    }
    const ids = [...isThere.keys()], found = ids.filter((id) => isThere[id]), missing = -found.length % MULTIPLE + MULTIPLE;
    const others = ids.filter((id) => !isThere[id]).slice(0, missing % MULTIPLE);
    return [...found, ...others].sort((a, b) => a - b);
  }
}

export class Translator {
  /**
   * Loads the files of a folder.
   * @param {URL|string} folder
   * @param {(loaded: number, total: number) => void} onProgress called with bytes
   */
  static async load(folder, onProgress = () => {}) {
    const at = (name) => new URL(name, folder);
    ort.env.wasm.wasmPaths = at("runtime/").href;
    ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
    const config = JSON.parse(new TextDecoder().decode(await bytesOf(at("config.json"))));
    const [shared, shortlist] = ["shared.bin", SHORTLIST].map((name) => (name in config.sizes ? [name] : []));
    const names = ["encoder.onnx", "step.onnx", ...shared, ...shortlist, ...new Set([config.source.file, config.target.file])];
    const total = names.reduce((sum, name) => sum + config.sizes[name], 0);
    let loaded = 0;
    const add = (size) => onProgress((loaded += size), total);
    const files = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await bytesOf(at(name), add)])));
    const sessions = [];
    const externalData = shared.map((path) => ({ path, data: files[path] }));
    for (const name of names.slice(0, 2)) {
      sessions.push(await ort.InferenceSession.create(files[name], { executionProviders: ["wasm"], externalData }));
    }
    return new Translator(config, sessions, files);
  }

  constructor(config, [encoder, step], files) {
    Object.assign(this, { config, encoder, stepper: step });
    this.source = openVocabulary(config.source, files[config.source.file]);
    this.target = openVocabulary(config.target, files[config.target.file]);
    this.stateNames = Object.keys(config.state);
    this.ofShortlist = SHORTLIST in files ? new Shortlist(files[SHORTLIST], config) : null;
  }

  /**
   * Translates lines.
   * @param {string[]} lines
   * @param {object} changes of the decoding options in config.json
   * @param {(count: number) => void} onProgress called with the number of lines that are done
   * @returns {Promise<{source: number[], isCut: boolean, ids: number[], text: string, score: number}[]>} of an empty line without
   *   ids; isCut tells that a line is longer than the model reads, so the end of it was left out
   */
  async translate(lines, changes = {}, onProgress = () => {}) {
    const options = { ...this.config.decoding, ...changes };
    const whole = lines.map((line) => this.source.encode(line.replace(INVISIBLE, "")));
    const sources = whole.map((ids) => ids.slice(0, this.config.max_pieces));
    const results = sources.map((source, i) => ({ source, isCut: source.length < whole[i].length, ids: [], text: "", score: 0 }));
    const order = [...sources.keys()].filter((i) => sources[i].length).sort((a, b) => sources[b].length - sources[a].length);
    let done = lines.length - order.length;
    onProgress(done);
    for (let start = 0; start < order.length; start += options.batch_size) {
      const chunk = order.slice(start, start + options.batch_size);
      const found = await new Beam(this, chunk.map((i) => sources[i]), options).run();
      chunk.forEach((i, b) => {
        const [best] = found[b];
        if (best) Object.assign(results[i], best, { text: this.target.decode(best.ids) });
      });
      onProgress((done += chunk.length));
    }
    return results;
  }

  /** Returns the input of step.onnx with the ids for the translations of sentences, if there is one. */
  shortlist(sources) {
    const ids = this.ofShortlist?.of(sources);
    return ids ? { shortlist: int64(ids, [ids.length]) } : {};
  }

  /** Encodes sentences; returns what a step reads of them, and the first state of `size` hypotheses of each. */
  async start(sources, size) {
    const { pad, eos } = this.config.source, longest = Math.max(...sources.map((ids) => ids.length)) + 1;
    const rows = sources.map((ids) => [...ids, eos, ...Array(longest - ids.length - 1).fill(pad)]);
    const mask = Uint8Array.from(sources.flatMap((ids) => rows[0].map((_, at) => Number(at <= ids.length))));
    const shape = [sources.length, longest];
    const feeds = { source: int64(rows.flat(), shape), mask: new ort.Tensor("bool", mask, shape) };
    const memory = { ...(await this.encoder.run(feeds)), mask: feeds.mask };
    const state = this.stateNames.map((name) => [name, floats([sources.length, size, ...this.config.state[name]])]);
    const { first } = this.config; // some pretrained models read another token before SOS
    if (first === null || first === undefined) return [memory, Object.fromEntries(state)];
    const tokens = Array(sources.length * size).fill(first);
    return [memory, (await this.step([], tokens, [sources.length, size], -1, memory, Object.fromEntries(state)))[1]];
  }

  /**
   * Reads a token of each hypothesis [B, K] at a position, the number of tokens read before, SOS counted; returns these outputs
   * of step.onnx and the new state. The best continuations depend on `search`: scores [B, K], whether EOS is the only one [B], and
   * the shortlist of the sentences; without it there are the log-probabilities of all tokens.
   */
  async step(names, tokens, shape, position, memory, state, { scores, atLimit, shortlist = this.shortlist([]) } = {}) {
    const place = position + Number((this.config.first ?? null) !== null);
    const score = new ort.Tensor("float32", scores ?? new Float32Array(tokens.length), shape);
    const at_limit = new ort.Tensor("bool", atLimit ?? new Uint8Array(shape[0]), [shape[0]]);
    const feeds = { token: int64(tokens, shape), position: int64([place], []), score, at_limit, ...shortlist, ...memory, ...state };
    const output = await this.stepper.run(feeds, [...names, ...this.stateNames.map((name) => `new.${name}`)]);
    return [output, Object.fromEntries(this.stateNames.map((name) => [name, output[`new.${name}`]]))];
  }

  /** Returns the attention of each target token to the source pieces and EOS, an array for each token. */
  async attention(source, ids) {
    const { sos, eos } = this.config.target, rows = [], tokens = [sos, ...ids, eos];
    let [memory, state] = await this.start([source], 1);
    const isInput = this.config.attention === "input"; // a token is aligned by the step that has read it
    for (let t = 0; t < ids.length + Number(isInput); t++) {
      let output;
      [output, state] = await this.step(["attention"], [tokens[t]], [1, 1], t, memory, state);
      if (!isInput || t) rows.push([...output.attention.data]);
    }
    return rows;
  }
}

/** Beam search over a batch. Sentences leave the batch when they are done. */
class Beam {
  constructor(model, sources, options) {
    Object.assign(this, { model, sources, options, size: options.beam_size });
    this.finished = sources.map(() => []);
    const most = Math.min(model.config.num_positions, options.max_length === null ? Infinity : options.max_length + 1);
    this.rows = sources.map((ids, sentence) => ({
      sentence,
      limit: Math.min(Math.trunc((ids.length + 1) * options.max_length_ratio) + options.max_length_extra, most),
      tokens: Array.from({ length: this.size }, () => []),
      scores: Float32Array.from({ length: this.size }, (_, k) => (k ? -Infinity : 0)),
    }));
  }

  async run() {
    const { sos } = this.model.config.target;
    let [memory, state] = await this.model.start(this.sources, this.size);
    const shortlist = this.model.shortlist(this.sources);
    const last = Math.max(1, ...this.rows.map((row) => row.limit)); // there a sentence has no continuation but EOS
    for (let position = 0; this.rows.length && position < last; position++) {
      const tokens = this.rows.flatMap((row) => row.tokens.map((ids) => ids.at(-1) ?? sos));
      const scores = Float32Array.from(this.rows.flatMap((row) => [...row.scores]));
      const atLimit = Uint8Array.from(this.rows, (row) => position + 1 >= row.limit);
      const shape = [this.rows.length, this.size];
      const [best, next] = await this.model.step(BEST, tokens, shape, position, memory, state, { scores, atLimit, shortlist });
      if (!best.end.data.every(Number.isFinite)) throw new Error(NOT_FINITE);
      const [values, places, ids] = BEST.slice(1).map((name) => best[name].data);
      const continuations = Array.from(values, (value, i) => ({ value, parent: places[i], token: ids[i] }));
      const count = 2 * this.size;
      const parents = this.rows.map((row, b) => this.#advance(row, continuations.slice(b * count, (b + 1) * count), position));
      const stay = [...this.rows.keys()].filter((b) => !this.#isDone(this.rows[b], position + 1));
      const kept = stay.flatMap((b) => parents[b].map((k) => b * this.size + k));
      state = {};
      for (const name in next) state[name] = gather(next[name], kept, 2, [stay.length, this.size]);
      if (stay.length < this.rows.length) {
        const before = memory;
        memory = {};
        for (const name in before) memory[name] = gather(before[name], stay, 1, [stay.length]);
        this.rows = stay.map((b) => this.rows[b]);
      }
    }
    return this.finished;
  }

  /** Finishes what ends among the first K of the 2K best continuations, keeps the K best others; returns their parents. */
  #advance(row, best, position) {
    const { eos } = this.model.config.target, { size } = this;
    const found = this.finished[row.sentence];
    for (const each of best.slice(0, size)) {
      if (each.token === eos && each.value > -Infinity) {
        const score = this.#normalised(each.value, position + 1);
        found.push({ ids: row.tokens[each.parent], score, logProbability: each.value });
      }
    }
    found.sort((one, other) => other.score - one.score);
    found.splice(size);
    const kept = best.filter((each) => each.token !== eos).slice(0, size);
    while (kept.length < size) kept.push({ value: -Infinity, parent: 0, token: eos });
    row.scores = Float32Array.from(kept, (each) => each.value);
    row.tokens = kept.map((each) => [...row.tokens[each.parent], each.token]);
    return kept.map((each) => each.parent);
  }

  #isDone(row, length) {
    const best = row.scores[0], found = this.finished[row.sentence], isEnough = found.length === this.size;
    if (best === -Infinity) return true;
    if (this.options.early_stopping === "exact") return isEnough && this.#normalised(best, row.limit) <= found.at(-1).score;
    if (this.options.early_stopping === "likely") return isEnough && this.#normalised(best, length) <= found[0].score;
    return isEnough;
  }

  #normalised(logProbability, length) {
    return LENGTH_PENALTIES[this.options.length_penalty](logProbability, length, this.options.alpha);
  }
}
