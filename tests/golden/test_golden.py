"""Golden values: a change of the code that isn't meant to change results gives the same losses and translations.

- ``losses.json``: of every shipped recipe, and of the training techniques that no recipe turns on, the loss and the
  gradient norm of 8 updates and the validation loss after them (fp32, CPU, one thread, seed 1, smaller networks).
- ``models/NAME/``: small trained model directories, and in ``expected.jsonl`` what they give for some lines of the
  corpus and some hard ones. They are the proof that a model directory of a released format still loads and still
  translates in the same way. Until the first release their ``recipe.yaml`` is edited where keys are renamed; from then
  on they stay as they are. Each was trained by its recipe, on the first 12,000 training pairs.

The data come from the embedded corpus. Where a recipe key is renamed, ``SMALL``, ``SIZES`` and ``TECHNIQUES`` are the
places to edit. Where a change of results is intended, the values are written again, and the commit says why::

    NMT_WRITE_GOLDEN=1 pytest tests/golden
    NMT_WRITE_GOLDEN=1 pytest 'tests/golden/test_golden.py::test_losses_are_the_same[systems/gru]'
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from extensions import skipped_without_its_extension
from fixture_types import RunNmt

import nmt
from nmt.data.vocabulary.files import Vocabularies
from nmt.quickstart.embedded_corpus import splits
from nmt.recipe.schema import VocabularyOptions

HERE = Path(__file__).resolve().parent
RECIPES = HERE.parent.parent / "recipes"
LOSSES = HERE / "losses.json"
WRITES = "NMT_WRITE_GOLDEN" in os.environ
"""Whether the values that are found take the place of those that are stored."""
NUM_UPDATES = 8

SMALL: dict[str, Any] = {
    "seed": 1,
    "device": "cpu",
    "data.valid": "val",
    "training.precision": "fp32",
    "training.max_steps": NUM_UPDATES,
    "training.schedule.warmup_steps": 5,
    "training.batch_tokens": 240,
    "training.validate_every": 1000,
    "training.metric": "loss",
    "training.log_every": 1,
    "training.keep_best": 0,
    # Has tests of its own: the losses shall not depend on how subwords are drawn.
    "training.techniques.subword_sampling": None,
}
"""The recipe keys that every case sets; ``data`` and ``vocabulary`` are set by :func:`_settings`."""

SIZES = ("embedding_size", "hidden_size", "feed_forward_size", "slot_size", "size")
"""Keys of widths under ``model``; each is divided by 4 where it is 128 or more."""

PLAIN = {
    "training.techniques": {"reverse_pairs": None, "subword_sampling": None},
    "training.schedule": {"type": "cosine", "warmup_steps": 5},
    "training.max_epochs": 18,
}
"""What multi30k/luong was like when the losses of these techniques were computed."""

TECHNIQUES: dict[str, tuple[str, dict[str, Any]]] = {
    "accumulate": ("systems/gru", {"training.accumulate": 2, "training.clip_norm": 0.5}),
    "adamw": ("multi30k/luong", PLAIN | {"training.optimizer": {"type": "adamw", "weight_decay": 0.1}}),
    "constant": ("multi30k/luong", PLAIN | {"training.schedule.type": "constant"}),
    "gradient_flow": ("systems/rnn_tanh", {"training.techniques.gradient_flow.weight": 0.5}),
    "plateau": ("multi30k/luong", PLAIN | {"training.schedule.type": "plateau", "training.validate_every": 2}),
    "scheduled_sampling": (
        "systems/lstm",
        {"training.techniques.scheduled_sampling": {"schedule": "inverse_sigmoid", "k": 5.0, "floor": 0.2}},
    ),
    "truncate": ("systems/gru", {"training.techniques.truncation.length": 4}),
}
"""Cases by name: the recipe they start from, and the keys that turn the technique on."""

CASES = sorted(path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.rglob("*.yaml"))
CASES += [f"technique/{name}" for name in TECHNIQUES]

MODELS = ("bahdanau", "transformer")
"""Model directories: one with a moving average, and one with a head that was taught word alignment."""


@pytest.fixture(scope="session")
def golden_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sentence pairs (en, de), their word links, dialogues (chat/) and labels."""
    folder = tmp_path_factory.mktemp("golden_corpus")
    corpus = splits(train=600)
    for name, pairs in (("train", corpus["train"]), ("val", corpus["valid"][:50])):
        _write_lines(folder / f"{name}.en", [pair.source for pair in pairs])
        _write_lines(folder / f"{name}.de", [pair.target for pair in pairs])
        links = [" ".join(f"{source}-{target}" for source, target in pair.links) for pair in pairs]
        _write_lines(folder / f"{name}.links", links)
        words = ((p.source_tokens[s].lower(), p.target_tokens[t].lower()) for p in pairs for s, t in p.links)
        counts = sorted(Counter(words).items())
        _write_lines(folder / f"{name}.lexicon", [f"{source}\t{target}\t{count}" for (source, target), count in counts])
        dialogues = [pairs[start : start + 4] for start in range(0, len(pairs), 4)]
        until = [dialogue[: end + 1] for dialogue in dialogues for end in range(len(dialogue))]
        english = ["\t".join(pair.source for pair in turns) for turns in until]
        _write_lines(folder / "chat" / f"{name}.en", english)
        _write_lines(folder / "chat" / f"{name}.de", ["\t".join(pair.target for pair in turns) for turns in until])
        _write_lines(folder / "chat" / f"{name}.prompt", english)
        _write_lines(folder / "labels" / f"{name}.en", english)
        _write_lines(folder / "labels" / f"{name}.speaker", [("agent", "customer")[len(turns) % 2] for turns in until])
        both = [[(pair.source, "en"), (pair.target, "de")] for pair in pairs]
        _write_lines(folder / "labels" / f"{name}.text", [text for sides in both for text, _ in sides])
        _write_lines(folder / "labels" / f"{name}.language", [language for sides in both for _, language in sides])
        _write_lines(folder / "chat" / f"{name}.response", [turns[-1].source for turns in [*until[1:], until[0]]])
    return folder


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _settings(name: str, recipe: Mapping[str, Any], corpus: Path) -> dict[str, Any]:
    """The keys of a case and their values, by dotted names."""
    settings = dict(SMALL)
    if name.startswith("algorithmic/"):
        settings |= {"data.task.num_pairs": 600, "data.task.num_valid": 50}
    elif name.startswith("classification/"):
        settings |= {"data.root": str(corpus / "labels"), "vocabulary.size": 300}
    elif name.startswith("chat/"):
        settings |= {"data.root": str(corpus / "chat"), "vocabulary.size": 300}
    else:
        settings |= {"data.root": str(corpus), "data.source": "en", "data.target": "de", "vocabulary.size": 400}
    if corpora := recipe["data"].get("corpora"):  # German stands for French, and real text for synthetic
        german, english = str(corpus / "train.de"), str(corpus / "train.en")
        settings["data.corpora"] = [
            each | {side: english if each[side].endswith(".en") else german for side in ("source", "target")}
            if "source" in each
            else each | {"text": {"type": "lexicon", "path": str(corpus / "train.lexicon")}}
            for each in corpora
        ]
    guided = recipe["training"].get("techniques", {}).get("guided_alignment")
    if guided is not None and guided.get("links") != "learned":
        settings["training.techniques.guided_alignment.links"] = str(corpus / "train.links")
    return settings


