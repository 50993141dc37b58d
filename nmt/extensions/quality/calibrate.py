"""Fitting the confidence of a model on validation text; see :mod:`nmt.extensions.quality.confidence`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.data.words import Words
from nmt.extensions.quality.agreement import agreements
from nmt.extensions.quality.confidence import (
    FILE,
    MAX_BYTES,
    Bin,
    Calibration,
    Regression,
    acceptable_words,
    area_under_curve,
    features,
    reliability,
    word_features,
)
from nmt.metrics.table import METRICS
from nmt.translation.translator import Translator

MIN_PAIRS = 50
NUM_FOLDS = 5


@dataclass(frozen=True)
class Examples:
    """Translations of validation text."""

    rows: list[dict[str, float]]
    """Features of each."""
    scores: list[float]
    """Sentence chrF of each."""
    word_rows: list[list[dict[str, float]]]
    """Features of the words of each."""
    right: list[list[bool]]
    """Whether each of these words is acceptable."""
    num_samples: int = 0
    """Samples that each translation was compared with."""

    @classmethod
    def collect(
        cls,
        translator: Translator,
        pairs: Iterable[tuple[str, str]],
        on_progress: Callable[[int], None] = lambda lines: None,
        num_samples: int = 0,
    ) -> "Examples":
        """Translates sources, and scores the translations by their references.

        Empty lines and lines that are too long for the model are left out.

        Raises:
            UserError: the model has no attention.
        """
        sources, references = zip(*pairs, strict=True) if (pairs := list(pairs)) else ((), ())
        texts = [found.text for found in translator.stream(sources, on_progress=on_progress)]
        scores = METRICS["chrf"]().sentence_scores(texts, [references], sources) if texts else []
        words = ((Words.split(source), Words.split(text)) for source, text in zip(sources, texts, strict=True))
        found, lexicon = cls([], [], [], [], num_samples), translator.aligner.lexicon
        aligned = translator.aligner.compared(words, scores=True)
        agreed = agreements(translator, sources, texts, num_samples)
        for (alignment, posterior_TS, _), score, reference, agreement in zip(
            aligned, scores, references, agreed, strict=True
        ):
            row = features(alignment, posterior_TS, lexicon, agreement)
            if row is not None:
                found.rows.append(row)
                found.scores.append(score)
                found.word_rows.append(word_features(alignment, posterior_TS, lexicon))
                found.right.append(acceptable_words(alignment.target, Words.split(reference).words))
        return found

    def fit(self, min_chrf: float, chosen: Sequence[int]) -> Calibration:
        """Fits the regressions on some of the examples; a translation is acceptable from ``min_chrf`` upwards.

        Raises:
            UserError: all of them are acceptable, or none is.
        """
        acceptable = [self.scores[i] >= min_chrf for i in chosen]
        if len(set(acceptable)) < 2:
            raise UserError(
                f"Of {len(chosen):,} translations {sum(acceptable):,} have a chrF of at least {min_chrf:g}: both "
                "acceptable and other ones are needed.",
                "Give more validation text, or another --min-chrf.",
            )
        right = [ok for i in chosen for ok in self.right[i]]
        word_rows = [row for i in chosen for row in self.word_rows[i]]
        words = Regression.fit(word_rows, right) if len(set(right)) == 2 else None
        others = {"min_chrf": min_chrf, "words": words, "samples": self.num_samples}
        return Calibration.fit([self.rows[i] for i in chosen], acceptable, **others)


@dataclass(frozen=True)
class CalibrationReport:
    """Result of :func:`calibrate`; figures are those of five-fold cross-validation."""

    num_examples: int
    acceptable: float
    """Share of acceptable translations."""
    error: float
    """Expected calibration error."""
    area: float
    """Area under the ROC curve."""
    bins: list[Bin]
    num_words: int
    right: float
    """Share of acceptable words."""
    word_error: float | None
    """Expected calibration error of the words; None where all of them are acceptable, or none is."""


def calibrate(examples: Examples, files: ModelDirectory, min_chrf: float) -> CalibrationReport:
    """Fits the confidence, and writes it into the model directory.

    Args:
        min_chrf: sentence chrF from which a translation is acceptable.

    Raises:
        UserError: there are too few examples, all of them are acceptable, or none is; or another process writes there.
    """
    count = len(examples.rows)
    if count < MIN_PAIRS:
        raise UserError(
            f"{count:,} translations are too few to fit the confidence.",
            f"Give validation text of at least {MIN_PAIRS} pairs; 1,000 are better.",
        )
    whole, found, of_words = examples.fit(min_chrf, range(count)), [0.0] * count, [[0.0]] * count
    for fold in range(NUM_FOLDS):
        part = examples.fit(min_chrf, [i for i in range(count) if i % NUM_FOLDS != fold])
        for i in range(fold, count, NUM_FOLDS):
            found[i] = part.probability(examples.rows[i])
            of_words[i] = [part.words.probability(row) for row in examples.word_rows[i]] if part.words else []
    acceptable, right = [score >= min_chrf for score in examples.scores], list(chain.from_iterable(examples.right))
    error, bins = reliability(found, acceptable)
    given = list(chain.from_iterable(of_words))
    word_error = reliability(given, right)[0] if len(given) == len(right) else None
    with files.writing():
        whole.save(files.file(FILE, MAX_BYTES))
    share = sum(right) / max(len(right), 1)
    area = area_under_curve(found, acceptable)
    return CalibrationReport(count, sum(acceptable) / count, error, area, bins, len(right), share, word_error)
