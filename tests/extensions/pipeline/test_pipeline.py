"""``nmt.pipeline`` gives what the translation pipeline of transformers 4 gives for the same models.

``transformers.json`` has the results of transformers 4.57.6. Where transformers is older than 5, its own are compared,
too, and ``python tests/extensions/pipeline/test_pipeline.py`` writes the file anew.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import GeneratorType
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file
from torch.utils.data import ConcatDataset

import nmt
from nmt.core.errors import UserError
from nmt.extensions.pipeline.pipeline import read_call

STORED = Path(__file__).with_name("transformers.json")
LINES = ["Ein Mann schläft.", "Zwei  Hunde spielen\nim Schnee.", "Die Frau liest ein altes Buch."]
DATASET: Any = ConcatDataset([LINES])  # has a length and numbered items, and can't be iterated
SEVERAL = {"num_beams": 2, "num_return_sequences": 2}
needs_import = pytest.mark.extension("interchange")

CALLS: dict[str, Callable[[Any], Any]] = {
    "text": lambda pipe: pipe(LINES[0]),
    "list": lambda pipe: pipe(LINES),
    "list of one": lambda pipe: pipe(LINES[:1]),
    "empty list": lambda pipe: pipe([]),
    "generator": lambda pipe: list(pipe(line for line in LINES)),
    "data set": lambda pipe: list(pipe(DATASET)),
    "batches": lambda pipe: [pipe(LINES, batch_size=2), list(pipe(DATASET, batch_size=2))],
    "several of a text": lambda pipe: pipe(LINES[0], **SEVERAL),
    "several of a list": lambda pipe: pipe(LINES, **SEVERAL),
    "several of a list of one": lambda pipe: pipe(LINES[:1], **SEVERAL),
    "several of a generator": lambda pipe: list(pipe((line for line in LINES), **SEVERAL)),
    "max_length": lambda pipe: pipe(LINES, max_length=5),
    "the shortest": lambda pipe: pipe(LINES, max_length=3),
    "max_new_tokens": lambda pipe: pipe(LINES, max_new_tokens=5),
    "n-grams": lambda pipe: pipe(LINES, no_repeat_ngram_size=2),
    "beam": lambda pipe: pipe(LINES, num_beams=2, early_stopping=True, length_penalty=1.0),
    "accepted": lambda pipe: pipe(
        LINES, truncation="longest_first", clean_up_tokenization_spaces=True, return_text=True, return_tensors=False,
        src_lang="de", tgt_lang="en", num_workers=0, use_cache=True, do_sample=False, repetition_penalty=1.0,
    ),
    "None": lambda pipe: pipe(LINES, batch_size=None, src_lang=None, truncation=None),
    "a number": lambda pipe: pipe(3),
    "a row": lambda pipe: pipe({"de": LINES[0]}),
    "a list of numbers": lambda pipe: pipe([3]),
    "an unknown argument": lambda pipe: pipe(LINES, nonsense=1),
    "more than beams": lambda pipe: pipe(LINES, num_return_sequences=9),
    "truncation": lambda pipe: pipe(LINES, truncation="nonsense"),
    "no length": lambda pipe: pipe(LINES, max_length=0),
}  # fmt: skip
"""Calls of a pipeline of a Marian model, which was made with ``max_length=8`` and ``num_beams=1``."""
MAKINGS: dict[str, Callable[[Callable[..., Any], Path], Any]] = {
    "languages": lambda make, path: make("translation_de_to_en", model=str(path), max_length=7, num_beams=1)(LINES),
    "positional": lambda make, path: make("translation", str(path), max_length=6, num_beams=1)(LINES[0]),
    "accepted": lambda make, path: make(
        "translation", model=str(path), device=-1, torch_dtype="float32", tokenizer=str(path), framework="pt",
        max_length=6, num_beams=1, model_kwargs={}, batch_size=2, trust_remote_code=False, revision="main",
    )(LINES),
    "another task": lambda make, path: make("translate", model=str(path)),
    "half a task": lambda make, path: make("translation_de_en", model=str(path)),
    "no model": lambda make, path: make("translation"),
    "a missing model": lambda make, path: make("translation", model="nobody/nothing"),
}  # fmt: skip
LANGUAGES = {"both": {"src_lang": "de", "tgt_lang": "en"}, "others": {"src_lang": "fr", "tgt_lang": "de"},
             "none": {}, "one": {"src_lang": "de"}}  # fmt: skip
"""Arguments of calls of a pipeline of M2M100, whose folder names no languages."""


def outcome(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """The result of a call, or the name of the built-in type of its error."""
    kinds = (KeyError, OSError, TypeError, ValueError)
    try:
        return function(*arguments, **named)
    except kinds as error:
        return next(kind.__name__ for kind in kinds if isinstance(error, kind))


def write_models(folder: Path) -> None:
    """Writes Marian and M2M100 with random weights, such that transformers 4 and 5 read them alike."""
    from nmt.extensions.interchange.pretrained.tokenizers import M2M100_LANGUAGES
    from tests.extensions.interchange.huggingface_folders import write_folder, write_json

    for kind, activation in (("marian", "swish"), ("m2m_100", "relu")):
        path = write_folder(folder / kind, kind, activation=activation)
        ids = {key: value for key, value in json.loads((path / "config.json").read_text()).items() if "token_id" in key}
        forced = {"forced_eos_token_id": ids["eos_token_id"]} if kind == "marian" else {}
        write_json(path / "generation_config.json", {**ids, **forced, "max_length": 40})
    weights = load_file(path / "model.safetensors")
    weights["model.shared.weight"][312:] *= 0.1  # language tokens, which would be the most probable tokens
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    tokens = [f"__{code}__" for code in M2M100_LANGUAGES["m2m100"].split()]
    settings = {"tokenizer_class": "M2M100Tokenizer", "additional_special_tokens": tokens}
    write_json(path / "tokenizer_config.json", settings)  # without languages


def table(make: Callable[..., Any], folder: Path) -> dict[str, Any]:
    """The outcome of each row of the tables."""
    marian, m2m100 = (
        make("translation", model=str(folder / kind), max_length=8, num_beams=1) for kind in ("marian", "m2m_100")
    )
    calls = {f"call {name}": outcome(call, marian) for name, call in CALLS.items()}
    makings = {f"make {name}": outcome(making, make, folder / "marian") for name, making in MAKINGS.items()}
    return calls | makings | {f"language {name}": outcome(m2m100, LINES, **given) for name, given in LANGUAGES.items()}


@pytest.fixture(scope="session")
def models(build_once: Callable[..., Path]) -> Path:
    return build_once("pipeline_models", write_models)


def old_pipeline() -> Callable[..., Any] | None:
    """The function of transformers, if that is installed and old enough."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    is_old = find_spec("transformers") is not None and version("transformers").startswith("4.")
    return import_module("transformers").pipeline if is_old else None


