"""The folder that translates in the browser: its tokenizer equals sentencepiece, and its files are complete."""

import base64
import hashlib
import importlib.util
import io
import json
import random
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from sentencex import segment

from nmt.core.console import quoted
from nmt.core.errors import UserError
from nmt.decoding.ranking import LENGTH_PENALTIES
from nmt.extensions.documents.sentence_options import sentence_requests
from nmt.extensions.interchange import runtime, web
from nmt.extensions.interchange.pretrained.families import read_config
from nmt.extensions.interchange.pretrained.huggingface import import_huggingface
from nmt.extensions.interchange.pretrained.tokenizers import read_tokenizer
from nmt.extensions.interchange.web import PACKAGES, PAGE
from nmt.translation.load import load
from nmt.translation.patterns import side_by_side
from nmt.translation.request import Request
from tests.extensions.interchange.huggingface_folders import SIZE as SIZE_OF_FOLDERS
from tests.extensions.interchange.huggingface_folders import lines_of, strange_lines, train_sentencepiece, write_folder
from tests.extensions.interchange.test_runtime_search import Stub
from tests.extensions.windows import silent_window

DRIVER = importlib.util.find_spec("playwright")
NODE = shutil.which("node") or (DRIVER and shutil.which("node", path=Path(DRIVER.origin or "").parent / "driver"))
"""Node.js of the system, or the one that playwright contains."""
TOKENIZER = """
import { Tokenizer } from "./tokenizer.js";
const { model, lines } = given;
const tokenizer = new Tokenizer(Uint8Array.from(Buffer.from(model, "base64")));
const encoded = lines.map((line) => tokenizer.encode(line));
console.log(JSON.stringify({ encoded, decoded: encoded.map((ids) => tokenizer.decode(ids)) }));
"""
KINDS: dict[str, dict[str, object]] = {
    "unigram": {"model_type": "unigram"},
    "bpe": {"model_type": "bpe", "user_defined_symbols": ["<2en>", "@@"]},
    "unigram, bytes": {"byte_fallback": True, "vocab_size": 500, "user_defined_symbols": ["<2en>"]},
    "bpe, bytes": {
        "model_type": "bpe", "byte_fallback": True, "vocab_size": 500, "normalization_rule_name": "nmt_nfkc_cf",
    },
    "characters": {"model_type": "char", "vocab_size": 60, "hard_vocab_limit": False},
    "identity": {"remove_extra_whitespaces": False, "normalization_rule_name": "identity"},
    "no prefix": {"add_dummy_prefix": False, "normalization_rule_name": "nfkc"},
}  # fmt: skip
"""Options of sentencepiece."""


@pytest.mark.slow
@pytest.mark.skipif(NODE is None, reason="needs Node.js")
@pytest.mark.parametrize("name", KINDS)
def test_the_tokenizer_is_that_of_sentencepiece(name: str, tmp_path: Path) -> None:
    plain = lines_of("de", 1000)
    content = io.BytesIO()
    settings = {"vocab_size": 250, "num_threads": 1, "minloglevel": 2, **KINDS[name]}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(plain), model_writer=content, **settings)
    processor = sentencepiece.SentencePieceProcessor(model_proto=content.getvalue())
    lines = ["", " ", "  two  spaces ", "▁", "a" * 300, "Ⅳ\u2028a\x85\t b", *strange_lines(2000)]
    lines.append("".join(plain).replace(" ", "")[:40_000])  # minutes if the time grows with the square of its length
    model = base64.b64encode(content.getvalue()).decode()
    found = in_node(tmp_path, TOKENIZER, {"model": model, "lines": lines})
    expected = [processor.encode(line) for line in lines]
    wrong = [
        (line, processor.id_to_piece(ids), processor.id_to_piece(other))
        for line, ids, other in zip(lines, expected, found["encoded"], strict=True)
        if ids != other
    ]
    assert not wrong, wrong[:3]
    assert sum(map(len, expected)) > 10_000
    texts = [" ".join(processor.decode(ids).split()) for ids in expected]
    assert [" ".join(text.split()) for text in found["decoded"]] == texts


