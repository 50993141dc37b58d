"""Imported models compute what transformers computes; `--write` stores its figures anew (with transformers)."""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import BuildOnce, RunNmt
from refusals import refused
from safetensors.torch import load_file, save_file

import nmt
from nmt.core.errors import UserError
from nmt.decoding.forced import force_all
from nmt.extensions.interchange.huggingface import export_huggingface
from nmt.extensions.interchange.pretrained.huggingface import import_huggingface
from nmt.models import weights
from nmt.recipe.schema import DecodingOptions
from nmt.translation.translator import Translator
from tests.extensions.interchange.huggingface_folders import (
    CASES,
    TARGETS,
    by_transformers,
    imported_model,
    lines_of,
    shared_folder,
    strange_lines,
    write_folder,
    write_json,
)

EXPECTED = Path(__file__).with_name("expected.json")
PAIRS = [([5, 17, 88, 120], [30, 9, 77, 14, 101]), ([40], [60]), ([7, 8, 9, 10, 11, 12, 13, 14, 15, 16], [99, 98])]
"""Ids of sources and targets."""


def log_probabilities(translator: Translator) -> list[list[float]]:
    found = force_all(translator.model, PAIRS, translator.vocabularies, batch_size=2)
    return [pair.log_probability_T.tolist() for pair in found]


@pytest.mark.quick("marian_codes", "mbart")
@pytest.mark.parametrize("case", CASES)
def test_log_probabilities_are_the_stored_ones_of_transformers(case: str, build_once: BuildOnce) -> None:
    translator = nmt.load(imported_model(case, build_once), "cpu")
    for found, wanted in zip(log_probabilities(translator), json.loads(EXPECTED.read_text())[case], strict=True):
        assert found == pytest.approx(wanted, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_tokenisation_is_that_of_transformers(case: str, build_once: BuildOnce) -> None:
    """Of NLLB and mBART-50, transformers 5 divides some lines with white space otherwise than sentencepiece."""
    transformers = pytest.importorskip("transformers")
    if case == "mbart":
        pytest.skip("transformers knows no mBART-50 with fewer languages")
    tokenizer = transformers.AutoTokenizer.from_pretrained(shared_folder(case, build_once))
    mine = nmt.load(imported_model(case, build_once), "cpu").vocabularies.source
    if case == "m2m100":
        tokenizer.src_lang = "de"
    prefix = ">>eng<< " if case == "marian_codes" else ""
    lines = lines_of("de", 1000) if case == "nllb" else strange_lines(10_000)
    for line in lines:
        ids = tokenizer(prefix + line)["input_ids"][:-1]  # without EOS
        assert mine.encode(line) in (ids, []), line
        assert mine.encode(line) or len(ids) <= 1, "only a language token"


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_exported_model_is_the_imported_one(
    run_nmt: RunNmt, case: str, build_once: BuildOnce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, imported = shared_folder(case, build_once), imported_model(case, build_once)
    monkeypatch.setattr("nmt.extensions.interchange.check.NUM_LINES", 3)
    done = run_nmt("export", imported, "--to", "huggingface", "-o", tmp_path / "out", check=True)
    assert "from transformers import" in done.stderr
    prefix = ">>eng<< " if case == "marian_codes" else ""
    assert f'batch = tokenizer(["{prefix}…"]' in done.stderr
    if importlib.util.find_spec("transformers") is not None:
        assert "of 3 translations (3 of random pieces) are those of nmt" in done.stderr
    before, after = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "out"))
    skipped = 2 if case == "mbart" else 0  # rows that no position has
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name][skipped:], after[name][skipped:]) for name in before if "positions" in name)
    assert all(torch.equal(before[name], after[name]) for name in before if "positions" not in name)
    import_huggingface(tmp_path / "out", tmp_path / "again", None, TARGETS.get(case))
    first, second = (nmt.load(path, "cpu") for path in (imported, tmp_path / "again"))
    assert log_probabilities(first) == log_probabilities(second)
    assert first.vocabularies.fingerprint == second.vocabularies.fingerprint


