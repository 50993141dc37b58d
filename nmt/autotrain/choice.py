"""What is chosen for a text and a time: a vocabulary, and a model whose speed is measured by some updates."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from nmt.autotrain.texts import Pairs
from nmt.core.device import pick_device, pick_precision, use_tensor_cores
from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.recipe.options import validate
from nmt.recipe.schema import Recipe, VocabularyOptions
from nmt.training.data import Data
from nmt.training.distributed import seed_everything
from nmt.training.objective import Objective
from nmt.training.trainer import Trainer
from nmt.training.weights import make_model


@dataclass(frozen=True)
class Model:
    """A model that can be chosen: a Transformer, or a GRU with Luong attention."""

    kind: str
    """Type of its encoder."""
    width: int
    least: int = 0
    """Fewest updates for which there must be time: a larger model learns more from an update."""
    worth: float = 1.0
    """Updates of the smallest recurrent model that one of its updates is worth."""
    update: float = 0.0
    pair: float = 0.0
    """Seconds of an update on this machine, and updates for a pair in each epoch, once they are measured."""

    def num_updates(self, seconds: float) -> int:
        """Returns the number of updates for which there is time beside the validations."""
        updates = int(seconds / self.update)
        return max(1, updates - num_validations(updates) * VALIDATION_UPDATES)

    def least_over(self, other: "Model", epoch: float) -> int:
        """Returns the fewest updates with which it is better than a smaller model; ``epoch`` is those of an epoch."""
        return round(self.least * (max(1, SMALL_EPOCH / epoch) ** 2 if other.kind == "recurrent" else 1))


SMALL_EPOCH = 250
"""Updates of an epoch below which a larger model takes longer to overtake a recurrent one."""
BATCH_TOKENS = 2048
VOCABULARY_SIZES = {1_000: 1000, 2_000: 2000, 5_000: 4000}
"""Size of the vocabulary for a text of up to this number of pairs; 8,000 for a larger one."""
LEARNED_PER_MINUTE, LEARNED = 800_000, (400_000, 4_000_000)
"""Characters from which the vocabulary is learned for each minute, and their limits: 250,000 take a second."""
DROPOUT = {5: 0.0, 15: 0.1, 25: 0.2}
"""Dropout for a run of up to this number of epochs of full batches; 0.3 for a longer one."""
FALLING = {"type": "cosine", "stable_fraction": 0.5}
"""The schedule of a run that has minutes, without its warm-up."""
NUM_VALIDATIONS, VALIDATION_UPDATES, VALIDATION_SHARE = (2, 8), 15, 0.1
"""Limits of the validations of a run, updates that take as long as one, and the share of a short run that they take."""
TRIAL_UPDATES, FIRST_UPDATES, TRIAL_SECONDS = 10, 2, 4.0
"""Updates of a trial, those of them that are not measured, and seconds after which it ends."""
NUM_ENCODED = 20_000
"""Pairs of the text that are encoded before training; of fewer, batches of sentences of one length aren't full."""
MAX_LENGTH = 150, 500
"""Limits of the longest sentence that is trained on, in pieces."""
_MAX_PIECES = re.compile(r"vocabulary\.size=(\d\d+|[89]) or less")
"""In the remedy of a vocabulary that is too large for its text; sentencepiece finds the limit when it learns one."""


def learn_vocabulary(
    pairs: Pairs, wanted: Mapping[str, Any] = {}, minutes: float | None = None, tags: Sequence[str] = ()
) -> tuple[Vocabularies, VocabularyOptions]:
    """Returns a joint vocabulary, as large as suits the text or as it gives, or one that exists, and its options.

    Of a long text, pairs at equal distances are read, for as many characters as there are minutes for; characters that
    are not among them are spelled as bytes. Options in ``wanted`` replace those that are chosen, or raise UserError.
    """
    limit = min(max(LEARNED_PER_MINUTE * (minutes or 1000), LEARNED[0]), LEARNED[1])
    every = max(1, round(sum(len(source) + len(target) for source, target in pairs) / limit))
    chosen = {"size": _at_most(VOCABULARY_SIZES, len(pairs), 8000), "byte_fallback": every > 1}
    chosen["split_digits"] = len(pairs) <= 20_000  # a larger text repeats its numbers, which are learned as pieces
    options = validate(VocabularyOptions, {**chosen, **wanted}, "vocabulary")
    if options.path:
        named = Vocabularies.load(options.path)
        return named, options.model_copy(update={"joint": named.joint})
    while True:
        try:
            return train_vocabularies(options, pairs[::every], tags=tags), options
        except UserError as error:
            most = _MAX_PIECES.search(error.remedy)
            if "size" in wanted or ("type" in wanted and not most):
                raise
            if not most:
                break
            options = options.model_copy(update={"size": int(most[1])})
    options = validate(VocabularyOptions, {**wanted, "type": "character", "size": 100_000}, "vocabulary")
    return train_vocabularies(options, pairs, tags=tags), options


