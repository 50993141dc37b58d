"""Exported models say what the original says. The comparison is CTranslate2's own computation."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from functools import partial
from operator import eq
from pathlib import Path

import numpy as np
import pytest
import torch
from fixture_types import BuildOnce, RunNmt, TrainTiny
from refusals import refused

from nmt.alignment.extract import LinkOptions, word_links
from nmt.core.errors import UserError
from nmt.decoding.forced import force_all
from nmt.extensions.interchange.argos import Argos
from nmt.extensions.interchange.check import check, validation_lines
from nmt.extensions.interchange.ct2 import export
from nmt.extensions.interchange.run import ExportedModel, exported_translator, open_exported, search_arguments, usage
from nmt.extensions.interchange.targets import with_decoding
from nmt.translation.load import load
from nmt.translation.request import OutputConstraints, Request
from nmt.translation.translator import Translator
from tests.extensions.interchange.huggingface_folders import imported_model, lines_of

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ctranslate2") is None, reason="needs ctranslate2")

SUBWORDS = "vocabulary={type: unigram, size: 110, joint: true}"
SEPARATE = "vocabulary={type: bpe, size: 90, joint: false}"
TRANSFORMER = "{{type: transformer, num_layers: {layers}, num_heads: 4, feed_forward_size: 64, dropout: 0, {more}}}"


def compare(folder: Path, translator: Translator, lines: Sequence[str], exact: bool = True) -> tuple[str, float]:
    """Checks a folder with the search of the code that users are shown; the last number is the difference."""
    open_model = partial(ExportedModel, folder, translator, search_arguments(translator))
    told = check(folder, translator, open_model, lines, exact)
    return told, float(told.split()[-3])


@pytest.fixture
def few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few random lines are added to those that a test gives."""
    monkeypatch.setattr("nmt.extensions.interchange.check.NUM_LINES", 12)


def transformer(layers: int = 2, more: str = "norm: pre") -> list[str]:
    one = TRANSFORMER.format(layers=layers, more=more)
    return [f"model.encoder={one}", f"model.decoder={one}"]


@pytest.fixture(scope="module")
def lines(tiny_corpus: Path) -> list[str]:
    return [*(tiny_corpus / "val.de").read_text("utf-8").splitlines(), "", "😀 Ein Hund xyz", "Mond " * 12]


