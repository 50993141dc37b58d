"""ONNX networks compute what the model computes in PyTorch."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fixture_types import RunNmt, TrainTiny
from refusals import refused

from nmt.core.errors import UserError
from nmt.data.batch import Ids
from nmt.extensions.interchange import runtime
from nmt.extensions.interchange.onnx import OnnxModel, export_onnx
from nmt.translation.load import load
from nmt.translation.request import OutputConstraints
from nmt.translation.results import ScoredPair
from nmt.translation.translator import Translator

onnx = pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxscript", reason="needs onnxscript")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

JOINT = "vocabulary={type: unigram, size: 110, joint: true}"
SEPARATE = "vocabulary={type: bpe, size: 90, joint: false}"
LAYERS = "num_layers: 2, num_heads: 4, dropout: 0"
TRANSFORMER = f"{{type: transformer, feed_forward_size: 64, {LAYERS}"
MODELS = {
    "transformer": [JOINT, f"model.encoder={TRANSFORMER}}}", f"model.decoder={TRANSFORMER}}}", "model.tie=all"],
    "post-norm": [
        SEPARATE,
        f"model.encoder={TRANSFORMER}, norm: post, positions: learned, max_positions: 7}}",
        f"model.decoder={TRANSFORMER}, norm: post, positions: learned}}",
        "model.scale_embeddings=true",
    ],
    "luong": [
        JOINT,
        "model.tie=all",
        "model.embedding_size=16",
        "model.encoder={type: recurrent, cell: gru, hidden_size: 12, attend_embeddings: true}",
        "model.decoder={type: luong, cell: gru, hidden_size: 20, attention: {type: general}}",
    ],
    "input feeding": [
        SEPARATE,
        "model.encoder={type: recurrent, hidden_size: 12, num_layers: 2}",
        "model.decoder={type: luong, hidden_size: 24, num_layers: 2, input_feeding: true, attention: {type: dot}}",
    ],
    "bahdanau": [
        SEPARATE,
        "model.encoder={type: recurrent, cell: gru, hidden_size: 12, reverse: true, initial_state: learned}",
        "model.decoder={type: bahdanau, cell: peephole, hidden_size: 20, attention: {type: additive, size: 8}}",
    ],
    "ssru": [JOINT, f"model.encoder={TRANSFORMER}}}", f"model.decoder={{type: ssru, feed_forward_size: 64, {LAYERS}}}"],
}


def ids_of(pairs: list[ScoredPair], translator: Translator) -> list[tuple[Ids, Ids]]:
    return [(translator.encode_source(pair.source), translator.encode_target(pair.target)) for pair in pairs]


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_log_probabilities_and_translations_are_those_of_pytorch(
    train_tiny: TrainTiny, tiny_corpus: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.extensions.interchange.onnx.MIN_SHARED_BYTES", 4_000)
    translator = load(train_tiny(*MODELS[kind], "training.max_steps=100", "training.learning_rate=0.005"), "cpu")
    export_onnx(translator, folder := tmp_path / "out")
    assert (folder / "shared.bin").exists() == (MODELS[kind][0] != SEPARATE), "separate vocabularies share nothing"
    exported = OnnxModel(folder)
    lines = (tiny_corpus / "train.de").read_text("utf-8").splitlines()
    whole: dict[str, Any] = {"restore_case": False, "constraints": OutputConstraints(unknown_lexicon={"xyz": "xyz"})}
    lines += ["", "😀 Hund xyz", "Mond " * 12, *(tiny_corpus / "val.de").read_text("utf-8").splitlines()]
    for options in (
        {"beam_size": 1},
        {"beam_size": 5, "length_penalty": "gnmt", "early_stopping": "exact"},
        {"beam_size": 3, "length_penalty": "word_reward", "alpha": 0.7, "early_stopping": "first", "batch_size": 7},
        {"beam_size": 4, "max_length": 3},
    ):
        expected = [translation.text for translation in translator.translate(lines, **whole, **options)]
        assert exported.model.translate(lines, **options) == expected, options
    pairs = list(translator.score((line, "The dog sees the moon.") for line in lines if line))
    for pair, found in zip(pairs, exported.score(ids_of(pairs, translator)), strict=True):
        assert found == pytest.approx(pair.token_log_probabilities, abs=1e-4, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ssru", "luong"])
def test_8_bits_are_smaller_and_nothing_else_is_offered(
    run_nmt: RunNmt, train_tiny: TrainTiny, tmp_path: Path, kind: str
) -> None:
    directory = train_tiny(*MODELS[kind], "training.max_steps=2")
    done = run_nmt("export", directory, "-o", tmp_path / "int8", "--to", "onnx", "--quantization", "int8", check=True)
    assert re.search(r"of 100 translations \(\d+ of random pieces\) are those of nmt", done.stderr)
    assert sorted(path.name for path in (tmp_path / "int8").iterdir()) == [
        "config.json", "encoder.onnx", "patterns.py", "segmentation.py", "step.onnx", "translate.py",
        "vocabulary.model",
    ]  # fmt: skip
    export_onnx(load(directory, "cpu"), tmp_path / "float")
    for name in ("encoder.onnx", "step.onnx"):
        assert b"stack_trace" not in (tmp_path / "int8" / name).read_bytes(), "paths of this machine stay here"
        graph = onnx.load(tmp_path / "int8" / name).graph
        biases = {node.input[3] for node in graph.node if node.op_type == "GRU"}  # of both directions
        matrices = [weight for weight in graph.initializer if len(weight.dims) > 1 and min(weight.dims[-2:]) > 1]
        types = {weight.data_type for weight in matrices if weight.name not in biases}
        assert types == {onnx.TensorProto.INT8}, "embeddings, positions and the output layer, too"
        assert (tmp_path / "int8" / name).stat().st_size < (tmp_path / "float" / name).stat().st_size
    done = run_nmt("export", directory, "-o", tmp_path / "half", "--to", "onnx", "--quantization", "float16")
    refused(done, "The ONNX export has no float16")
    assert not (tmp_path / "half").exists()


@pytest.mark.slow
def test_additive_attention_is_exported_in_8_bits(train_tiny: TrainTiny, tmp_path: Path) -> None:
    translator = load(train_tiny(*MODELS["bahdanau"], "training.max_steps=2"), "cpu")
    export_onnx(translator, tmp_path / "out", "int8")
    pairs = list(translator.score([("Der Hund sieht den Mond.", "The dog sees the moon.")]))
    [found] = OnnxModel(tmp_path / "out").score(ids_of(pairs, translator))
    assert found == pytest.approx(pairs[0].token_log_probabilities, abs=0.05)


def test_other_models_are_refused_and_a_missing_package_is_named(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.extensions.interchange.onnx.NETWORKS", {})
    with pytest.raises(UserError, match="attention; this model has the encoder recurrent and the decoder bahdanau"):
        export_onnx(load(tiny_model, "cpu"), tmp_path / "out")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"The package onnx is not installed.*\n.*nmt\[onnx\]"):
        export_onnx(load(tiny_model, "cpu"), tmp_path / "out")


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"format": "nmt-onnx", "version": runtime.FORMAT}), "utf-8")
    (tmp_path / "encoder.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match="can't be loaded"):
        OnnxModel(tmp_path)
    shutil.rmtree(tmp_path)
    with pytest.raises(UserError, match="can't be loaded"):
        OnnxModel(tmp_path)