def in_node(folder: Path, program: str, given: object) -> Any:
    """Runs a program in Node.js, which reads ``given``, in a new folder with the modules of the page; returns what it
    prints as JSON."""
    (folder := folder / "page").mkdir()
    for name in ("translator.js", "tokenizer.js", "sentences.js"):
        shutil.copyfile(PAGE / name, folder / name)
    (folder / "package.json").write_text('{"type": "module"}', "utf-8")
    (folder / "runtime").mkdir()
    (folder / "runtime" / "ort.wasm.min.mjs").write_text(ORT, "utf-8")
    (folder / "runtime" / "sentencex_wasm.js").write_text(GIVEN + SENTENCEX, "utf-8")
    (folder / "program.js").write_text(GIVEN + program, "utf-8")
    (folder / "given.json").write_text(json.dumps(given), "utf-8")
    command = [str(NODE), str(folder / "program.js")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=60, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


GIVEN = """
import { readFileSync } from "node:fs";
const given = JSON.parse(readFileSync("given.json", "utf8"));
"""
ORT = """
export const env = { wasm: {} };
export class Tensor {
  constructor(type, data, dims) { Object.assign(this, { type, data, dims }); }
}
"""
SENTENCEX = """
export default () => {};
export const segment = (language, text) => given.parts[text];
"""
SEARCH = """
import { Tensor } from "./runtime/ort.wasm.min.mjs";
import { Translator } from "./translator.js";
const { config, model, sources, cases, size, never } = given;
const { eos } = config.target;
let isBroken;
const files = { model: Uint8Array.from(Buffer.from(model, "base64")) };
const logP = (source, tokens) => {
  let hash = 7;
  for (const id of [...source, ...tokens]) hash = (hash * 31 + id + 1) % 100003;
  const logits = Array.from({ length: size }, (_, v) => 2 * Math.sin((hash + 1) * (v + 1)));
  const sum = Math.log(logits.reduce((all, value) => all + Math.exp(value), 0));
  return logits.map((value) => (isBroken && tokens.length > 2 ? NaN : value - sum));
};
const encoder = { run: async ({ source }) => ({ source: new Tensor("int64", source.data, source.dims) }) };
const step = {
  run: async ({ token, position, source, mask, state, score, at_limit }, outputs) => {
    const [B, K] = token.dims, S = source.dims[1], t = state.dims[2], rows = [], end = [], best = [];
    for (let b = 0; b < B; b++) {
      const row = [...source.data.slice(b * S, (b + 1) * S)].map(Number);
      const ids = row.filter((_, s) => mask.data[b * S + s]).slice(0, -1), of_sentence = []; // without EOS
      for (let k = 0; k < K; k++) {
        const tokens = [...state.data.slice((b * K + k) * t, (b * K + k + 1) * t), Number(token.data[b * K + k])];
        if (tokens.length !== Number(position.data[0]) + 1) throw new Error(`position ${position.data[0]}`);
        rows.push(...tokens);
        const all = logP(ids, tokens);
        end.push(all[eos]);
        all.forEach((value, token) => {
          const isPossible = at_limit.data[b] ? token === eos : !never.includes(token);
          of_sentence.push([isPossible ? Math.fround(value + score.data[b * K + k]) : -Infinity, k, token]);
        });
      }
      best.push(...of_sentence.sort(([one], [other]) => other - one || 0).slice(0, 2 * K));
    }
    const column = (type, at) => new Tensor("", type.from(best, (each) => each[at]), [B, 2 * K]);
    const found = {
      end: { data: Float32Array.from(end) },
      "best.value": column(Float32Array, 0),
      "best.parent": column(Int32Array, 1),
      "best.token": column(Int32Array, 2),
      "new.state": new Tensor("float32", Float32Array.from(rows), [B, K, t + 1]),
    };
    return Object.fromEntries(outputs.map((name) => [name, found[name]]));
  },
};
const results = [];
for (const { first, broken, ...options } of cases) {
  isBroken = broken;
  const translator = new Translator({ ...config, first, decoding: options }, [encoder, step], files);
  translator.source.encode = (line) => sources[line];
  try {
    const lines = Object.keys(sources).map((line) => `\\ufeff${line}\\u00ad`);
    results.push((await translator.translate(lines)).map(({ ids, score }) => [ids, score]));
  } catch (error) {
    results.push(error.message);
  }
}
console.log(JSON.stringify(results));
"""
SIZE, SOS, EOS, PAD = 9, 2, 3, 0


def log_probabilities(source: Sequence[int], tokens: Sequence[int]) -> Any:
    """Those of ``SEARCH``."""
    number = 7
    for i in (*source, *tokens):
        number = (number * 31 + i + 1) % 100003
    logits = 2 * np.sin((number + 1.0) * np.arange(1, SIZE + 1))
    return logits - np.log(np.exp(logits).sum())


SOURCES = {"a": [4, 5], "b": [6], "c": [4, 4, 5, 7], "d": [8, 6, 4, 5, 5, 7]}


@pytest.mark.skipif(NODE is None, reason="needs Node.js")
def test_the_search_of_the_page_is_that_of_the_runtime(tmp_path: Path) -> None:
    penalties = [(name, 0.7 if name == "word_reward" else 1.5) for name in LENGTH_PENALTIES.builtin]
    cases = [
        {
            "first": first, "beam_size": beam, "batch_size": 2, "length_penalty": penalty, "alpha": alpha,
            "early_stopping": early, "max_length": longest, "max_length_ratio": 1.5, "max_length_extra": 3,
        }
        for first in (None, 5)
        for beam in (1, 2, 4)
        for penalty, alpha in penalties
        for early in ("first", "likely", "exact")
        for longest in (None, 3)
    ]  # fmt: skip
    side = {"file": "model", "pad": PAD, "sos": SOS, "eos": EOS, "tags": {}, "hidden": []}
    config = {"source": side, "target": side, "num_positions": 12, "max_pieces": 99, "state": {"state": [0]}}
    model = base64.b64encode(train_sentencepiece(("de",), 100, "unigram")).decode()
    given = {"config": config, "model": model, "sources": SOURCES, "size": SIZE, "never": [PAD, SOS]}
    *results, message = in_node(tmp_path, SEARCH, given | {"cases": [*cases, cases[0] | {"broken": True}]})
    assert "log-probabilities that are not finite" in message
    different = set()
    for options, found in zip(cases, results, strict=True):
        stub: Any = Stub(config, log_probabilities, options["first"])
        for source, (ids, score) in zip(SOURCES.values(), found, strict=True):
            [[best, *_]] = runtime._Beam(stub, [source], options).run()
            assert ids == best.ids, options
            assert score == pytest.approx(best.score, abs=1e-4)
            different.add(tuple(ids))
    assert len(different) > 20


SHORTLISTS = """
import { Shortlist } from "./translator.js";
const { config, bytes, cases } = given;
const shortlist = new Shortlist(Uint8Array.from(bytes), config);
console.log(JSON.stringify(cases.map((sources) => shortlist.of(sources))));
"""


@pytest.mark.skipif(NODE is None, reason="needs Node.js")
@pytest.mark.parametrize(("size", "kind"), [(200, "uint8"), (9_000, "uint16")])
def test_the_shortlists_of_the_page_are_those_of_the_runtime(tmp_path: Path, size: int, kind: str) -> None:
    draw = random.Random(1)
    lists = [draw.sample(range(size), draw.randrange(20)) for _ in range(size)]
    numbers = np.array([number for ids in lists for number in (len(ids), *ids)], dtype=kind)
    numbers.tofile(tmp_path / runtime.SHORTLIST)
    config = {"shortlist": kind, "target": {"size": size}}
    cases = [[[draw.randrange(size - 1) for _ in range(5)] for _ in range(number)] for number in (0, 1, 4, 50)]
    given = {"config": config, "bytes": [*numbers.tobytes()], "cases": cases}
    found, expected = in_node(tmp_path, SHORTLISTS, given), runtime._Shortlist(tmp_path, config)
    assert found == [expected(sources).tolist() for sources in cases]
    assert len(found[0]) == size
    assert {len(ids) % 64 for ids in found if len(ids) < size} <= {0}


PARTS = [
    "Hr.", "Dr.", " Er ging.", " er kam!", "Hallo.", "…", "!!!", " ", "  ", "\t", "\u2028", "ASP.NET", "z. B.", "(Ja!)",
    "😀", "。", "你好", "A", "한국어.", " „Oh.“", "S. 4", "3.5",
]  # fmt: skip
SENTENCES = """
import { sentencesOf } from "./sentences.js";
console.log(JSON.stringify(given.lines.map((line) => sentencesOf(line, "en"))));
"""


@pytest.mark.skipif(NODE is None, reason="needs Node.js")
def test_the_page_divides_lines_as_nmt_does(tiny_model: Path, tmp_path: Path) -> None:
    model, draw = load(tiny_model, "cpu"), random.Random(1)
    lines = ["".join(draw.choices(PARTS, k=draw.randint(1, 9))) for _ in range(300)]
    texts = {text for line in lines for text in re.split(r"([\t\u2028]+)", line)}
    found = in_node(tmp_path, SENTENCES, {"parts": {text: segment("de", text) for text in texts}, "lines": lines})
    requests = [sentence_requests(Request(line), model) for line in lines]
    assert found == [[text for part in parts if (text := part.source.strip())] for parts in requests]
    assert sum(map(len, found)) > 400


JOINED = """
import { sideBySide } from "./sentences.js";
console.log(JSON.stringify(given.map(sideBySide)));
"""


@pytest.mark.skipif(NODE is None, reason="needs Node.js")
def test_the_page_joins_translations_as_nmt_does(tmp_path: Path) -> None:
    letters = ("ä", "ß", ".", "。", "!", "你", "カ", "ｶ", "한", "ㄱ", "ｱ", "ก", "😀", "𠀀", "「", "…", "4", "Ａ")
    pairs = [[letter + mark, "b", "", "c"] for letter in letters for mark in ("", "”", "…)", '"', ".")]
    assert in_node(tmp_path, JOINED, pairs) == [side_by_side(texts) for texts in pairs]


VOCABULARIES = """
import { openVocabulary } from "./tokenizer.js";
const { tables, lines, ids } = given;
console.log(JSON.stringify(tables.map((table) => {
  const vocabulary = openVocabulary({ file: "vocabulary.source.json" }, new TextEncoder().encode(table));
  const encoded = lines.map((line) => vocabulary.encode(line)), all = [...encoded, ...ids];
  return [encoded, all.map((each) => vocabulary.decode(each)), vocabulary.piece(vocabulary.prefix[0])];
})));
"""


@pytest.mark.slow
@pytest.mark.skipif(NODE is None, reason="needs Node.js")
def test_the_tokenizers_of_imported_models_are_the_same_in_the_page_and_the_runtime(tmp_path: Path) -> None:
    vocabularies = [
        read_tokenizer(folder, read_config(folder)[1], None, target)[0].source
        for folder, target in (
            (write_folder(tmp_path / "marian", codes=(">>eng<<", ">>fra<<")), "eng"),
            (write_folder(tmp_path / "nllb", "m2m_100", tokenizer="nllb"), None),
            (write_folder(tmp_path / "m2m100", "m2m_100"), None),
        )
    ]
    lines = [*strange_lines(300), ">>fra<< Ein Mann", ">>xyz<< Mann", ">>fra<<>>eng<< a", " >>fra<< a", "", ">>fra<<"]
    draw = random.Random(2)
    ids = [[draw.randrange(4, SIZE_OF_FOLDERS) for _ in range(9)] for _ in range(200)]
    tables = [vocabulary.to_bytes().decode() for vocabulary in vocabularies]
    found = in_node(tmp_path, VOCABULARIES, {"tables": tables, "lines": lines, "ids": ids})
    for vocabulary, table, (encoded, decoded, prefix) in zip(vocabularies, tables, found, strict=True):
        own, in_runtime = [vocabulary.encode(line) for line in lines], runtime._Table(table.encode())
        assert [in_runtime.encode(line) for line in lines] == own
        assert encoded == own
        texts = [" ".join(vocabulary.decode(each).split()) for each in (*own, *ids)]
        assert [in_runtime.decode(each) for each in (*own, *ids)] == texts
        assert decoded == texts
        assert prefix is None, "a language token is no piece of text"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The packages in the cache, whose files are their names."""
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "cache"))
    paths = [tmp_path / "cache" / f"{package.replace('@', '-')}.tgz" for package in PACKAGES]
    paths[0].parent.mkdir()
    for path, (_, names) in zip(paths, PACKAGES.values(), strict=True):
        with tarfile.open(path, "w:gz") as archive:
            for name in (*names, "other.js"):
                entry = tarfile.TarInfo(f"package/{name}")
                entry.size = len(name)
                archive.addfile(entry, io.BytesIO(name.encode()))
    return paths


def test_the_folder_is_complete_and_lists_its_files(
    tiny_model: Path, tmp_path: Path, packages: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_networks(translator: object, output: Path, quantization: str | None) -> None:
        output.mkdir()
        for name in ("encoder.onnx", "step.onnx", "vocabulary.model", "translate.py", "segmentation.py"):
            (output / name).write_text(name, "utf-8")
        (output / "config.json").write_text('{"languages": ["de", "en"]}', "utf-8")

    monkeypatch.setattr(web, "export_onnx", write_networks)
    monkeypatch.setattr(web, "OnnxModel", lambda output: None)
    monkeypatch.setattr(web, "check", lambda *arguments: "checked")
    for path, (name, (_, files)) in zip(packages, [*PACKAGES.items()], strict=True):
        digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
        monkeypatch.setitem(PACKAGES, name, (digest, files))
    translator = load(tiny_model, "cpu")
    web.Web().write(translator, tmp_path / "site", "int8", [])
    networks = ["config.json", "encoder.onnx", "step.onnx", "vocabulary.model"]
    needed = [name for _, names in PACKAGES.values() for name in names]
    expected = sorted(
        [*(path.name for path in PAGE.iterdir()), *networks, *(f"runtime/{Path(name).name}" for name in needed)]
    )
    files = [
        path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*") if path.is_file()
    ]
    assert sorted(files) == sorted([*expected, "files.json"])
    listed = json.loads((tmp_path / "site" / "files.json").read_text("utf-8"))
    assert listed["files"] == expected
    config = json.loads((tmp_path / "site" / "config.json").read_text("utf-8"))
    assert config["sizes"]["encoder.onnx"] == len("encoder.onnx")
    assert config["quantization"] == "int8"
    assert config["attention"] in ("input", "output")
    assert [(tmp_path / "site" / "runtime" / Path(name).name).read_text("utf-8") for name in needed] == needed

    *_, command = web.Web().write(translator, tmp_path / "the same", "int8", [])
    assert command.endswith(f" --directory {quoted(tmp_path / 'the same')}")
    assert (tmp_path / "the same" / "files.json").read_bytes() == (tmp_path / "site" / "files.json").read_bytes()
    web.Web().write(translator, tmp_path / "other", None, [])
    other = json.loads((tmp_path / "other" / "files.json").read_text("utf-8"))
    assert other["version"] != listed["version"], "browsers keep the files of a version"
    scripts = [(tmp_path / name / "offline.js").read_text("utf-8") for name in ("site", "other")]
    assert scripts[0].endswith(f"// {listed['version']}\n"), "they look for a new version if the script differs"
    assert scripts[0] != scripts[1]


def test_another_package_is_refused(packages: list[Path]) -> None:
    for package, (digest, _) in PACKAGES.items():
        with pytest.raises(UserError, match=f"is not the package {package}.*\n.*npm pack {package}`"):
            web._content(package, digest)


def test_without_npm_the_message_says_where_the_package_belongs(
    packages: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages[1].unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=f"npm is needed to download sentencex-wasm.*\n.*{re.escape(str(packages[1]))}"):
        web._content("sentencex-wasm@0.1.31", "")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["marian", "m2m_100", "mbart"])
def test_the_page_translates_with_an_imported_model_as_nmt_does(kind: str, browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs onnxscript")
    try:
        for package, (digest, _) in PACKAGES.items():
            web._content(package, digest)
    except UserError as error:
        pytest.skip(str(error))
    import_huggingface(write_folder(tmp_path / "huggingface", kind), tmp_path / "model", None, None)
    translator, site = load(tmp_path / "model", "cpu"), tmp_path / "site"
    web.Web().write(translator, site, None, [])
    lines = [line for line in strange_lines(100)[::3] if line.strip() and "\n" not in line] + lines_of("de", 20)
    lines = [line for line in lines if "." not in line[:-1]] + ["Hr. Meier kam. er ging.", "Mit ASP.NET! Oder? (Nein.)"]
    with served(site) as address, silent_window(browser, address) as window:
        window.press("#source", "Control+Enter")
        window.wait_for_selector("[data-ready]", timeout=120_000)
        window.fill("#source", "\n".join(lines))
        window.click("#translate")
        window.wait_for_selector("#status:has-text('Nothing left')", timeout=120_000)
        texts = window.input_value("#translation").split("\n")
        window.fill("#beam", "")
        window.click("#translate")
        assert window.evaluate("document.activeElement.matches('#beam:invalid')"), "the browser asks for a number"
        window.fill("#beam", "5")
        window.fill("#source", "")
        window.click("#translate")
        window.wait_for_selector("#status:has-text('0 sentences')")
        assert window.input_value("#translation") == ""
        window.evaluate("navigator.serviceWorker.ready")
        for name, old in {"files.json": "nmt-", "offline.js": "nmt-", "page.js": "is loaded."}.items():
            (site / name).write_text((site / name).read_text("utf-8").replace(old, "is new."), "utf-8")
        window.reload()
        window.wait_for_selector("#status >> text=The model is new.", timeout=120_000)
    assert texts == [result.text for result in translator.translate(lines, restore_case=False, split_sentences=True)]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder; yields the address."""
    handler = partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, ThreadPoolExecutor(1) as threads:
        threads.submit(server.serve_forever)
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:  # also after a failed test, which would wait for ever otherwise
            server.shutdown()


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_page_loads_nothing_from_elsewhere() -> None:
    for path in PAGE.iterdir():
        text = path.read_text("utf-8")
        assert "http:" not in text.replace("http.server", "")
        assert "https:" not in text
