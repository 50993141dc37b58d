"""The cost and the result of training on a text, before it: ``nmt plan``.

Short trials of a small, a medium and a large Transformer, each in a process of its own, measure the time of an update
and the memory. The quality is that of runs on other texts: chrF follows a logistic curve of the logarithm of the number
of tokens that were trained on, whose end and middle depend on the text and the width (:class:`QualityCurve`).
``tools/experiments/plan_quality.py`` fits the constants and measures the error on texts that they were not fitted on.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from math import e, log
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nmt.core.compression import SUFFIXES
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.data.sources import FileText
from nmt.recipe import registry as plugins
from nmt.recipe import yaml12
from nmt.recipe.load import override

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")
Number = TypeVar("Number", "float", "torch.Tensor")
WIDTHS = (64, 128, 256)
MINUTES = (5.0, 10.0, 20.0, 40.0, 80.0)
BATCH_TOKENS = 2048
VOCABULARY_SIZES = {300: 100, 2_000: 1000, 5_000: 2000, 20_000: 4000}
"""Size of the vocabulary for a text of up to this number of pairs; 8,000 for a larger one."""
DROPOUT = {10: 0.1, 25: 0.2}
"""Dropout for a run of up to this number of epochs; 0.3 for a longer one."""
PIECES_PER_WORD = 1.3
NUM_VALIDATIONS = 8
VALIDATION_UPDATES = 10
"""Updates that take as long as a validation of 300 sentences."""
TRIAL_UPDATES, TRIAL_MINUTES = 40, 0.3
FIRST_UPDATES = 4
"""Updates of a trial that are slower than later ones, and not measured."""
CHRF_ERROR = 3.0
"""Mean distance of the estimates from the chrF of runs on texts that the constants were not fitted on."""
NUM_WORDS, FAMILIAR = (7.0, 25.0), (0.1, 0.75)
"""Texts beyond those that the constants were fitted on count as if they had as long sentences, and were as familiar."""
MIN_PAIRS = 40
NUM_HELD_OUT, NUM_SAMPLED, MAX_PAIRS = 500, 4_000, 100_000
"""Number of pairs by which a text is described, and the largest number of others."""
_UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""A word, or a character of a script without spaces."""
_LANGUAGE = re.compile(r"[a-z][\w-]+")
_MAX_PIECES = re.compile(r"--set vocabulary\.size=(\d+) or less")
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
    max_pieces: int | None = None
    """Largest vocabulary that the text gives, where it is smaller than the one for its number of pairs."""

    @property
    def features(self) -> tuple[float, float, float]:
        """Logarithms of :attr:`num_words` divided by twelve, and of both shares multiplied by e, all within limits."""
        familiar, familiar_pairs = (1 + log(_within(each, FAMILIAR)) for each in (self.familiar, self.familiar_pairs))
        return log(_within(self.num_words, NUM_WORDS) / 12), familiar, familiar_pairs

    @classmethod
    def read(cls, pairs: Iterable[tuple[str, str]]) -> "TextProfile":
        """Reads a text once, and holds up to :data:`MAX_PAIRS` targets in memory.

        Raises:
            UserError: there are too few pairs.
        """
        targets, count = list[str](), 0
        for source, target in pairs:
            if source.strip() and target.strip():
                count += 1
                if len(targets) < MAX_PAIRS:
                    targets.append(target)
        if count < MIN_PAIRS:
            raise UserError(f"{count:,} pairs of sentences are too few for a plan.", f"Give at least {MIN_PAIRS}.")
        every = max(len(targets) // NUM_HELD_OUT, 20)
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
    return mean(group not in unknown for group in groups)


def _groups(text: str, size: int) -> Iterator[tuple[str, ...]]:
    words = ["<s>", *_UNIT.findall(text), "</s>"]
    return zip(*(words[start:] for start in range(size)), strict=False)


@dataclass(frozen=True)
class Trial:
    """The cost of a width."""

    width: int
    preparation: float
    """Seconds until the first update: imports, the vocabulary, encoding."""
    update: float
    """Seconds of an update."""
    memory_mb: int | None
    """The most memory, in 10^6 bytes; None where the system doesn't tell."""

    def num_updates(self, minutes: float) -> int:
        """Returns the number of updates for which there is time; 0 if there is no time for any."""
        seconds = 60 * minutes - self.preparation
        return max(0, int(seconds / self.update) - NUM_VALIDATIONS * VALIDATION_UPDATES)


@dataclass(frozen=True)
class PlanFiles:
    """The text of a run."""

    source: Path
    target: Path
    valid: tuple[Path, Path] | None = None
    """None to hold out training pairs."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Recipe keys and their values, which take the place of those of the plan."""

    def recipe(self, profile: TextProfile, width: int, num_updates: int) -> dict[str, Any]:
        """Returns a recipe of a Transformer, which `nmt train` runs."""
        passes = num_updates * BATCH_TOKENS / (profile.num_pairs * (PIECES_PER_WORD * profile.num_words + 1))
        dropout = _at_most(DROPOUT, passes, 0.3)
        size = min(_at_most(VOCABULARY_SIZES, profile.num_pairs, 8000), profile.max_pieces or 8000)
        heads = max(width // 32, 1)
        layers = {"type": "transformer", "num_layers": 4, "num_heads": heads, "feed_forward_size": 4 * width}
        layers |= {"dropout": dropout, "attention_dropout": 0.1}
        languages = languages_of(*self._train)
        files = [
            None
            if pair is None
            else dict(zip(("source", "target"), (str(path.absolute()) for path in pair), strict=True))
            for pair in (self._train, self.valid)
        ]
        values: dict[str, Any] = {
            "description": f"Transformer of width {width}, planned by nmt plan",
            "data": {"train": files[0], "valid": files[1], "source": languages[0], "target": languages[1]},
            "vocabulary": {"type": "unigram", "size": size},
            "model": {
                "embedding_size": width, "tie": "all", "scale_embeddings": True, "init": "xavier",
                "encoder": layers, "decoder": dict(layers),
            },
            "training": {
                "batch_tokens": BATCH_TOKENS, "max_steps": max(num_updates, 1),
                "learning_rate": round(0.003 * (128 / width) ** 0.5, 4),
                "schedule": {
                    "type": "cosine", "stable_fraction": 0.7, "warmup_steps": min(max(num_updates // 10, 1), 800),
                },
                "ema": 0.998, "validate_every": max(num_updates // NUM_VALIDATIONS, 1), "validation_size": 300,
                "metric": "chrf",
            },
            "decoding": {"length_penalty": "word_reward", "alpha": 0.7},
        }  # fmt: skip
        for key, value in self.overrides.items():
            override(values, key, value)
        return values

    @property
    def _train(self) -> tuple[Path, Path]:
        return self.source, self.target


def languages_of(source: Path, target: Path) -> tuple[str, str]:
    """Returns the languages that two file names tell: the last parts between full stops in which they differ.

    Those of ``texts.de`` and ``texts.en.gz`` are ``de`` and ``en``, and so are those of ``news_de.txt`` and
    ``news_en.txt``. They are ``source`` and ``target`` where the names tell none.
    """
    names = [path.name.removesuffix(path.suffix) if path.suffix in SUFFIXES else path.name for path in (source, target)]
    pairs = zip(*(reversed(name.split(".")) for name in names), strict=False)
    both = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
    begin = re.match(r"(.*[-_]).*\n\1", "\n".join(both))
    first, second = (part.removeprefix(begin[1] if begin else "") for part in both)
    return (first, second) if _LANGUAGE.fullmatch(first) and _LANGUAGE.fullmatch(second) else ("source", "target")


def _at_most(table: Mapping[int, Value], value: float, otherwise: Value) -> Value:
    return next((chosen for most, chosen in table.items() if value <= most), otherwise)


def try_width(values: dict[str, Any], folder: Path, preparation: float | None) -> Trial:
    """Trains a recipe for some updates in another process, whose memory is its own.

    Args:
        values: the recipe.
        folder: a new folder for the run.
        preparation: seconds until the first update, if they are known from another trial.

    Raises:
        UserError: the recipe or the text can't be used.
    """
    recipe, output = folder / "recipe.yaml", folder / "model"
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write_text(yaml12.dump(values), "utf-8")
    trial = [f"training.max_steps={TRIAL_UPDATES}", f"training.max_minutes={TRIAL_MINUTES}", "training.log_every=1",
             "training.metric=loss", "training.validate_every=100000"]  # fmt: skip
    options = [argument for setting in trial for argument in ("--set", setting)]
    options += [argument for module in plugins.named for argument in ("--plugin", module)]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "nmt", "train", str(recipe), "-o", str(output), *options],
        capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise UserError(f"A trial of training ended with this message: {done.stderr.strip()}", "")
    events = [json.loads(line) for line in ModelDirectory(output).metrics.read_text("utf-8").splitlines()]
    seconds = [event["seconds"] for event in events if event["event"] == "train"]
    gaps = [after - before for before, after in pairwise(seconds)]
    update = median(gaps[min(FIRST_UPDATES, len(gaps) - 1) :])
    memory = [event["peak_memory_mb"] for event in events if event.get("peak_memory_mb")]
    if preparation is None:
        preparation = elapsed - events[-1]["seconds"]
    return Trial(values["model"]["embedding_size"], preparation, update, max(memory, default=None))


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


CURVE = QualityCurve((51.13, 18.84, 36.40), (7.926, -3.182, -0.263), 1.737)
"""Fitted to runs of up to 80 minutes on seven texts."""


def expected_chrf(profile: TextProfile, width: int, num_updates: int, curve: QualityCurve[float] = CURVE) -> float:
    """Returns the chrF of held-out text that is expected of a Transformer after this number of updates."""
    return max(0.0, curve(profile.features, log(width / 128), log(max(num_updates, 1))))


@dataclass(frozen=True)
class Plan:
    """The cost and the expected result of training, for each width."""

    profile: TextProfile
    trials: Sequence[Trial]
    minutes: Sequence[float]
    """Lengths of runs."""

    def chrf(self, trial: Trial, minutes: float) -> float | None:
        """Returns the chrF that is expected of a run of this duration; None if there is no time for any update."""
        num_updates = trial.num_updates(minutes)
        return expected_chrf(self.profile, trial.width, num_updates) if num_updates else None

    def figures(self) -> dict[str, Any]:
        """Returns all figures, for JSON."""
        trials = [
            asdict(trial)
            | {
                "runs": [
                    {"minutes": m, "updates": trial.num_updates(m), "chrf": self.chrf(trial, m)} for m in self.minutes
                ]
            }
            for trial in self.trials
        ]
        return {"text": asdict(self.profile), "chrf_error": CHRF_ERROR, "trials": trials}

    def best(self, minutes: float) -> Trial:
        """Returns the trial of the width that is expected to be the best in this time."""
        return max(self.trials, key=lambda trial: self.chrf(trial, minutes) or 0.0)


def plan(
    files: PlanFiles,
    minutes: Sequence[float] = MINUTES,
    on_progress: Callable[[int, str], None] = lambda number, activity: None,
) -> Plan:
    """Reads a text and tries each width.

    Args:
        minutes: lengths of runs.
        on_progress: called with the number of things done, of one more than there are widths, and what is done next.

    Raises:
        UserError: the text can't be used.
    """
    on_progress(0, "reading the text")
    profile = TextProfile.read(FileText(files.source, files.target))
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory(prefix="nmt-plan-") as scratch:
        for width in WIDTHS:
            on_progress(len(trials) + 1, f"trying width {width}")
            folder = Path(scratch, str(width))
            if not trials:
                profile, trial = _first_trial(files, profile, folder)
            else:  # the vocabulary is that of the first one
                values = files.recipe(profile, width, 10_000)
                values["vocabulary"] = {"path": str(Path(scratch, str(WIDTHS[0]), "model"))}
                trial = try_width(values, folder, trials[0].preparation)
            trials.append(trial)
    return Plan(profile, trials, minutes)


def _first_trial(files: PlanFiles, profile: TextProfile, folder: Path) -> tuple[TextProfile, Trial]:
    """Tries the smallest width, again with the largest vocabulary that the text gives if the first one was larger."""
    try:
        return profile, try_width(files.recipe(profile, WIDTHS[0], 10_000), folder, None)
    except UserError as error:
        limit = _MAX_PIECES.search(error.message)
        if limit is None or "vocabulary.size" in files.overrides:
            raise
    shutil.rmtree(folder)
    profile = replace(profile, max_pieces=int(limit[1]))
    return profile, try_width(files.recipe(profile, WIDTHS[0], 10_000), folder, None)
