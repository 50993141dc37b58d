"""What the tests share: where things are, a corpus small enough to learn by heart, a cache of their own."""

import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from filelock import FileLock  # PyTorch needs it
from fixture_types import BuildOnce, RecipeMaker, TrainTiny

from nmt.recipe import registry

# The models of the tests are tiny: a second thread costs them more in waiting than it computes. Before torch loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Without a GPU, Triton interprets kernels if this is set when it is imported, which modules of PyTorch do, too.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Property tests draw the same examples in every run, and a busy machine fails none of them. The quick run has fewer.
hypothesis.settings.register_profile("nmt", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("quick", hypothesis.settings.get_profile("nmt"), max_examples=15)

# A shell that starts us in the background has Ctrl-C ignored, and processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples property tests draw, make bfloat16 safe, and add the fixtures of untrained models.

    Some tests compute in bfloat16 without nmt, which must be made safe first on machines that report AMX wrongly.
    """
    hypothesis.settings.load_profile("quick" if config.option.markexpr == "not slow" else "nmt")
    if (
        hasattr(config, "workerinput") or config.getoption("dist", "no") == "no"
    ):  # what only starts workers needs no torch
        import torch

        from nmt.core.device import pick_precision

        pick_precision("bf16", torch.device("cpu"))
        config.pluginmanager.import_plugin("small_systems")


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Iterator[Any]:
    """Mark the cases of a test as slow that its mark ``quick("PATTERN", ...)`` doesn't name by their ids."""
    collected = yield
    cases = [item for item in collected if isinstance(item, pytest.Function)] if isinstance(collected, list) else []
    if cases and (mark := cases[0].get_closest_marker("quick")):
        names = [case.callspec.id for case in cases]
        for pattern in mark.args:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise pytest.UsageError(f"{cases[0].nodeid}: no case is called {pattern}, which mark.quick names")
        for case, name in zip(cases, names, strict=True):
            if not any(fnmatchcase(name, pattern) for pattern in mark.args):
                case.add_marker(pytest.mark.slow)
    return collected


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip on Windows what is marked with ``posix``, and without an extension what is marked with its name, or with
    none because it needs all of them."""
    entries = distribution("nmt").entry_points
    deleted = {entry.module.split(".")[2] for entry in entries if registry.is_deleted(entry)}
    for item in items:
        for mark in item.iter_markers("extension"):
            for name in deleted.intersection(mark.args or deleted):
                item.add_marker(pytest.mark.skip(f"needs the extension {name}"))
        if os.name == "nt" and item.get_closest_marker("posix"):
            item.add_marker(pytest.mark.skip("needs signals, pipes, links, permissions or locks of POSIX"))


SUBJECTS = [
    ("der Hund", "the dog"),
    ("die Katze", "the cat"),
    ("das Kind", "the child"),
    ("der müde Bäcker", "the tired baker"),
    ("die Nachbarin", "the neighbour"),
    ("mein Bruder", "my brother"),
]
PREDICATES = [
    ("schläft", "im Garten", "sleeps in the garden"),
    ("sieht", "den Mond", "sees the moon"),
    ("trinkt", "kaltes Wasser", "drinks cold water"),
    ("hört", "ein altes Lied", "hears an old song"),
    ("läuft", "über die Brücke", "runs across the bridge"),
    ("wartet", "auf den Zug", "waits for the train"),
    ("kommt", "um sieben Uhr nach Hause", "comes home at seven o'clock"),
    ("spielt", "mit dem Ball", "plays with the ball"),
]
# One of each predicate, so that every word of the unseen pairs is in the seen ones too.
HELD_OUT = {1, 6, 12, 19, 23, 26, 37, 40}


def _sentence_pairs() -> list[tuple[str, str]]:
    """All 48 combinations; in every other one German puts the verb before the subject."""
    pairs = []
    for (i, subject), (j, predicate) in itertools.product(enumerate(SUBJECTS), enumerate(PREDICATES)):
        verb, rest, english = predicate
        if (i + j) % 2:
            pair = f"heute {verb} {subject[0]} {rest}.", f"today {subject[1]} {english}."
        else:
            pair = f"{subject[0]} {verb} {rest}.", f"{subject[1]} {english}."
        pairs.append((pair[0][0].upper() + pair[0][1:], pair[1][0].upper() + pair[1][1:]))
    return pairs


@pytest.fixture(scope="session")
def repo_root() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data(repo_root: Path) -> Path:
    """The folder of real corpora beside the repository; tests that need it are skipped without it."""
    folder = repo_root.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the corpora in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the workers of pytest-xdist have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def build_once(shared_folder: Path) -> Iterator[BuildOnce]:
    """``build_once(name, build)``: the path that ``build`` has filled in the first worker that asks for it.

    No test may write there: others would find something else depending on their order.
    """
    asked_for: set[Path] = set()

    def content(path: Path) -> str:
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.name != ".lock"]
        return "".join(f"{file.relative_to(path)} {file.stat().st_mtime_ns}\n" for file in files)

    def build_first(name: str, build: Callable[[Path], object]) -> Path:
        path, is_built = shared_folder / name, shared_folder / f"{name}.built"
        with FileLock(shared_folder / f"{name}.lock"):
            if not is_built.exists():
                build(path)
                is_built.write_text(content(path), "utf-8")
        asked_for.add(path)
        return path

    yield build_first
    for path in asked_for:
        assert content(path) == path.with_name(f"{path.name}.built").read_text("utf-8"), "a test has written there"


@pytest.fixture(scope="session")
def tiny_corpus(build_once: BuildOnce) -> Path:
    """A folder with train.{de,en} (40 pairs) and val.{de,en} (8 unseen pairs of the same words)."""
    pairs = _sentence_pairs()
    splits = {
        "train": [pair for number, pair in enumerate(pairs) if number not in HELD_OUT],
        "val": [pair for number, pair in enumerate(pairs) if number in HELD_OUT],
    }

    def build(folder: Path) -> None:
        folder.mkdir()
        for split, chosen in splits.items():
            for side, language in enumerate(("de", "en")):
                text = "".join(f"{pair[side]}\n" for pair in chosen)
                (folder / f"{split}.{language}").write_text(text, encoding="utf-8", newline="\n")

    return build_once("tiny_corpus", build)


@pytest.fixture
def tiny_pairs(tiny_corpus: Path) -> list[tuple[str, str]]:
    """The training pairs of the tiny corpus."""
    sides = [(tiny_corpus / f"train.{side}").read_text("utf-8").splitlines() for side in ("de", "en")]
    return list(zip(*sides, strict=True))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Encoded corpora go to a folder of this session, never to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NMT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _commands_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test did in this process, say by a command with ``--quiet``, changes nothing for the next test."""
    monkeypatch.setattr(registry, "_added", dict(registry._added))
    monkeypatch.setattr(registry, "named", [])
    monkeypatch.setattr("nmt.core.console._quiet", False)
    monkeypatch.setattr("nmt.core.console._silent", False)


TINY_RECIPE = """
description: a biLSTM with Bahdanau attention that learns the tiny corpus by heart in a few seconds
device: cpu
data: {root: ROOT, source: de, target: en}
vocabulary: {type: word, joint: false}
model:
  embedding_size: 48
  encoder: {type: recurrent, cell: lstm, hidden_size: 32, bidirectional: true}
  decoder: {type: bahdanau, cell: lstm, hidden_size: 48, attention: {type: additive, size: 48}}
training: {batch_tokens: 96, max_steps: 200, learning_rate: 0.015, schedule: {type: cosine, warmup_steps: 20},
           validate_every: 200, precision: fp32, log_every: 10, label_smoothing: 0.0}
"""


@pytest.fixture(scope="session")
def tiny_recipe(tiny_corpus: Path, build_once: BuildOnce) -> Path:
    """A recipe file for the tiny corpus: six batches an epoch, learnt by heart at its end."""
    text = TINY_RECIPE.replace("ROOT", str(tiny_corpus))
    return build_once("tiny.yaml", lambda path: path.write_text(text, encoding="utf-8"))


@pytest.fixture(scope="session")
def train_tiny(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory, build_once: BuildOnce) -> TrainTiny:
    """Trains the tiny recipe with changes: ``train_tiny("training.max_steps=2")`` gives a model directory.

    All workers have the same one with ``shared=NAME``.
    """

    def train(*settings: str, shared: str = "") -> Path:
        import nmt
        from nmt.recipe.load import parse_settings

        def build(folder: Path) -> Path:
            return nmt.train(tiny_recipe, folder / "model", overrides=parse_settings(settings))

        return build_once(shared, build) / "model" if shared else build(tmp_path_factory.mktemp("run"))

    return train


@pytest.fixture(scope="session")
def tiny_model(train_tiny: TrainTiny) -> Path:
    """A model directory that knows the training pairs of the tiny corpus by heart. Don't write into it."""
    return train_tiny(shared="tiny_model")


@pytest.fixture
def own_model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of ``tiny_model``, into which a test may write."""
    return shutil.copytree(tiny_model, tmp_path / "model")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two files of a pair that ``tiny_model`` knows, nothing, and another pair."""
    source, target = tmp_path / "test.de", tmp_path / "test.en"
    source.write_text("Der Hund schläft im Garten.\n\nHeute trinkt die Katze kaltes Wasser.\n", encoding="utf-8")
    target.write_text("The dog sleeps in the garden.\n\nToday the cat drinks cold water.\n", encoding="utf-8")
    return source, target


@pytest.fixture(scope="session")
def bytes_model(train_tiny: TrainTiny) -> Path:
    """A model of subword pieces and, for what is in no piece, bytes; hardly trained. Don't write into it."""
    pieces = "vocabulary={type: unigram, size: 366, joint: true, byte_fallback: true}"
    return train_tiny("training.max_steps=3", pieces, shared="bytes_model")


@pytest.fixture(scope="session")
def vanilla_model(train_tiny: TrainTiny) -> Path:
    """A model without attention; hardly trained. Don't write into it."""
    return train_tiny(
        "training.max_steps=1",
        "model.encoder={type: recurrent, cell: gru, hidden_size: 16}",
        "model.decoder={type: recurrent, cell: gru, hidden_size: 16}",
        shared="vanilla_model",
    )


@pytest.fixture(scope="session")
def language_model(train_tiny: TrainTiny, tiny_model: Path) -> Path:
    """A language model of English with the vocabulary of ``tiny_model``; hardly trained. Don't write into it."""
    return train_tiny(
        "model.encoder=null",
        "model.decoder={type: recurrent, cell: gru, hidden_size: 24, bridge: learned}",
        "training.metric=loss",
        "training.max_steps=30",
        f"vocabulary.path={tiny_model}",
        shared="language_model",
    )


RNN = {"type": "recurrent", "cell": "gru", "hidden_size": 48}
ATTENTION = {"type": "additive", "size": 32}
TRANSFORMER = {"type": "transformer", "num_layers": 1, "num_heads": 4, "feed_forward_size": 128}

SYSTEMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vanilla": ({**RNN, "cell": "lstm", "reverse": True}, {**RNN, "cell": "lstm", "hidden_size": 96, "bridge": "copy"}),
    "bahdanau": (RNN, {**RNN, "type": "bahdanau", "attention": ATTENTION}),
    "luong": (RNN, {**RNN, "type": "luong", "attention": {"type": "general"}}),
    "luong with feeding": (RNN, {**RNN, "type": "luong", "attention": {"type": "general"}, "input_feeding": True}),
    "transformer": (TRANSFORMER, TRANSFORMER),
    "universal_transformer": ({"type": "universal_transformer", "num_heads": 4, "feed_forward_size": 128}, TRANSFORMER),
}