@needs_import
def test_calls_give_what_transformers_gives(models: Path) -> None:
    found, old = table(nmt.pipeline, models), old_pipeline()
    for expected in (json.loads(STORED.read_text("utf-8")), table(old, models) if old else found):
        assert found.keys() == expected.keys()
        assert {name: (found[name], wanted) for name, wanted in expected.items() if found[name] != wanted} == {}


@needs_import
def test_objects_and_downloads_of_transformers(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"max_length": 8, "num_beams": 1}
    expected = nmt.pipeline("translation", model=models / "marian", **options)(LINES)
    folder = tmp_path / "models--Helsinki-NLP--tiny"
    shutil.copytree(models / "marian", folder / "snapshots" / "123")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert nmt.pipeline("translation", model="Helsinki-NLP/tiny", **options)(LINES) == expected
    with pytest.raises(OSError, match="hf download Helsinki-NLP/tiny"):
        nmt.pipeline("translation", model="Helsinki-NLP/tiny", revision="v2")
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(models / "marian")
    tokenizer = transformers.AutoTokenizer.from_pretrained(models / "marian")
    assert nmt.pipeline("translation", model=model, tokenizer=tokenizer, **options)(LINES) == expected


def test_models_of_nmt(tiny_model: Path) -> None:
    translator, read = nmt.load(tiny_model, "cpu"), list[str]()
    pipe = nmt.pipeline("translation_de_to_en", model=tiny_model, device="cpu")
    expected = [{"translation_text": translation.text} for translation in translator.translate(LINES)]
    assert pipe.task == "translation_de_to_en"
    assert pipe(LINES) == pipe(tuple(LINES)) == expected
    assert pipe("", num_return_sequences=2) == [{"translation_text": ""}] * 2
    nmt.pipeline("translation", model=translator, tgt_lang="eng_Latn")  # a code of another standard
    sampling = {"search": "sample", "temperature": 0.5, "top_k": 3}
    assert read_call(sampling)[2] == sampling, "they are options of nmt's search"
    assert read_call({"temperature": 0.5, "top_k": 3})[2] == {}, "transformers ignores them, too"
    assert read_call({"no_repeat_ngram_size": 0})[2] == {"logits_processors": {}}, "those of the recipe don't apply"

    def lines() -> Iterator[str]:
        for line in LINES:
            read.append(line)
            yield line

    results = pipe(lines())
    assert isinstance(results, GeneratorType)
    assert next(results) == expected[:1]
    assert read == LINES[:1], "a generator is read as far as its results"
    next(pipe(lines(), batch_size=2))
    assert read == [*LINES[:1], *LINES[:2]]


