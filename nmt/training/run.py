"""From a recipe to a trained model directory."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nmt.config import Recipe, load_recipe
from nmt.console import progress_bar, say, warn
from nmt.data.batching import TrainingBatches
from nmt.data.corpus import ParallelText, open_text
from nmt.data.encoded import EncodedCorpus, encode_corpus
from nmt.data.vocabulary import Vocabularies, train_vocabularies
from nmt.device import Precision, pick_device, pick_precision
from nmt.errors import UserError
from nmt.models.build import build_model, resolve
from nmt.training.checkpoint import CheckpointFolder, cannot_write
from nmt.training.trainer import Trainer
from nmt.training.validation import ValidationSet, Validator

MAX_HELD_OUT = 0.05
"""Largest share of the training pairs that is held out where there is no validation split."""


@dataclass(frozen=True)
class Data:
    """What a run is trained and validated on, all of it encoded."""

    vocabularies: Vocabularies
    train: EncodedCorpus
    train_indices: npt.NDArray[np.int64]
    valid: ValidationSet


def train(
    recipe: str | Path | Recipe, output: str | Path, settings: Sequence[str] = (), resume: bool = False
) -> Path:
    """Train a model directory.

    Args:
        recipe: a path, the name of a shipped recipe, or a recipe.
        output: the model directory; made if it doesn't exist.
        settings: ``KEY=VALUE`` settings, as with ``--set``.
        resume: go on from the last checkpoint in ``output``; from the start where there is none.

    Returns:
        The model directory.

    Raises:
        UserError: anything the user can mend; see the message.
        Interrupted: Ctrl-C or SIGTERM, after a checkpoint was saved.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, settings)
    recipe = resolve(recipe)
    directory = Path(output)
    checkpoints = CheckpointFolder(directory).all()
    if checkpoints and not resume:
        raise UserError(
            f"{directory} holds a training run already (at step {_step_of(checkpoints[-1])}).",
            "Go on with it by --resume, or choose another folder with -o.",
        )
    device = pick_device(recipe.device)
    precision = pick_precision(recipe.training.precision, device)
    _seed(recipe.seed)
    data = prepare_data(recipe, directory)
    model = build_model(recipe.model, data.vocabularies).to(device)
    _make_directory(directory, recipe, data.vocabularies)
    trainer = Trainer(
        recipe, model, _batches(recipe, data), _validator(recipe, data, precision), directory, precision
    )
    say(
        f"{model.num_parameters:,} parameters, {len(data.train_indices):,} training pairs in "
        f"{len(trainer.batches)} batches an epoch, {device.type} {precision}"
    )
    if checkpoints:
        trainer.resume(checkpoints[-1])
        say(f"resumed at step {trainer.progress.step}")
    elif resume:
        say("no checkpoint to resume from: starting at the beginning")
    reason = trainer.run()
    best = trainer.progress
    found = f"best {recipe.training.metric} {best.best:.2f} at step {best.best_step}; " if best.best is not None else ""
    say(f"done: {reason}; {found}the model is {directory}")
    return directory


def prepare_data(recipe: Recipe, directory: Path) -> Data:
    """Vocabularies (read, or made from the training text) and encoded corpora of a recipe."""
    options = recipe.data
    text = open_text(options, options.train)
    vocabularies = _vocabularies(recipe, directory, text)
    with progress_bar("encoding the training text", None) as bar:
        corpus = encode_corpus(text, vocabularies, options.max_length, bar.update)
    counts = corpus.counts
    if counts.empty or counts.too_long:
        say(
            f"{text.name}: kept {counts.kept:,} pairs, dropped {counts.empty:,} empty and {counts.too_long:,} "
            f"with more than {options.max_length} pieces"
        )
    indices = np.arange(len(corpus))
    if options.valid is None:
        held_out, indices = _hold_out(recipe, len(corpus))
        say(f"no validation split: {len(held_out)} training pairs are held out")
        return Data(vocabularies, corpus, indices, _validation_set(text, corpus, held_out))
    valid_text = open_text(options, options.valid)
    valid = encode_corpus(valid_text, vocabularies, options.max_length)
    return Data(vocabularies, corpus, indices, _validation_set(valid_text, valid, np.arange(len(valid))))


def _hold_out(recipe: Recipe, num_pairs: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of held-out and of training pairs."""
    size = min(recipe.data.hold_out, int(num_pairs * MAX_HELD_OUT))
    if size < 1:
        raise UserError(
            f"{num_pairs} sentence pairs are too few to hold some out for validation.",
            "Name a validation split with data.valid.",
        )
    chosen = np.random.default_rng(recipe.seed).permutation(num_pairs)
    return np.sort(chosen[:size]), np.sort(chosen[size:])


def _validation_set(
    text: ParallelText, corpus: EncodedCorpus, indices: npt.NDArray[np.int64]
) -> ValidationSet:
    """The text of the chosen pairs, read from the lines they stand on."""
    wanted = corpus.lines[indices]
    positions = set(wanted.tolist())
    kept = [pair for line, pair in enumerate(islice(text, int(wanted[-1]) + 1)) if line in positions]
    return ValidationSet(corpus, indices, [source for source, _ in kept], [target for _, target in kept])


def _vocabularies(recipe: Recipe, directory: Path, text: ParallelText) -> Vocabularies:
    """Those of the model directory, where it has them; else the recipe's; else new ones from the text."""
    if any(directory.glob("vocabulary.*")):
        return Vocabularies.load(directory)
    if recipe.vocabulary.path is not None:
        return Vocabularies.load(recipe.vocabulary.path)
    with progress_bar("making the vocabulary", None):
        vocabularies = train_vocabularies(recipe.vocabulary, text)
    sizes = f"{len(vocabularies.source):,}"
    if not vocabularies.joint:
        sizes += f" + {len(vocabularies.target):,}"
    say(f"made a vocabulary of {sizes} pieces ({recipe.vocabulary.type})")
    return vocabularies


def _batches(recipe: Recipe, data: Data) -> TrainingBatches:
    options = recipe.training
    batches = TrainingBatches(data.train, data.train_indices, data.vocabularies, options.batch_tokens, recipe.seed)
    longest = int(max(data.train.source.lengths.max(), data.train.target.lengths.max())) + 1
    if longest > options.batch_tokens:
        warn(f"the longest sentence has {longest} positions, more than training.batch_tokens ({options.batch_tokens}).")
    return batches


def _validator(recipe: Recipe, data: Data, precision: Precision) -> Validator:
    options = recipe.training
    size = options.validation_size if options.metric == "bleu" else 0
    return Validator(
        data.valid, data.vocabularies, recipe.decoding, size, options.batch_tokens, precision
    )


def _make_directory(directory: Path, recipe: Recipe, vocabularies: Vocabularies) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        vocabularies.save(directory)
    except OSError as error:
        raise cannot_write(directory, error) from None


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _seed(seed: int) -> None:
    """All randomness of a run comes from here."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