@pytest.mark.slow
def test_an_imported_model_is_an_ordinary_one(run_nmt: RunNmt, build_once: BuildOnce, tmp_path: Path) -> None:
    model, tuned = tmp_path / "model", tmp_path / "tuned"
    for language in ("de", "en"):
        (tmp_path / f"train.{language}").write_text("\n".join(lines_of(language, 100)) + "\n", "utf-8")
    source, target = tmp_path / "train.de", tmp_path / "train.en"
    run_nmt("import", "huggingface", shared_folder("marian", build_once), "-o", model, check=True)
    for command in (
        ["translate", model, "-i", source, "-o", tmp_path / "out", "--device", "cpu"],
        ["verify", model, source, target, "--limit", "10"],
        ["align", model, source, target, "-o", tmp_path / "links", "--device", "cpu"],
        ["train", model / "recipe.yaml", "-o", tuned, "--set", f"training.finetune_from={model}", "--set",
         f"data.root={tmp_path}", "--set", "data.valid=null", "--set", "training.max_steps=40", "--set",
         "training.learning_rate=0.001", "--set", "training.schedule.warmup_steps=1", "--set", "device=cpu",
         "--set", "training.batch_tokens=500", "--set", "decoding.max_length=20"],
        ["export", tuned, "--to", "huggingface", "-o", tmp_path / "hf"],
    ):  # fmt: skip
        run_nmt(*command, check=True)
    assert len((tmp_path / "out").read_text("utf-8").splitlines()) == 100
    pairs = list(zip(lines_of("de", 40), lines_of("en", 40), strict=True))
    before, after = (
        sum(pair.log_probability or 0 for pair in nmt.load(path, "cpu").score(pairs)) for path in (model, tuned)
    )
    assert after > before, "fine-tuning has learned"


def test_languages_are_chosen_at_import(build_once: BuildOnce, tmp_path: Path) -> None:
    import_huggingface(shared_folder("nllb", build_once), tmp_path / "model", "fra_Latn", "ace_Arab")
    vocabularies = nmt.load(tmp_path / "model", "cpu").vocabularies
    assert vocabularies.source.token(vocabularies.source.encode("Ein Mann")[0]) == "fra_Latn"
    assert vocabularies.target.token(vocabularies.target.sos) == "ace_Arab"
    assert "ace_Arab" not in map(vocabularies.target.token, vocabularies.target.encode("A man"))


def test_a_line_can_name_the_language_itself(build_once: BuildOnce) -> None:
    vocabulary = nmt.load(imported_model("marian_codes", build_once), "cpu").vocabularies.source
    plain, tagged = vocabulary.encode("Ein Mann"), vocabulary.encode(">>fra<< Ein Mann")
    assert [vocabulary.token(plain[0]), vocabulary.token(tagged[0])] == [">>eng<<", ">>fra<<"]
    assert plain[1:] == tagged[1:]
    assert [piece.id for piece in vocabulary.pieces("Ein Mann")] == plain
    assert vocabulary.decode(plain) == "Ein Mann"


def test_views_of_a_large_file_can_be_changed(build_once: BuildOnce, monkeypatch: pytest.MonkeyPatch) -> None:
    path = imported_model("marian", build_once)
    expected, content = log_probabilities(nmt.load(path, "cpu")), (path / "model.safetensors").read_bytes()
    monkeypatch.setattr(weights, "LARGE", 0)
    translator = nmt.load(path, "cpu")
    for found, wanted in zip(log_probabilities(translator), expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-5)
    with torch.no_grad():
        for parameter in translator.model.parameters():
            parameter.mul_(2)
    assert (path / "model.safetensors").read_bytes() == content


def with_tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return changed


def with_keys(file: str, **changes: Any) -> Callable[[Path], object]:
    return lambda folder: write_json(folder / file, json.loads((folder / file).read_text("utf-8")) | changes)


def truncated(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:-100])