def test_it_leaves_pytorch_its_threads(trained: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        open_exported(load(trained, "cpu"))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.quick("average")
@pytest.mark.parametrize("length_penalty", ["average", "word_reward"])
def test_a_translator_searches_by_ctranslate2_and_does_all_else_by_itself(
    trained: Path, lines: list[str], length_penalty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = load(trained, "cpu")
    exported = exported_translator(own)
    constrained = [Request(lines[0], prefix="my brother", must_contain=("moon",)), *lines]
    garden = OutputConstraints(["garden"])
    assert exported.translate(constrained, constraints=garden) == own.translate(constrained, constraints=garden)
    monkeypatch.setattr("nmt.decoding.search.ModelSearcher.__call__", None)  # from here on PyTorch searches nothing
    options = {"length_penalty": length_penalty, "alpha": 0.5}
    # A line in capitals is searched in lower case, and so its alignment is another one.
    found = list(exported.stream(lines, n_best=3, with_alignment=True, restore_case=False, **options))
    assert found[lines.index("")].text == ""
    for line, translation in zip(lines, found, strict=True):
        assert len(translation.tokens) <= 2 * len(own.encode_source(line)) + 20
        scores = [candidate.score for candidate in translation.n_best]
        assert scores == sorted(scores, reverse=True)
        if len(translation.tokens) < 20 and line:
            pair = line, translation.text
            [scored], [aligned] = own.score([pair], **options), own.align([pair])
            if scored.tokens[:-1] == translation.tokens:
                assert translation.score == pytest.approx(scored.score, abs=5e-3)
            assert translation.alignment == aligned.links


def test_with_the_rule_of_ctranslate2_the_candidates_are_the_same(trained: Path, lines: list[str]) -> None:
    own = load(trained, "cpu")
    exported, plain = exported_translator(own), {"n_best": 4, "beam_size": 4, "early_stopping": "first"}
    limits = [{"max_length": 3}, {"max_length_ratio": 0.5, "max_length_extra": 1}]  # of all lines, and of each its own
    for options in (plain, plain | {"prune": 1.0}, *(plain | limit for limit in limits)):
        for here, there in zip(own.translate(lines, **options), exported.translate(lines, **options), strict=True):
            assert [candidate.text for candidate in here.n_best] == [candidate.text for candidate in there.n_best]
            assert [c.score for c in here.n_best] == pytest.approx([c.score for c in there.n_best], abs=1e-4)


def test_a_line_is_read_as_far_as_nmt_reads_it(trained: Path) -> None:
    translator = load(trained, "cpu")
    data = translator.recipe.data.model_copy(update={"max_length": 1000})
    translator = translator.replaced(recipe=translator.recipe.model_copy(update={"data": data}))
    line = "der Hund sieht den Mond. " * 120
    assert 1024 < len(translator.encode_source(line)) < translator.max_pieces
    options = {"beam_size": 2, "early_stopping": "first", "max_length": 5}
    exported = exported_translator(translator)
    assert exported(line, **options).score == pytest.approx(translator(line, **options).score, abs=1e-4)


@pytest.mark.extension("shortlist")
def test_a_shortlist_is_that_of_nmt(
    trained: Path, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.extensions.shortlist.candidates.COMMON", 5)
    monkeypatch.setattr("nmt.extensions.shortlist.candidates.MULTIPLE", 1)
    shutil.copytree(trained, tmp_path / "model")
    (tmp_path / "model" / "lexicon.tsv").write_text("hund\tdog\t3\nmond\tmoon\t2\ndie\tthe\t9\n", "utf-8")
    own = load(tmp_path / "model", "cpu")
    options = {"beam_size": 4, "early_stopping": "first", "batch_size": 1}
    expected = [each.text for each in own.translate(lines, shortlist=1, **options)]
    assert expected != [each.text for each in own.translate(lines, **options)], "the shortlist left nothing out"
    monkeypatch.setattr("nmt.decoding.search.ModelSearcher.__call__", None)  # from here on PyTorch searches nothing
    assert [each.text for each in exported_translator(own).translate(lines, shortlist=1, **options)] == expected
    # As users of the export translate.
    translator = with_decoding(own, shortlist=1, **options)
    export(translator, tmp_path / "out")
    found = ExportedModel(tmp_path / "out", translator, search_arguments(translator)).translate(
        [own.encode_source(lines[0])]
    )
    assert own.vocabularies.target.decode(found[0]) == expected[0]


@pytest.mark.parametrize("heads", [None, ["2:3", "1:4", "2:2"]])
def test_ctranslate2_returns_the_attention_of_the_alignment_heads(
    trained: Path, lines: list[str], tmp_path: Path, heads: list[str] | None
) -> None:
    """Those of the layer that has most of them; by default the model has all heads of one layer."""
    import ctranslate2

    shutil.copytree(trained, tmp_path / "model")
    if heads is not None:
        (tmp_path / "model" / "alignment.json").write_text(json.dumps({"heads": heads, "attention": "output"}))
    translator = load(tmp_path / "model", "cpu")
    export(translator, tmp_path / "out")
    chosen = (6, 5) if heads is not None else translator.aligner.heads.heads
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["alignment_layer"], config["alignment_heads"]) == (1 if heads else 0, len(chosen))
    vocabulary, model = translator.vocabularies.source, ctranslate2.Translator(str(tmp_path / "out"))
    for line in lines[:5]:
        ids = translator.encode_source(line)
        [found] = model.translate_batch([[vocabulary.token(i) for i in ids]], beam_size=1, return_attention=True)
        theirs_TS = np.array(found.attention[0])[:, : len(ids)]
        target = [translator.vocabularies.target.token(i) for i in range(len(translator.vocabularies.target))]
        pair = ids, [target.index(token) for token in found.hypotheses[0]]
        [forced] = force_all(translator.model, [pair], translator.vocabularies, 1, chosen)
        ours_TS = forced.weights_HTS[:, :-1, :-1].mean(0).numpy()
        np.testing.assert_allclose(theirs_TS, ours_TS, atol=1e-4)
        assert word_links(theirs_TS, LinkOptions()) == word_links(ours_TS, LinkOptions())


VARIANTS = {
    "post-norm": [SUBWORDS, *transformer(more="norm: post"), "model.tie=target"],
    "learned positions": [SUBWORDS, *transformer(more="positions: learned, max_positions: 7")],
    "separate vocabularies": [SEPARATE, *transformer(layers=1), "model.scale_embeddings=true"],
    "characters": ["vocabulary={type: character, size: 100}", *transformer(layers=1), "model.tie=all"],
    "bytes": ["vocabulary={type: unigram, size: 366, byte_fallback: true}", *transformer(layers=1)],
    "unlike sides": [
        SUBWORDS,
        "model.encoder=" + TRANSFORMER.format(layers=3, more="norm: post"),
        "model.decoder=" + TRANSFORMER.format(layers=1, more="positions: learned").replace("heads: 4", "heads: 2"),
    ],
}


@pytest.mark.quick("bytes")
@pytest.mark.usefixtures("few_lines")
@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_kind_of_transformer_gives_the_same_probabilities(
    train_tiny: TrainTiny, lines: list[str], tmp_path: Path, settings: list[str]
) -> None:
    translator = load(train_tiny("training.max_steps=15", *settings), "cpu")
    export(translator, tmp_path / "out")
    told, difference = compare(tmp_path / "out", translator, lines)
    assert f" of 12 translations ({12 - len(lines)} of random pieces) are " in told
    assert difference < 1e-4


@pytest.mark.quick("int8")
@pytest.mark.usefixtures("few_lines")
@pytest.mark.parametrize("quantization", ["int8", "int16", "float16", "bfloat16"])
def test_quantized_weights_are_smaller_and_close(
    trained: Path, lines: list[str], tmp_path: Path, quantization: str
) -> None:
    translator = load(trained, "cpu")
    export(translator, tmp_path / "whole")
    export(translator, tmp_path / "small", quantization)  # type: ignore[arg-type]
    sizes = [(tmp_path / name / "model.bin").stat().st_size for name in ("whole", "small")]
    assert sizes[1] < 0.7 * sizes[0]
    told, difference = compare(tmp_path / "small", translator, lines, exact=False)
    assert difference < 1.5
    assert int(told.split()[0]) >= len(lines) // 2


def test_the_command_checks_what_it_wrote_and_says_how_to_use_it(
    run_nmt: RunNmt, trained: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.ct2"
    done = run_nmt("export", trained, "-o", output, check=True)
    lines = validation_lines(load(trained, "cpu"))
    assert len(lines) == 8
    found = re.search(r"(\d+) of 100 translations \(92 of random pieces\) are those of nmt", done.stderr)
    assert found
    assert int(found[1]) >= 90
    assert "no counterpart of these decoding options, which don't apply there: restore_case: true," in done.stderr
    names = {path.name for path in output.iterdir()}
    assert names == {"config.json", "model.bin", "shared_vocabulary.json", "vocabulary.model"}
    program = done.stderr.split("In Python:\n")[1].replace("…", "Der Hund schläft im Garten.")
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == load(trained, "cpu").translate(["Der Hund schläft im Garten."])[0].text + "\n"
    refused(run_nmt("export", trained, "-o", output), "exists already")


@pytest.mark.slow
def test_a_package_for_argos_translate(run_nmt: RunNmt, trained: Path, lines: list[str], tmp_path: Path) -> None:
    """Read and used as Argos Translate does it: one sentencepiece model, tokens joined to text."""
    import ctranslate2
    import sentencepiece

    run_nmt("export", trained, "-o", tmp_path / "packages", "--to", "argos", check=True)
    with zipfile.ZipFile(tmp_path / "packages" / "translate-de_en-1_0.argosmodel") as package:
        package.extractall(tmp_path)
    folder = tmp_path / "translate-de_en-1_0"
    metadata = json.loads((folder / "metadata.json").read_text())
    assert [metadata[key] for key in ("from_code", "to_name", "package_version")] == ["de", "English", "1.0"]
    pieces = sentencepiece.SentencePieceProcessor(str(folder / "sentencepiece.model"))
    model = ctranslate2.Translator(str(folder / "model"))
    sentences = [line for line in lines if line][:8]
    found = model.translate_batch(pieces.encode(sentences, out_type=str), beam_size=1, replace_unknowns=True)
    texts = ["".join(each.hypotheses[0]).replace("▁", " ").strip() for each in found]
    ours = load(trained, "cpu").translate(sentences, beam_size=1, length_penalty="none")
    assert texts == [translation.text for translation in ours]
    assert model.translate_batch([["▁"] * 2000])[0].hypotheses, "Argos Translate gives no limit of a source"


def test_argos_translate_is_compared_with_the_limit_of_the_recipe_and_the_limit_is_named(
    trained: Path, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limited = with_decoding(load(trained, "cpu"), max_length=4)
    limited = limited.replaced(recipe=limited.recipe.model_copy(update={"description": ""}))
    compared, left_out = Argos().write(limited, tmp_path / "de-en.argosmodel", None, lines)
    found = re.search(r"(\d+) of 100 translations", compared)
    assert found
    assert int(found[1]) >= 80
    assert "max_length: 4" in left_out
    with zipfile.ZipFile(tmp_path / "de-en.argosmodel") as package:
        about = package.read("translate-de_en-1_0/README.md").decode()
    assert re.search(r"\n\nA transformer, exported by nmt \d[^ :]*\.\n$", about), "the recipe has no description"
    assert "their bytes" not in capsys.readouterr().err
    monkeypatch.setattr(type(limited.vocabularies.target), "token", lambda self, index: "<0x41>")
    with pytest.raises(UserError, match="exists already"):
        Argos().write(limited, tmp_path / "de-en.argosmodel", None, lines)
    assert "their bytes" in capsys.readouterr().err


def test_a_package_for_argos_translate_has_no_paths_of_a_recipe(trained: Path, tmp_path: Path) -> None:
    translator = load(trained, "cpu")
    data = translator.recipe.data.model_copy(update={"source": "x/../../evil"})
    strange = translator.replaced(recipe=translator.recipe.model_copy(update={"data": data}))
    with pytest.raises(UserError, match=r"x/\.\./\.\./evil and en are no codes"):
        Argos().write(strange, tmp_path / "a" / "b", None, [])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_argos_translate_has_no_language_tokens(build_once: BuildOnce, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no language token in front of a line.*: >>eng<<"):
        Argos().write(load(imported_model("marian_codes", build_once), "cpu"), tmp_path / "out", None, [])
    assert not list(tmp_path.iterdir())


def test_what_can_not_be_exported(
    run_nmt: RunNmt, bytes_model: Path, train_tiny: TrainTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = "CTranslate2 runs Transformers; this model has the encoder recurrent and the decoder bah"
    refused(run_nmt("export", bytes_model, "-o", tmp_path / "out"), message, "the decoder too")
    words = load(train_tiny("training.max_steps=1", *transformer(layers=1)), "cpu")
    with pytest.raises(UserError, match="sentencepiece vocabularies"):
        export(words, tmp_path / "out")
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(UserError, match=r"nmt\[ctranslate2\]"):
        export(words, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_nmt_translate_searches_with_it(trained: Path, lines: list[str], tmp_path: Path, run_nmt: RunNmt) -> None:
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    options = ("-i", tmp_path / "in", "--length-penalty", "none")
    ours, theirs, rounded = (
        run_nmt("translate", trained, *options, *engine).stdout.splitlines()
        for engine in ((), ("--engine", "ctranslate2"), ("--engine", "ctranslate2", "--precision", "int8"))
    )
    assert len(ours) == len(theirs) == len(rounded) == len(lines)
    assert sum(map(eq, ours, theirs)) >= len(lines) - 2  # an endless one is cut elsewhere
    done = run_nmt("translate", trained, *options, "--engine", "ctranslate2", "--ensemble", trained)
    refused(done, "Remove --ensemble or --engine.")
    done = run_nmt("translate", trained, *options, "--engine", "ctranslate2", "--device", "cuda")
    refused(done, "Remove --device or --engine.")


@pytest.mark.slow
@pytest.mark.usefixtures("few_lines")
@pytest.mark.parametrize("name", ["marian", "marian_untied", "marian_codes", "m2m100", "nllb", "mbart"])
def test_imported_models_are_exported(name: str, build_once: BuildOnce, tmp_path: Path) -> None:
    # Random pieces, decoded and encoded again, are many.
    translator = with_decoding(load(imported_model(name, build_once), "cpu"), max_length=6)
    lines = lines_of("de", 5)
    export(translator, tmp_path / "out")
    assert compare(tmp_path / "out", translator, lines)[1] < 1e-4
    exported = exported_translator(translator)
    greedy = {"beam_size": 1, "max_length": 8}
    for line in lines:  # random weights never end a translation, and nmt ends it at the limit
        ours, theirs = translator(line, **greedy).tokens, exported(line, **greedy).tokens
        assert len(ours) > 3
        assert theirs[: len(ours)] == ours
    code = usage(translator, tmp_path / "out", {"beam_size": 1, "max_decoding_length": 4}).replace("…", lines[0])
    assert "print(target.decode(" in code
    code = code.replace("target.decode(", "*(")  # the pieces, because random weights also give language tokens
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert len(found) >= 3
    assert found == translator(lines[0], **greedy).tokens[: len(found)]
