"""The folder that translates in the browser: its tokenizer equals sentencepiece, and its files are complete."""

import base64
import hashlib
import http.server
import importlib.util
import io
import json
import random
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from nmt.core.errors import UserError
from nmt.export import web
from nmt.export.web import PAGE, RUNTIME, RUNTIME_FILES
from nmt.quickstart.embedded_corpus import splits
from nmt.translation.load import load

RunNmt = Callable[..., "subprocess.CompletedProcess[str]"]
FOLDER = Path(web.__file__).with_name("page")
PROGRAM = """
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const [script, model, lines] = process.argv.slice(1);
const { Tokenizer } = await import(pathToFileURL(script));
const tokenizer = new Tokenizer(new Uint8Array(readFileSync(model)));
const encoded = JSON.parse(readFileSync(lines, "utf8")).map((line) => tokenizer.encode(line));
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
QUICK = ("unigram", "bpe")
ALPHABET = (
    "abcdefgäöüßÄÖÜ ÉñçøłžČ   \t.,;:!?»«„“”'’()[]{}<>&%$#@*+-=/\\|~^_`0123456789½²ﬁ①㎏Ⅳ漢字かな한국어русскийελληνικά"
    "عربيעברית😀👩‍👩‍👧\u00a0\u200b\u202e\ufeff\u3000e\u0301▁\u2028\x85"
)


def strange_lines(plain: list[str], count: int) -> list[str]:
    """Returns lines of text with characters put in, and lines of such characters alone."""
    draw, lines = random.Random(5), ["", " ", "  two  spaces ", "▁", "a" * 300]
    for number in range(count):
        line = list(draw.choice(plain)) if number % 3 < 2 else []
        for _ in range(draw.randint(0, 6) if line else draw.randint(1, 40)):
            line.insert(draw.randrange(len(line) + 1), draw.choice(ALPHABET))
        if number % 10 == 0:
            line = [chr(draw.choice([draw.randrange(32, 0xD7FF), draw.randrange(0xE000, 0x1FFFF)])) for _ in range(9)]
        lines.append("".join(line))
    words = "".join(plain).replace(" ", "")
    return [*lines, words[:40_000]]  # a word that takes minutes if the time grows with the square of its length


@pytest.fixture(scope="module")
def node() -> str:
    """Node.js of the path, or the one that playwright brings."""
    path = shutil.which("node") or shutil.which("node", path=pytest.importorskip("playwright").__path__[0] + "/driver")
    if path is None:
        pytest.skip("needs Node.js or playwright")
    return path


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in KINDS if name not in QUICK)]
)
def test_the_tokenizer_is_that_of_sentencepiece(name: str, node: str, tmp_path: Path) -> None:
    plain = [pair.target for pair in splits(train=1000)["train"]]
    content = io.BytesIO()
    settings = {"vocab_size": 250, "num_threads": 1, "minloglevel": 2, **KINDS[name]}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(plain), model_writer=content, **settings)
    (tmp_path / "model").write_bytes(content.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=content.getvalue())
    lines = strange_lines(plain, 2000)
    (tmp_path / "lines").write_text(json.dumps(lines), "utf-8")
    shutil.copyfile(FOLDER / "tokenizer.js", tmp_path / "tokenizer.mjs")
    arguments = [tmp_path / "tokenizer.mjs", tmp_path / "model", tmp_path / "lines"]
    command = [node, "--input-type=module", "-e", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
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


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of onnxruntime-web in the cache, whose files are their names."""
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "cache" / f"{RUNTIME}.tgz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        for name in (*RUNTIME_FILES, "other.js"):
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    return path


def test_the_folder_is_complete_and_lists_its_files(
    tiny_model: Path, tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_networks(translator: object, output: Path, quantization: str | None) -> None:
        output.mkdir()
        for name in ("encoder.onnx", "step.onnx", "vocabulary.model", "translate.py"):
            (output / name).write_text(name, "utf-8")
        (output / "config.json").write_text('{"languages": ["de", "en"]}', "utf-8")

    monkeypatch.setattr(web, "export_onnx", write_networks)
    monkeypatch.setattr(web, "OnnxModel", lambda output: None)
    monkeypatch.setattr(web, "check", lambda *arguments: "checked")
    monkeypatch.setattr(web, "SHA512", base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode())
    web.Web().write(load(tiny_model, "cpu"), tmp_path / "site", "int8", [])
    networks = ["config.json", "encoder.onnx", "step.onnx", "vocabulary.model"]
    expected = sorted([*PAGE, *networks, *(f"runtime/{name}" for name in RUNTIME_FILES)])
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
    assert (tmp_path / "site" / "runtime" / RUNTIME_FILES[0]).read_text("utf-8") == RUNTIME_FILES[0]

    web.Web().write(load(tiny_model, "cpu"), tmp_path / "again", "int8", [])
    assert (tmp_path / "again" / "files.json").read_bytes() == (tmp_path / "site" / "files.json").read_bytes()
    web.Web().write(load(tiny_model, "cpu"), tmp_path / "other", None, [])
    other = json.loads((tmp_path / "other" / "files.json").read_text("utf-8"))
    assert other["version"] != listed["version"], "browsers keep the files of a version"


def test_another_package_is_refused(package: Path) -> None:
    with pytest.raises(UserError, match="is not the package onnxruntime-web") as caught:
        web._package()
    assert "npm pack onnxruntime-web@" in caught.value.remedy


def test_without_npm_the_message_says_where_the_package_belongs(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="npm is needed to download onnxruntime-web") as caught:
        web._package()
    assert str(package) in caught.value.remedy


def test_the_page_loads_nothing_from_elsewhere() -> None:
    for name in PAGE:
        text = (FOLDER / name).read_text("utf-8")
        assert "http:" not in text.replace("http.server", "")
        assert "https:" not in text


def test_a_file_that_is_missing_is_named_although_others_are_still_loading(browser: Any, tmp_path: Path) -> None:
    for name in PAGE:
        shutil.copyfile(FOLDER / name, tmp_path / name)
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / RUNTIME_FILES[0]).write_text("export const env = { wasm: {} };", "utf-8")
    sizes = {"encoder.onnx": 30_000_000, "step.onnx": 1, "vocabulary.model": 1}
    side = {"file": "vocabulary.model"}
    config = {"languages": ["de", "en"], "source": side, "target": side, "sizes": sizes}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    (tmp_path / "encoder.onnx").write_bytes(bytes(sizes["encoder.onnx"]))
    (tmp_path / "vocabulary.model").write_bytes(b"0")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        window = browser.new_page(service_workers="block")
        window.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        window.wait_for_selector("#progress", state="hidden")
        window.wait_for_timeout(300)  # of which the large file needs less
        assert "step.onnx can't be loaded (status 404)" in window.text_content("#status")
        window.goto((tmp_path / "index.html").as_uri())
        assert "by HTTP" in window.text_content("#status")
        window.close()
        server.shutdown()


@pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="needs onnx, onnxruntime and onnxscript")
def test_a_recurrent_model_is_refused(tiny_model: Path, tmp_path: Path, run_nmt: RunNmt) -> None:
    done = run_nmt("export", tiny_model, "-o", tmp_path / "site", "--to", "web")
    assert done.returncode == 2
    assert "needs an encoder of type transformer" in done.stderr
    assert not (tmp_path / "site").exists()
