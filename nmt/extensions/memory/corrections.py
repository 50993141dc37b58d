"""Fine-tuning with the corrections of a translation memory; the result is kept only if it is better."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from nmt.core.console import progress_bar, quoted, say
from nmt.core.errors import UserError
from nmt.core.files import explained, new_folder, remove_folder, replacing, sha256
from nmt.core.model_directory import ModelDirectory
from nmt.data.opening import open_text
from nmt.data.sources import FileText
from nmt.evaluation.scores import TestSet
from nmt.extensions.memory.memory import TranslationMemory
from nmt.recipe.load import load_recipe
from nmt.recipe.registry import provided
from nmt.recipe.schema import Recipe
from nmt.training.run import train
from nmt.translation.load import load

MIN_CORRECTIONS = 100
PARTS = {"test": range(3), "valid": range(3, 5), "new": range(5, 20)}
"""Parts of 20, by a digest of the source, that are held out, select the checkpoint, and are trained on. A correction is
always in the same part, so later runs are not tested on training data of earlier ones."""
MAX_COMPARED = 500
"""Sentences of the validation text that are compared."""
MAX_OLD = 1_000_000
"""Pairs of the training text that are read, unless the recipe has ``data.corpora``."""
FOLDER = "corrections"
"""The folder of an unfinished run in a model directory."""
WEIGHTS_BEFORE = "model.before.safetensors"
"""The weights before the last run that replaced them."""
METRICS = ("chrf", "bleu")
"""The first decides."""
NUM_STEPS = 800
DEFAULTS: dict[str, Any] = {
    "training.max_steps": NUM_STEPS, "training.max_epochs": None, "training.max_minutes": None,
    "training.patience": None, "training.schedule": {"type": "cosine", "warmup_steps": NUM_STEPS // 10},
    "training.ema": 0.99, "training.validate_every": NUM_STEPS // 4, "training.metric": "loss",
    "training.techniques": {}, "training.freeze": [], "training.lora": None, "training.new_vocabulary": False,
    "vocabulary.path": None, "data.stages": [], "data.train": "train", "data.task": None,
}  # fmt: skip
"""Recipe keys of fine-tuning; the learning rate is half of the recipe's."""
OTHER_MODEL = {f"data.{name}" for name in ("source", "target", "history_turns")} | {
    "task", "training.finetune_from", "training.new_vocabulary"
}  # fmt: skip
"""Keys that can't change, beside those of the model and the vocabulary."""


@dataclass(frozen=True)
class Outcome:
    """The model before and after fine-tuning, compared on two texts."""

    corrections: dict[str, Any]
    """By metric, the test on the corrections that were held out."""
    validation: dict[str, Any]

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
        share: of the target tokens that are those of corrections.

    Returns:
        The comparison; None if a stopped run had replaced the weights already.

    Raises:
        UserError: there are too few corrections, or the text of the recipe can't be read.
        Interrupted: Ctrl-C or SIGTERM, after a checkpoint was saved.
    """
    compare_by = provided("paired test", "nmt learn-corrections")
    files = ModelDirectory(directory)
    files.check()
    for key in overrides:
        is_part = key.split(".")[0] in ("model", "vocabulary") and not key.endswith("dropout")
        if is_part or key in OTHER_MODEL:
            raise UserError(f"{key} would make another model.", "Leave it out, or train in another folder (-o).")
    folder = files.path / FOLDER
    with files.writing():
        recipe = load_recipe(files.recipe, overrides)
        if not folder.exists():
            _write_texts(files, recipe)
        tuned = ModelDirectory(folder / "run")
        changes = _changes(files, recipe, share) | dict(overrides)
        train(files.recipe, tuned.path, overrides=changes, resume=tuned.path.exists())
        if sha256(tuned.weights) == sha256(files.weights):
            remove_folder(folder)
            return None
        outcome = _compare(files, tuned, recipe, compare_by)
        if outcome.is_better:
            for source, target in ((files.weights, files.path / WEIGHTS_BEFORE), (tuned.weights, files.weights)):
                with replacing(target) as temporary, explained(target):
                    shutil.copyfile(source, temporary)
        remove_folder(folder)
    return outcome


def _write_texts(files: ModelDirectory, recipe: Recipe) -> None:
    """Writes the texts of the run: corrections by part, validation text, and training text."""
    pairs = [(each.source.replace("\n", " "), each.target.replace("\n", " ")) for each in TranslationMemory(files.path)]
    numbers = [int.from_bytes(hashlib.sha256(source.encode()).digest()[:4]) % 20 for source, _ in pairs]
    parts = {name: [pairs[i] for i, number in enumerate(numbers) if number in part] for name, part in PARTS.items()}
    if len(pairs) < MIN_CORRECTIONS or not all(parts.values()):
        raise UserError(
            f"{files} has {len(pairs):,} corrections, too few to learn from and to test with.",
            f"Collect at least {MIN_CORRECTIONS}, or import some with `nmt memory {quoted(files)} --import FILE`.",
        )
    if recipe.data.valid is None:
        raise UserError(
            f"The recipe of {files} names no validation text, on which the result is compared, too.",
            "Give --set 'data.valid={source: FILE, target: FILE}'.",
        )
    num = len(parts["valid"])
    valid = list(islice(open_text(recipe.data, recipe.data.valid), num + MAX_COMPARED))
    parts["valid"] += valid[:num]
    parts["compared"] = valid[num:] if len(valid) > 2 * num else valid
    if not recipe.data.corpora:
        parts["old"] = list(islice(open_text(recipe.data, recipe.data.train), MAX_OLD))
    with new_folder(files.path / FOLDER) as folder:
        for name, part in parts.items():
            for side, texts in zip(_files(folder, name), zip(*part, strict=True), strict=True):
                side.write_text("".join(f"{text}\n" for text in texts), "utf-8", newline="\n")


def _changes(files: ModelDirectory, recipe: Recipe, share: float) -> dict[str, Any]:
    """Returns the recipe keys of the fine-tuning."""

    def named(name: str) -> dict[str, Any]:
        return dict(zip(("source", "target"), map(str, _files(files.path / FOLDER, name)), strict=True))

    # The vocabulary has the new pieces already.
    corpora = [each.model_dump(mode="json") | {"new_pieces": False} for each in recipe.data.corpora]
    corpora = corpora or [{"name": "old", **named("old")}]
    weight = sum(corpus.get("weight", 1.0) for corpus in corpora) * share / (1 - share)
    return DEFAULTS | {
        "data.corpora": [*corpora, {"name": "corrections", **named("new"), "weight": weight}],
        "data.valid": named("valid"),
        "training.finetune_from": str(files.path),
        "training.learning_rate": recipe.training.learning_rate / 2,
    }


def _compare(
    files: ModelDirectory, tuned: ModelDirectory, recipe: Recipe, compare_by: Callable[[str, TestSet], Any]
) -> Outcome:
    """Translates by both models, and tests the differences."""
    texts = [list(FileText(*_files(files.path / FOLDER, name))) for name in ("test", "compared")]
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
        tests.append({key: compare_by(key, test_set) for key in METRICS})
    say(f"compared {len(texts[0]):,} corrections that were held out and {len(texts[1]):,} validation pairs")
    return Outcome(*tests)


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.source", folder / f"{name}.target"