@needs_import
def test_messages(tiny_model: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = nmt.pipeline("translation", model=tiny_model, device="cpu")
    m2m100 = nmt.pipeline("translation_de_to_fr", model=models / "m2m_100", max_length=8, num_beams=1)
    assert m2m100(LINES[0]) != m2m100(LINES[0], tgt_lang="en")
    assert "text 1 has 10 tokens, and max_length leaves 6: its translation may be cut" in capsys.readouterr().err
    ensemble = nmt.pipeline("translation_de_to_fr", model=models / "m2m_100", max_length=8, num_beams=1)
    ensemble.model.has_own_searcher = False
    calls: dict[str, Callable[[], Any]] = {
        "between the languages of its recipe alone": lambda: ensemble(LINES, tgt_lang="en"),
        "Text 2 is of the type int": lambda: pipe([LINES[0], 3]),
        r'of rows, \(row\["text"\] for row in rows\)': lambda: pipe([{"de": "x"}]),
        "doesn't support beams=2, forced_bos_token_id=5": lambda: pipe(LINES, forced_bos_token_id=5, beams=2),
        "max_length is '8'.\nGive an integer of 3 or more": lambda: pipe(LINES, max_length="8"),
        "'beam_size' is 0": lambda: pipe(LINES, num_beams=0),
        "from de to en, not from de to fr": lambda: pipe(LINES, tgt_lang="fr"),
        "The model has no language 'xx'": lambda: m2m100(LINES, tgt_lang="xx"),
        "There is no precision 'int4'": lambda: nmt.pipeline("translation", model=tiny_model, dtype="int4"),
        "Unknown task 'summarization': nmt.pipeline": lambda: nmt.pipeline("summarization", model=tiny_model),
        "There is no folder 7": lambda: nmt.pipeline("translation", model=7),
        "There is no folder a": lambda: nmt.pipeline("translation", model="a" * 5000),
        "The translator has a device": lambda: nmt.pipeline(model=nmt.load(tiny_model), dtype="bfloat16"),
    }
    for message, call in calls.items():
        with pytest.raises(UserError, match=message) as raised:
            call()
        assert isinstance(raised.value, KeyError | OSError | TypeError | ValueError)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    with TemporaryDirectory() as temporary:
        write_models(Path(temporary))
        make = old_pipeline()
        assert make is not None, "needs transformers below 5"
        STORED.write_text(json.dumps(table(make, Path(temporary)), ensure_ascii=False, indent=1) + "\n", "utf-8")