def _shrink(values: dict[str, Any]) -> None:
    """Divide the widths of a model by 4, in place."""
    for key, value in values.items():
        if isinstance(value, dict):
            _shrink(value)
        elif key in SIZES and value >= 128:
            values[key] = value // 4


def golden_losses(name: str, corpus: Path, folder: Path) -> dict[str, Any]:
    """Train one case; its figures as in ``losses.json``."""
    base, changes = (name, {}) if not name.startswith("technique/") else TECHNIQUES[name.partition("/")[2]]
    recipe = yaml.safe_load((RECIPES / f"{base}.yaml").read_text(encoding="utf-8"))
    _shrink(recipe["model"])
    for key, value in {**_settings(base, recipe, corpus), **changes}.items():
        *groups, last = key.split(".")
        place = recipe
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = deepcopy(value)  # the key of another case may lie within it
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
    directory = nmt.train(path, folder / "model")
    events = [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    trained = [event for event in events if event["event"] == "train"]
    assert [event["step"] for event in trained] == list(range(1, NUM_UPDATES + 1))
    return {
        "loss": [event["loss"] for event in trained],
        "gradient_norm": [event["gradient_norm"] for event in trained],
        "valid": [event["loss"] for event in events if event["event"] == "valid"],
    }


def outputs(run_nmt: RunNmt, model: Path, pairs: Sequence[tuple[str, str]], folder: Path) -> list[dict[str, Any]]:
    """For each pair of source and reference: its translations, the reference's score, and their word alignment."""
    source, reference, written = folder / "pairs.en", folder / "pairs.de", folder / "written.jsonl"
    _write_lines(source, [pair[0] for pair in pairs])
    _write_lines(reference, [pair[1] for pair in pairs])
    jsonl = ("--format", "jsonl", "--device", "cpu", "--quiet", "-o", written)
    commands: dict[str, tuple[object, ...]] = {
        "translate": ("translate", model, "-i", source, "--beam-size", 5, "--n-best", 3, *jsonl),
        "score": ("translate", model, "--score-only", source, reference, *jsonl),
        "align": ("align", model, source, reference, "--format", "json", *jsonl[2:]),
    }
    found: list[dict[str, Any]] = [{} for _ in pairs]
    for name, command in commands.items():
        run_nmt(*command, check=True)
        for values, line in zip(found, written.read_text(encoding="utf-8").splitlines(), strict=True):
            values[name] = json.loads(line)
    return found


def _approximately(value: Any) -> Any:
    """The same nested value, with floats that compare with a tolerance."""
    if isinstance(value, dict):
        return {key: _approximately(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_approximately(inner) for inner in value]
    return pytest.approx(value, rel=1e-4, abs=1e-4) if isinstance(value, float) else value


@pytest.fixture(scope="module")
def _vocabularies_made_once() -> Iterator[None]:
    """Many recipes have the same vocabularies, and making them takes a quarter of the time."""
    made: dict[str, Vocabularies] = {}

    def train_once(
        options: VocabularyOptions, pairs: Iterable[tuple[str, str]], *others: Any, **named: Any
    ) -> Vocabularies:
        arguments = options, list(pairs), *others
        if (key := repr((arguments, named))) not in made:
            made[key] = nmt.train_vocabularies(*arguments, **named)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmt.tasks.base.train_vocabularies", train_once)
        yield


@pytest.mark.quick(
    "quickstart",
    "multi30k/luong",
    "multi30k/transformer",
    "multi30k/language_model",
    "chat/hierarchical",
    "algorithmic/chain_act",
    "technique/adamw",
)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("_vocabularies_made_once")
def test_losses_are_the_same(name: str, golden_corpus: Path, tmp_path: Path) -> None:
    with skipped_without_its_extension():
        found = golden_losses(name, golden_corpus, tmp_path)
    losses = json.loads(LOSSES.read_text(encoding="utf-8"))
    if WRITES:
        losses[name] = found
        lines = [f"{json.dumps(case)}: {json.dumps(losses[case])}" for case in CASES if case in losses]
        LOSSES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    expected = losses[name]
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4, abs=2e-4)
    assert found["gradient_norm"] == pytest.approx(expected["gradient_norm"], rel=2e-3, abs=2e-3)
    assert found["valid"] == pytest.approx(expected["valid"], rel=1e-4, abs=2e-4)


def test_every_case_has_losses_and_no_other() -> None:
    stored = set(json.loads(LOSSES.read_text(encoding="utf-8")))
    missing, left_over = sorted(set(CASES) - stored), sorted(stored - set(CASES))
    assert not missing, f"write them by NMT_WRITE_GOLDEN=1 pytest '{__file__}::test_losses_are_the_same[{missing[0]}]'"
    assert not left_over, f"remove {left_over} from losses.json"


@pytest.mark.quick("bahdanau")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_directory_gives_the_same_output(name: str, run_nmt: RunNmt, tmp_path: Path) -> None:
    path = HERE / "models" / name / "expected.jsonl"
    expected = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [(line["score"]["source"], line["score"]["target"]) for line in expected]
    found = outputs(run_nmt, HERE / "models" / name, pairs, tmp_path)
    if WRITES:
        _write_lines(path, [json.dumps(line, ensure_ascii=False) for line in found])
    else:
        assert found == _approximately(expected)