@dataclass(frozen=True)
class Encoded:
    """Figures of a text in the pieces of its vocabulary."""

    epoch: float
    """Updates of an epoch if the longer sides of the pairs filled all batches; at least one. Little text needs more."""
    max_length: int
    """Pieces of the longest sentences that are trained on: all but the longest hundredth, within :data:`MAX_LENGTH`."""
    pairs: Pairs
    """Some pairs that are no longer."""
    seconds: float = field(default=0.0, compare=False)  # in which training will encode the whole text

    def fitting(self, pairs: Pairs, vocabularies: Vocabularies) -> Pairs:
        """Returns the pairs that have pieces and aren't longer than the sentences that are trained on."""
        both = zip(pairs, _lengths(pairs, vocabularies), strict=True)
        return [pair for pair, length in both if min(length) and max(length) <= self.max_length]

    @classmethod
    def read(cls, pairs: Pairs, vocabularies: Vocabularies) -> "Encoded":
        begun, some = time.monotonic(), pairs[:: max(1, len(pairs) // NUM_ENCODED)]
        lengths = _lengths(some, vocabularies)
        epoch = max(1.0, sum(map(max, lengths)) * len(pairs) / len(some) / BATCH_TOKENS)
        longest = sorted(map(max, lengths))
        max_length = min(max(longest[int(0.99 * (len(longest) - 1))], MAX_LENGTH[0]), MAX_LENGTH[1])
        kept = [pair for pair, length in zip(some, lengths, strict=True) if min(length) and max(length) <= max_length]
        encoded = cls(epoch, max_length, kept, (time.monotonic() - begun) * len(pairs) / len(some))
        return encoded if kept else replace(encoded, pairs=encoded.fitting(pairs, vocabularies))


def _lengths(pairs: Pairs, vocabularies: Vocabularies) -> list[tuple[int, int]]:
    """Returns the numbers of pieces of source and target."""
    return [(len(vocabularies.source.encode(s)), len(vocabularies.target.encode(t))) for s, t in pairs]


def model_options(model: Model, epochs: float, joint: bool = True) -> dict[str, Any]:
    """Returns the part ``model`` of a recipe for epochs of full batches. A Transformer has four layers on each side."""
    width, dropout = model.width, _at_most(DROPOUT, epochs, 0.3)
    options = {"embedding_size": width, "tie": "all" if joint else "target"}
    layers = {
        "type": "transformer", "num_layers": 4, "num_heads": max(width // 32, 1), "feed_forward_size": 4 * width,
        "dropout": dropout, "attention_dropout": 0.1,
    }  # fmt: skip
    if model.kind == "transformer":
        return options | {"scale_embeddings": True, "init": "xavier", "encoder": layers, "decoder": dict(layers)}
    cells = {"cell": "gru", "hidden_size": width, "dropout": dropout}
    decoder = {"type": "luong", **cells, "hidden_size": 2 * width, "attention": {"type": "general"}}
    encoder = {"type": "recurrent", **cells, "bidirectional": True, "attend_embeddings": True}
    return options | {"encoder": encoder, "decoder": decoder}


def training_options(model: Model, num_updates: int, minutes: float | None) -> dict[str, Any]:
    """Returns the part ``training`` of a recipe for about so many updates; without minutes, validation ends it."""
    rate, block_size = (0.003, None) if model.kind == "transformer" else (0.006, 128)
    schedule = FALLING if minutes else {"type": "plateau", "patience": 2}
    validations = num_validations(num_updates) if minutes else NUM_VALIDATIONS[1]
    end: dict[str, Any] = {"max_minutes": minutes} if minutes else {"patience": validations}
    return end | {
        "schedule": schedule | {"warmup_steps": min(max(num_updates // 20, 1), 300)},
        "batch_tokens": BATCH_TOKENS, "optimizer": {"type": "muon", "block_size": block_size},
        "learning_rate": round(rate * (128 / model.width) ** 0.5, 4), "ema": 0.998,
        "validate_every": max(num_updates // validations, 1), "validation_size": 300, "metric": "chrf",
    }  # fmt: skip


def num_validations(num_updates: int) -> int:
    """Returns the number of validations of a run that is as long as this number of updates."""
    return min(max(int(VALIDATION_SHARE * num_updates / VALIDATION_UPDATES), NUM_VALIDATIONS[0]), NUM_VALIDATIONS[1])


def _at_most(table: Mapping[int, float], value: float, otherwise: float) -> float:
    return next((chosen for most, chosen in table.items() if value <= most), otherwise)


def measure_speed(recipe: Recipe, data: Data) -> tuple[float, float]:
    """Returns the seconds of an update of a complete recipe, and its updates for a pair, on some pairs of its text."""
    device = pick_device(recipe.device)
    use_tensor_cores(device)
    seed_everything(recipe.seed)
    model = make_model(recipe, data.vocabularies, is_new=False).to(device)  # any weights take as long
    objective = Objective(model, recipe.training, pick_precision(recipe.training.precision, device), data.techniques)
    batches = data.batches(BATCH_TOKENS if (size := recipe.training.batch_tokens) == "auto" else size, recipe.seed)
    trainer = Trainer(recipe, objective, batches, None, Path())  # where nothing is written
    stream, seconds, end = iter(batches), list[float](), time.perf_counter() + TRIAL_SECONDS
    while len(seconds) < TRIAL_UPDATES and (len(seconds) <= FIRST_UPDATES or time.perf_counter() < end):
        before = time.perf_counter()
        trainer.train_step(stream)
        if device.type == "cuda":  # an update only starts there
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - before)
    return median(seconds[FIRST_UPDATES:]), len(batches) / recipe.training.accumulate / data.num_pairs
