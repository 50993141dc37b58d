"""Fine-tuning with the corrections of a translation memory; the result is kept only if it is better."""

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from nmt.core.console import progress_bar, say
from nmt.core.errors import UserError
from nmt.core.files import explained, new_folder, remove_folder, replacing, sha256
from nmt.core.model_directory import ModelDirectory
from nmt.data.sources import FileText, open_text
from nmt.evaluation.significance import MetricTest, SufficientStatistics, TestSet, paired_test
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import DataOptions, Recipe
from nmt.training.run import train
from nmt.translation.load import load
from nmt.translation.memory import TranslationMemory

Pairs = Sequence[tuple[str, str]]
MIN_CORRECTIONS = 100
PARTS = {"test": range(3), "valid": range(3, 5), "new": range(5, 20)}
"""Which of 20 parts, by a digest of the source, are held out, select the checkpoint, and are trained on. A correction
is always in the same part, so that later runs are not tested on what earlier ones have learned."""
MAX_COMPARED = 500
"""Sentences of the validation text that are compared."""
MAX_OLD = 1_000_000
"""Pairs of training text that is not in two files."""
METRICS = ("chrf", "bleu")
"""The first decides."""
NUM_STEPS = 400
DEFAULTS: dict[str, Any] = {
    "training.max_steps": NUM_STEPS, "training.max_epochs": None, "training.max_minutes": None,
    "training.patience": None, "training.schedule": {"type": "cosine", "warmup_steps": NUM_STEPS // 10},
    "training.ema": 0.99, "training.validate_every": NUM_STEPS // 4, "training.validation_size": 400,
    "training.techniques": {}, "training.freeze": [], "training.lora": None, "training.new_vocabulary": False,
    "vocabulary.path": None, "data.stages": [],
}  # fmt: skip
"""Recipe keys of fine-tuning; the learning rate is a quarter of the recipe's."""


@dataclass(frozen=True)
class Outcome:
    """The model before and after fine-tuning, compared on two texts."""

    corrections: dict[str, MetricTest]
    """By metric, on the corrections that were held out."""
    validation: dict[str, MetricTest]

    @property
    def is_better(self) -> bool:
        """Whether it is significantly better on the corrections, and not significantly worse on validation text."""
        gain, other = (tests[METRICS[0]].differences["after"] for tests in (self.corrections, self.validation))
        return gain.significant and gain.value > 0 and not (other.significant and other.value < 0)


def learn_corrections(directory: Path, overrides: Mapping[str, Any] = {}, share: float = 0.5) -> Outcome | None:
    """Fine-tunes a model with its corrections, mixed into its training text, and keeps the result if it is better.

    A run that was stopped is resumed with the corrections that it began with.

    Args:
        directory: the model directory. Its weights are replaced if the result is better; the old ones are kept as
            ``model.before.safetensors``.
        overrides: recipe keys and their values.
        share: of the target tokens that are those of corrections.

    Returns:
        The comparison; None if a run that was stopped had already replaced the weights.

    Raises:
        UserError: there are too few corrections, or the text of the recipe can't be read.
        Interrupted: Ctrl-C or SIGTERM, after a checkpoint was saved.
    """
    files = ModelDirectory(directory)
    files.check()
    with files.writing():
        recipe = load_recipe(files.recipe, overrides)
        if not files.corrections.exists():
            _write_texts(files, recipe)
        tuned = ModelDirectory(files.corrections / "run")
        changes = _changes(files, recipe, share) | dict(overrides)
        train(files.recipe, tuned.path, overrides=changes, resume=tuned.path.exists())
        if sha256(tuned.weights) == sha256(files.weights):
            remove_folder(files.corrections)
            return None
        outcome = _compare(files, tuned, recipe)
        if outcome.is_better:
            for source, target in ((files.weights, files.weights_before), (tuned.weights, files.weights)):
                with replacing(target) as temporary, explained(target):
                    shutil.copyfile(source, temporary)
        remove_folder(files.corrections)
    return outcome


def _write_texts(files: ModelDirectory, recipe: Recipe) -> None:
    """Writes the texts of the run: corrections by part, validation text, and training text that isn't in two files."""
    memory = TranslationMemory(files.path)
    pairs = [(_line(entry.source), _line(entry.target)) for entry in memory]
    memory.close()
    parts = {name: [pair for pair in pairs if _part(pair[0]) in part] for name, part in PARTS.items()}
    if len(pairs) < MIN_CORRECTIONS or not all(parts.values()):
        raise UserError(
            f"{files} has {len(pairs):,} corrections, too few to learn from and to test with.",
            f"Collect at least {MIN_CORRECTIONS}, or import some with `nmt memory {files} --import FILE`.",
        )
    if recipe.data.valid is None:
        raise UserError(
            f"The recipe of {files} has no validation text, by which the old ability is measured.",
            "Give --set 'data.valid={source: FILE, target: FILE}'.",
        )
    num = len(parts["valid"])
    valid = list(islice(open_text(recipe.data, recipe.data.valid), num + MAX_COMPARED))
    parts["valid"] += valid[:num]
    parts["compared"] = valid[num:] if len(valid) > 2 * num else valid
    with new_folder(files.corrections) as folder:
        for name, part in parts.items():
            _write(_pair(folder, name, recipe.data), part)
        if not recipe.data.corpora and (old := _old_text(recipe.data)) is not None:
            _write(_pair(folder, "old", recipe.data), old)


def _old_text(options: DataOptions) -> Iterable[tuple[str, str]] | None:
    """Returns the training text; None if it is in two files, which are read where they are."""
    text = open_text(options, options.train)
    return None if isinstance(text, FileText) else islice(text, MAX_OLD)


def _changes(files: ModelDirectory, recipe: Recipe, share: float) -> dict[str, Any]:
    """Returns the recipe keys of the fine-tuning."""
    options = recipe.data
    corpora = [corpus.model_dump(mode="json") for corpus in options.corpora]
    if not corpora:
        source, target = _pair(files.corrections, "old", options)
        if not source.exists():
            text = open_text(options, options.train)
            assert isinstance(text, FileText)
            source, target = text.files
        corpora = [{"name": "old", "source": str(source), "target": str(target)}]
    source, target = _pair(files.corrections, "new", options)
    weight = sum(corpus.get("weight", 1.0) for corpus in corpora) * share / (1 - share)
    corpora.append({"name": "corrections", "source": str(source), "target": str(target), "weight": weight})
    source, target = _pair(files.corrections, "valid", options)
    return DEFAULTS | {
        "data.train": "train",
        "data.task": None,
        "data.corpora": corpora,
        "data.valid": {"source": str(source), "target": str(target)},
        "training.finetune_from": str(files.path),
        "training.learning_rate": recipe.training.learning_rate / 4,
    }


def _compare(files: ModelDirectory, tuned: ModelDirectory, recipe: Recipe) -> Outcome:
    """Translates by both models, and tests the differences."""
    texts = [list(FileText(*_pair(files.corrections, name, recipe.data))) for name in ("test", "compared")]
    systems: list[dict[str, list[str]]] = [{}, {}]
    with progress_bar("comparing", 2 * sum(map(len, texts))) as bar:
        for name, path in (("before", files.path), ("after", tuned.path)):
            model = load(path, recipe.device)
            for found, pairs in zip(systems, texts, strict=True):
                stream = model.stream([source for source, _ in pairs], on_progress=bar.advance)
                found[name] = [translation.text for translation in stream]
    tests = []
    for found, pairs in zip(systems, texts, strict=True):
        test_set = TestSet(found, [[target for _, target in pairs]])
        tests.append({key: paired_test(SufficientStatistics(key, test_set)) for key in METRICS})
    say(f"compared {len(texts[0]):,} corrections that were held out and {len(texts[1]):,} validation pairs")
    return Outcome(*tests)


def _part(source: str) -> int:
    return int.from_bytes(hashlib.sha256(source.encode()).digest()[:4]) % 20


def _line(text: str) -> str:
    return " ".join(text.split("\n"))


def _pair(folder: Path, name: str, options: DataOptions) -> tuple[Path, Path]:
    return folder / f"{name}.source.{options.source}", folder / f"{name}.target.{options.target}"


def _write(paths: tuple[Path, Path], pairs: Iterable[tuple[str, str]]) -> None:
    with (
        paths[0].open("w", encoding="utf-8", newline="\n") as source,
        paths[1].open("w", encoding="utf-8", newline="\n") as target,
    ):
        for left, right in pairs:
            source.write(left + "\n")
            target.write(right + "\n")
