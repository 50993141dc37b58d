"""What is chosen for a text and a time: a vocabulary, a Transformer, and the quality to expect of it.

Some updates of a small, a medium and a large Transformer measure their speed. The quality is that of runs on other
texts: chrF follows a logistic curve of the logarithm of the number of updates, whose end and middle depend on the
text, the width and the optimizer (:class:`QualityCurve`). ``tools/experiments/plan_quality.py`` fits the constants and
measures the error on texts that they were not fitted on.
"""

import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import e, log
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nmt.autotrain.texts import Pairs
from nmt.core.device import pick_device, pick_precision, use_tensor_cores
from nmt.core.errors import UserError
from nmt.data.opening import given_text
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.recipe.schema import Recipe, VocabularyOptions
from nmt.training.data import prepare_data
from nmt.training.distributed import seed_everything
from nmt.training.objective import Objective
from nmt.training.resolve import resolve
from nmt.training.trainer import Trainer
from nmt.training.weights import make_model

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")
Number = TypeVar("Number", "float", "torch.Tensor")
WIDTHS = (64, 128, 256)
BATCH_TOKENS = 2048
VOCABULARY_SIZES = {1_000: 500, 2_000: 1000, 5_000: 2000, 20_000: 4000}
"""Size of the vocabulary for a text of up to this number of pairs; 8,000 for a larger one."""
DROPOUT = {10: 0.1, 25: 0.2}
"""Dropout for a run of up to this number of epochs; 0.3 for a longer one."""
MIN_UPDATES = 300
"""Fewest updates for which another width than the smallest one is chosen."""
NUM_VALIDATIONS = 8
VALIDATION_UPDATES = 10
"""Updates that take as long as a validation."""
TRIAL_UPDATES, FIRST_UPDATES, TRIAL_SECONDS = 10, 2, 4.0
"""Updates of a trial, those of them that are not measured, and seconds after which it ends."""
NUM_ENCODED = 2_000
"""Pairs of the text that are encoded before training."""
MAX_LENGTH = 150, 500
"""Limits of the longest sentence that is trained on, in pieces."""
NUM_WORDS, FAMILIAR = (7.0, 25.0), (0.1, 0.75)
"""Texts beyond those that the constants were fitted on count as if they had as long sentences, and were as familiar."""
NUM_HELD_OUT, NUM_SAMPLED, MAX_PAIRS = 500, 4_000, 100_000
"""Number of pairs by which a text is described, and the largest number of others."""
_UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""A word, or a character of a script without spaces."""
_MAX_PIECES = re.compile(r"vocabulary\.size=(\d+) or less")
"""In the remedy of a vocabulary that is too large for its text; sentencepiece finds the limit when it learns one."""


@dataclass(frozen=True)
class TextProfile:
    """Figures of a text that need no training."""

    num_pairs: int
    num_words: float
    """Words of a target sentence, or characters where words have no spaces between; the mean."""
    familiar: float
    """Share of the groups of three words of held-out targets that occur in the other ones, up to :data:`MAX_PAIRS`."""
    familiar_pairs: float
    """Share of the pairs of words of held-out targets that occur in :data:`NUM_SAMPLED` other ones."""

    @property
    def features(self) -> tuple[float, float, float]:
        """Logarithms of :attr:`num_words` divided by twelve, and of both shares multiplied by e, all within limits."""
        familiar, familiar_pairs = (1 + log(_within(share, FAMILIAR)) for share in (self.familiar, self.familiar_pairs))
        return log(_within(self.num_words, NUM_WORDS) / 12), familiar, familiar_pairs

    @classmethod
    def read(cls, pairs: Iterable[tuple[str, str]]) -> "TextProfile":
        """Reads a text once."""
        targets, count = list[str](), 0
        for _, target in pairs:
            count += 1
            if len(targets) < MAX_PAIRS:
                targets.append(target)
        every = max(len(targets) // NUM_HELD_OUT, 2 if count < 40 else 20)
        held_out, others = targets[::every], [target for at, target in enumerate(targets) if at % every]
        num_words = mean(len(_UNIT.findall(target)) for target in held_out)
        sampled = others[:: max(len(others) // NUM_SAMPLED, 1)]
        return cls(count, num_words, _familiar(held_out, others, 3), _familiar(held_out, sampled, 2))


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def _familiar(held_out: Sequence[str], others: Iterable[str], size: int) -> float:
    """Returns the share of the groups of ``size`` words of some texts that occur in other texts."""
    groups = [group for text in held_out for group in _groups(text, size)]
    unknown = set(groups)
    for text in others:
        unknown.difference_update(_groups(text, size))
    return mean(group not in unknown for group in groups) if groups else 0.0


def _groups(text: str, size: int) -> Iterator[tuple[str, ...]]:
    words = ["<s>", *_UNIT.findall(text), "</s>"]
    return zip(*(words[start:] for start in range(size)), strict=False)


@dataclass(frozen=True)
class QualityCurve(Generic[Number]):
    """chrF of held-out text: a logistic function of the logarithm of the number of updates.

    The constants are tensors where a fit differentiates by them.
    """

    end: tuple[Number, Number, Number]
    """chrF after endless training: constant, and weights of the first two of :attr:`TextProfile.features`."""
    middle: tuple[Number, Number, Number]
    """Logarithm of the number of updates after which half of it is reached: constant, and weights of the third of the
    features and of the logarithm of the width in units of 128."""
    rate: Number

    def __call__(self, features: Sequence[Number], log_width: Number, log_updates: Number) -> Number:
        length, familiar, familiar_pairs = features
        end = self.end[0] + self.end[1] * length + self.end[2] * familiar
        middle = self.middle[0] + self.middle[1] * familiar_pairs + self.middle[2] * log_width
        inverse_share: Number = 1 + e ** (self.rate * (middle - log_updates))
        return end / inverse_share


CURVES = {
    "adam": QualityCurve((51.13, 18.84, 36.40), (7.926, -3.182, -0.263), 1.737),
    "muon": QualityCurve((51.13, 18.84, 36.40), (7.246, -2.482, -0.263), 1.737),
}
"""By optimizer; fitted to runs of up to 80 minutes on seven texts."""
ERROR = 6.0
"""Distance from the estimate within which nine of ten runs on texts were that the constants were not fitted on."""


def expected_chrf(profile: TextProfile, width: int, num_updates: int, curve: QualityCurve[float]) -> float:
    """Returns the chrF of held-out text that is expected of a Transformer after this number of updates."""
    return _within(curve(profile.features, log(width / 128), log(max(num_updates, 1))), (0.0, 100.0))


@dataclass(frozen=True)
class Speed:
    """The speed of a width on this machine."""

    width: int
    update: float
    """Seconds of an update."""

    def num_updates(self, seconds: float) -> int:
        """Returns the number of updates for which there is time beside the validations."""
        return max(1, int(seconds / self.update) - NUM_VALIDATIONS * VALIDATION_UPDATES)


@dataclass(frozen=True)
class Choice:
    """What to expect of each width and optimizer."""

    profile: TextProfile
    speeds: Sequence[Speed]

    def chrf(self, speed: Speed, minutes: float, optimizer: str = "muon") -> float:
        """Returns the chrF to expect of a run of this duration."""
        return expected_chrf(self.profile, speed.width, speed.num_updates(60 * minutes), CURVES[optimizer])

    def best(self, minutes: float) -> Speed:
        """Returns the speed of the width that is expected to be the best in this time."""
        possible = [speed for speed in self.speeds if speed.num_updates(60 * minutes) >= MIN_UPDATES]
        return max(possible or self.speeds[:1], key=lambda speed: self.chrf(speed, minutes))

    def enough_minutes(self) -> float:
        """Returns the minutes after which twice the time brings less than one chrF."""
        minutes = 5.0
        while self.chrf(self.best(2 * minutes), 2 * minutes) >= self.chrf(self.best(minutes), minutes) + 1:
            minutes *= 2
        return minutes


def learn_vocabulary(pairs: Pairs, size: int | None = None) -> tuple[Vocabularies, VocabularyOptions]:
    """Returns a joint vocabulary, as large as suits the text or as it gives, and its options."""
    options = VocabularyOptions(size=size or _at_most(VOCABULARY_SIZES, len(pairs), 8000))
    try:
        return train_vocabularies(options, pairs), options
    except UserError as error:
        if size is None and (limit := _MAX_PIECES.search(error.remedy)):
            return learn_vocabulary(pairs, int(limit[1]))
    options = VocabularyOptions(type="character", size=100_000)
    return train_vocabularies(options, pairs), options


@dataclass(frozen=True)
class Encoded:
    """Figures of a text in the pieces of its vocabulary."""

    num_tokens: int
    """Target tokens of the whole text."""
    max_length: int
    """Pieces of the longest sentences that are trained on: all but the longest hundredth, within :data:`MAX_LENGTH`."""
    pairs: Pairs
    """Some pairs that are no longer."""

    @classmethod
    def read(cls, pairs: Pairs, vocabularies: Vocabularies) -> "Encoded":
        some = pairs[:: max(1, len(pairs) // NUM_ENCODED)]
        sides = vocabularies.source, vocabularies.target
        lengths = [tuple(len(side.encode(text)) for side, text in zip(sides, pair, strict=True)) for pair in some]
        num_tokens = sum(target + 1 for _, target in lengths) * len(pairs) // len(some)
        longest = sorted(map(max, lengths))
        max_length = int(_within(longest[int(0.99 * (len(longest) - 1))], MAX_LENGTH))
        fitting = [pair for pair, length in zip(some, lengths, strict=True) if max(length) <= max_length]
        return cls(num_tokens, max_length, fitting or some)


def model_options(width: int, dropout: float) -> dict[str, Any]:
    """Returns the part ``model`` of a recipe: a Transformer of four layers on each side."""
    layers = {
        "type": "transformer", "num_layers": 4, "num_heads": max(width // 32, 1), "feed_forward_size": 4 * width,
        "dropout": dropout, "attention_dropout": 0.1,
    }  # fmt: skip
    return {
        "embedding_size": width, "tie": "all", "scale_embeddings": True, "init": "xavier",
        "encoder": layers, "decoder": dict(layers),
    }  # fmt: skip


def training_options(width: int, num_updates: int) -> dict[str, Any]:
    """Returns the part ``training`` of a recipe but for its end, for about this number of updates."""
    return {
        "batch_tokens": BATCH_TOKENS, "optimizer": "muon", "learning_rate": round(0.003 * (128 / width) ** 0.5, 4),
        "schedule": {"type": "cosine", "stable_fraction": 0.5, "warmup_steps": min(max(num_updates // 20, 1), 300)},
        "ema": 0.998, "validate_every": max(num_updates // NUM_VALIDATIONS, 1), "validation_size": 300,
        "metric": "chrf",
    }  # fmt: skip


def dropout_for(num_updates: int, num_tokens: int) -> float:
    """Returns the dropout for a number of updates and of target tokens of the text."""
    return _at_most(DROPOUT, num_updates * BATCH_TOKENS / max(num_tokens, 1), 0.3)


def _at_most(table: Mapping[int, Value], value: float, otherwise: Value) -> Value:
    return next((chosen for most, chosen in table.items() if value <= most), otherwise)


def measure_speed(values: Mapping[str, Any], pairs: Pairs) -> Speed:
    """Measures the speed of the updates of a recipe on some pairs of its text."""
    recipe = resolve(Recipe.model_validate(values))
    device = pick_device(recipe.device)
    precision = pick_precision(recipe.training.precision, device)
    use_tensor_cores(device)
    seed_everything(recipe.seed)
    texts = [given_text(recipe.data, pairs, "the training text")], given_text(recipe.data, pairs[:2], "the text")
    data = prepare_data(recipe, texts=texts)
    model = make_model(recipe, data.vocabularies, is_new=True).to(device)
    objective = Objective(model, recipe.training, precision, {})
    batches = data.batches(BATCH_TOKENS, recipe.seed)
    with tempfile.TemporaryDirectory(prefix="nmt-trial-") as scratch:
        trainer = Trainer(recipe, objective, batches, None, Path(scratch))
        model.train()
        stream, seconds, end = iter(batches), list[float](), time.perf_counter() + TRIAL_SECONDS
        while len(seconds) < TRIAL_UPDATES and (len(seconds) <= FIRST_UPDATES or time.perf_counter() < end):
            before = time.perf_counter()
            trainer.train_step(stream)
            seconds.append(time.perf_counter() - before)
    return Speed(recipe.model.embedding_size, median(seconds[FIRST_UPDATES:]))
