"""Fitting the confidence of a model on validation text; see :mod:`nmt.translation.confidence`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.data.words import Words
from nmt.metrics.table import METRICS
from nmt.translation.confidence import Bin, Calibration, features, reliability
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

    @classmethod
    def collect(
        cls,
        translator: Translator,
        pairs: Iterable[tuple[str, str]],
        on_progress: Callable[[int], None] = lambda lines: None,
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
        aligned = translator.aligner.compared(words, scores=True)
        found = [
            (features(*each, translator.aligner.lexicon), score) for each, score in zip(aligned, scores, strict=True)
        ]
        known = [(row, score) for row, score in found if row is not None]
        return cls([row for row, _ in known], [score for _, score in known])


@dataclass(frozen=True)
class Calibrated:
    """Result of :func:`calibrate`; figures are those of five-fold cross-validation."""

    num_examples: int
    acceptable: float
    """Share of acceptable translations."""
    error: float
    """Expected calibration error."""
    bins: list[Bin]


def calibrate(translator: Translator, examples: Examples, files: ModelDirectory, min_chrf: float) -> Calibrated:
    """Fits the confidence, and writes it into the model directory.

    Args:
        min_chrf: sentence chrF from which a translation is acceptable.

    Raises:
        UserError: there are too few examples, all of them are acceptable, or none is; or another process writes there.
    """
    rows, scores = examples.rows, examples.scores
    if len(rows) < MIN_PAIRS:
        raise UserError(
            f"{len(rows):,} translations are too few to fit the confidence.",
            f"Give validation text of at least {MIN_PAIRS} pairs; 1,000 are better.",
        )
    whole, found = Calibration.fit(rows, scores, min_chrf), [0.0] * len(rows)
    for fold in range(NUM_FOLDS):
        kept = [i for i in range(len(rows)) if i % NUM_FOLDS != fold]
        part = Calibration.fit([rows[i] for i in kept], [scores[i] for i in kept], min_chrf)
        for i in range(fold, len(rows), NUM_FOLDS):
            found[i] = part.probability(rows[i])
    acceptable = [score >= min_chrf for score in scores]
    error, bins = reliability(found, acceptable)
    with files.writing():
        whole.save(files.calibration)
    return Calibrated(len(rows), sum(acceptable) / len(rows), error, bins)