def in_two_files(folder: Path) -> None:
    """Divides the weights of a folder."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), start=1):
        save_file({name: tensors[name] for name in names}, folder / f"model-{number:05}-of-00002.safetensors")


def test_weights_may_be_in_several_files(build_once: BuildOnce, run_nmt: RunNmt, tmp_path: Path) -> None:
    in_two_files(folder := write_folder(tmp_path / "folder"))
    whole, divided = imported_model("marian", build_once), import_huggingface(folder, tmp_path / "model")
    assert divided.weights.read_bytes() == (whole / "model.safetensors").read_bytes()
    truncated("model-00002-of-00002.safetensors")(folder)
    refused(run_nmt("import", "huggingface", folder, "-o", tmp_path / "other"), "00002.safetensors is damaged")


FC1 = "model.encoder.layers.1.fc1.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_keys("config.json", model_type="bert"), "model_type is 'bert'"),
        (with_keys("config.json", d_model="wide"), "d_model is 'wide'"),
        (with_keys("config.json", d_model=40), "has the shape"),
        pytest.param(
            with_keys("config.json", d_model=100_000, encoder_layers=100),
            "needs more memory than there is",
            marks=pytest.mark.posix,  # Windows doesn't tell
        ),
        (with_keys("config.json", length_penalty=float("inf")), "length_penalty is inf"),
        (with_keys("config.json", length_penalty=1e308), "length_penalty is 1e+308"),
        (with_keys("config.json", decoder_start_token_id=999), "fit the weights: an id is none of"),
        (with_keys("tokenizer_config.json", target_lang="d" * 2000), "at most 1,000 characters"),
        (
            lambda folder: write_json(folder / "generation_config.json", {"num_beams": "many"}),
            "generation_config.json: num_beams is 'many'",
        ),
        (with_keys("config.json", vocab_size=100), "doesn't fit the weights"),
        (with_keys("config.json", pad_token_id=3), "pad_token_id is 3"),
        (with_keys("config.json", decoder_start_token_id=0), "decoder_start_token_id"),
        (with_keys("vocab.json", **{"▁Mann": "x"}), "'▁Mann' has no id"),
        (with_keys("tokenizer_config.json", source_lang=None), "Give --source-language"),
        (with_tensors(lambda tensors: tensors.pop(FC1)), f"lack the tensor '{FC1}'"),
        (with_tensors(lambda tensors: tensors.update(more=torch.zeros(2, 2))), "unexpected tensor 'more'"),
        (with_tensors(lambda tensors: tensors.update({FC1: torch.zeros(48, 31)})), "shape (48, 31), not (48, 32)"),
        (with_tensors(lambda tensors: tensors[FC1][-1].fill_(torch.nan)), f"in '{FC1}' (1 of 8"),
        (with_tensors(lambda tensors: tensors.update({FC1: tensors[FC1].to(torch.int8)})), "damaged or quantised"),
        (truncated("model.safetensors"), "model.safetensors is damaged"),
        (truncated("config.json"), "config.json is not JSON"),
        (truncated("source.spm"), "source.spm is not a sentencepiece model"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "save_pretrained("),
        (lambda folder: (folder / "vocab.json").unlink(), "vocab.json can't be read"),
        (lambda folder: (folder / "source.spm").unlink(), "neither source.spm nor"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    run_nmt: RunNmt, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    folder = write_folder(tmp_path / "folder")
    change(folder)
    refused(run_nmt("import", "huggingface", folder, "-o", tmp_path / "model"), message)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("added_tokens_decoder", [1]),
        ("extra_special_tokens", [{"x": 1}]),
        ("added_tokens", [{"content": "x", "id": float("inf")}]),
    ],
)
def test_damaged_lists_of_added_tokens_are_refused(key: str, value: object, tmp_path: Path) -> None:
    with_keys("tokenizer_config.json", **{key: value})(folder := write_folder(tmp_path / "folder", **CASES["nllb"]))
    (folder / "tokenizer.json").write_bytes((folder / "tokenizer_config.json").read_bytes())
    with pytest.raises(UserError, match=r"the added tokens in .* are damaged"):
        import_huggingface(folder, tmp_path / "model")


@pytest.mark.posix
@pytest.mark.parametrize(("place", "is_copied"), [("models/blobs/12ab", True), ("secret", False)])
def test_the_card_is_copied_from_the_folder_and_the_cache_alone(tmp_path: Path, place: str, is_copied: bool) -> None:
    folder = write_folder(tmp_path / "models/snapshots/34cd")
    (linked := tmp_path / place).parent.mkdir(exist_ok=True)
    linked.write_text("a card", "utf-8")
    (folder / "README.md").symlink_to(linked)
    assert import_huggingface(folder, tmp_path / "model").card.is_file() == is_copied


@pytest.mark.posix
@pytest.mark.parametrize("name", ["config.json", "vocab.json", "target.spm", "model-00001-of-00001.safetensors"])
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(run_nmt: RunNmt, tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "folder")
    (folder / (name if "-of-" not in name else "model.safetensors")).unlink()
    os.mkfifo(folder / name)
    refused(run_nmt("import", "huggingface", folder, "-o", tmp_path / "model"), f"{name} is not a regular file")


@pytest.mark.slow
def test_one_embedding_for_both_sides_may_have_an_output_layer_of_its_own(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", tied=False)
    translator = nmt.load(import_huggingface(folder, tmp_path / "model").path, "cpu")
    parameters = dict(translator.model.named_parameters())
    tables = [parameters[f"{side}.embedding.table.weight"] for side in ("encoder", "decoder")]
    assert tables[0] is not tables[1]
    assert torch.equal(*tables)
    assert not torch.equal(tables[1], parameters["decoder.output.weight_VD"])
    transformers = pytest.importorskip("transformers")
    export_huggingface(translator, tmp_path / "hf")  # its file has the embeddings twice, as transformers reads
    again = nmt.load(import_huggingface(tmp_path / "hf", tmp_path / "again").path, "cpu")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "hf")
    expected = by_transformers(model, PAIRS, [translator.vocabularies.target.sos])
    for each in (translator, again):
        for found, wanted in zip(log_probabilities(each), expected, strict=True):
            assert found == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("generation", "changes"),
    [
        (
            {"num_beams": 3, "length_penalty": 0.6, "early_stopping": True},
            {"beam_size": 3, "alpha": 0.6, "early_stopping": "first"},
        ),
        ({"early_stopping": "never"}, {"early_stopping": "exact"}),
        ({"num_beams": None, "length_penalty": None, "pad_token_id": None}, {}),
        ({"no_repeat_ngram_size": 2, "eos_token_id": [0]}, {"logits_processors": {"no_repeat_ngram": {"size": 2}}}),
        (None, {}),
    ],
    ids=["other values", "never", "null is no value", "n-grams, and a list of EOS", "no file"],
)
def test_the_search_is_that_of_generation_config_and_then_of_config(
    tmp_path: Path, generation: dict[str, Any] | None, changes: dict[str, Any]
) -> None:
    folder = write_folder(tmp_path / "folder")
    with_keys("config.json", num_beams=6, length_penalty=2.0, early_stopping=False)(folder)
    if generation is not None:
        write_json(folder / "generation_config.json", generation)
    decoding = nmt.load(import_huggingface(folder, tmp_path / "model").path, "cpu").recipe.decoding
    of_config = DecodingOptions(beam_size=6, length_penalty="average", alpha=2.0, early_stopping="likely")
    assert decoding == of_config.model_copy(update=changes)


def test_an_unknown_language_is_refused_with_the_nearest(run_nmt: RunNmt, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", **CASES["nllb"])
    done = run_nmt("import", "huggingface", folder, "-o", tmp_path / "model", "--source-language", "deu_Latin")
    refused(done, "--source-language: the model has no language 'deu_Latin'", "Did you mean 'deu_Latn'?")
    path = folder / "sentencepiece.bpe.model"
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xff\xff", 1))  # a piece that is not UTF-8
    refused(
        run_nmt("import", "huggingface", folder, "-o", tmp_path / "model"), f"{path.name} is not a sentencepiece model"
    )


if __name__ == "__main__" and "--write" in sys.argv:
    from tempfile import TemporaryDirectory

    from transformers import AutoModelForSeq2SeqLM

    stored = {}
    with TemporaryDirectory() as scratch:
        for name, options in CASES.items():
            made, model_dir = write_folder(Path(scratch) / name, **options), Path(scratch) / f"{name}.nmt"
            import_huggingface(made, model_dir, None, TARGETS.get(name))
            decoder: Any = (translator := nmt.load(model_dir, "cpu")).model.decoder
            before = [decoder.first_token] * (decoder.first_token is not None) + [translator.vocabularies.target.sos]
            rows = by_transformers(AutoModelForSeq2SeqLM.from_pretrained(made).eval(), PAIRS, before)
            stored[name] = [[round(value, 6) for value in row] for row in rows]
    EXPECTED.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