@pytest.fixture
def make_recipe(tiny_corpus: Path) -> RecipeMaker:
    """``make_recipe(system, dropout=0.0, recipe=…, **training)``: seven batches an epoch unless told otherwise."""

    from nmt.recipe.options import validate
    from nmt.recipe.schema import Recipe

    def make(
        system: str = "luong", dropout: float = 0.0, recipe: dict[str, Any] | None = None, **training: Any
    ) -> Recipe:
        encoder, decoder = SYSTEMS[system]
        schedule = training.pop("schedule", {})
        values = {
            "device": "cpu",
            "data": {"root": str(tiny_corpus), "source": "de", "target": "en"},
            "vocabulary": {"type": "word", "size": 200},
            "model": {
                "embedding_size": 32,
                "tie": "target",
                "encoder": {**encoder, "dropout": dropout},
                "decoder": {**decoder, "dropout": dropout},
            },
            "training": {
                "batch_tokens": 64,
                "learning_rate": 0.01,
                "schedule": {"warmup_steps": 5} | ({"type": schedule} if isinstance(schedule, str) else schedule),
                "precision": "fp32",
                "metric": "loss",
                "log_every": 2,
                **training,
            },
        }
        for group, changes in (recipe or {}).items():
            values[group] = {**values[group], **changes} if isinstance(changes, dict) and group in values else changes
        return validate(Recipe, values, "the test's recipe")

    return make


@pytest.fixture(scope="session")
def run_nmt() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """``run_nmt("score", "-", file, stdin="…", check=True)``: the program as a process runs it, but inside this one."""

    def run(*arguments: object, stdin: str | bytes = b"", check: bool = False) -> "subprocess.CompletedProcess[str]":
        from nmt.__main__ import main

        given = stdin.encode() if isinstance(stdin, str) else stdin
        streams = {
            name: io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="\n", write_through=True)
            for name, content in (("stdin", given), ("stdout", b""), ("stderr", b""))
        }
        code: object = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nmt.core.console._quiet", False)
            patch.setattr(sys, "argv", ["nmt", *map(str, arguments)])
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            try:
                main()
            except SystemExit as leaving:
                code = leaving.code or 0
        written = [streams[name].buffer.getvalue().decode() for name in ("stdout", "stderr")]
        assert not (check and code), written
        return subprocess.CompletedProcess(list(map(str, arguments)), int(str(code)), *written)

    return run


@pytest.fixture(scope="session")
def python(shared_folder: Path) -> Iterator[Path]:
    """What starts Python processes; on Linux they have imported PyTorch and nmt already, which saves seconds."""
    if sys.platform != "linux":
        yield Path(sys.executable)
        return
    from warm_python import warm_python

    with warm_python(shared_folder / "warm") as started:
        yield started
