"""BLEU, chrF and TER of detokenised text by sacreBLEU, each with the signature that makes it comparable.

The settings are sacreBLEU's own defaults: BLEU and chrF see case, BLEU tokenises by ``13a``; TER ignores
case. The signature says all of it.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmt.errors import UserError, nearest
from nmt.evaluation.texts import check_lengths

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric


@dataclass(frozen=True)
class Confidence:
    """What bootstrap resampling (Koehn 2004) says of a score: 95 % of the samples lie in mean ± half width."""

    mean: float
    half_width: float
    num_resamples: int

    def to_json(self) -> dict[str, float]:
        return {
            "level": 0.95,
            "mean": round(self.mean, 4),
            "half_width": round(self.half_width, 4),
            "resamples": self.num_resamples,
        }


@dataclass(frozen=True)
class Score:
    """A figure and how it came about.

    Attributes:
        name: as it is printed: ``BLEU``, ``chrF2``, ``TER``.
        score: 0 to 100 (TER may exceed 100); for TER, lower is better.
        signature: sacreBLEU's version and settings; figures compare only where signatures agree.
        details: sacreBLEU's line for people; for BLEU with n-gram precisions and brevity penalty.
        confidence: where it was asked for.
    """

    name: str
    score: float
    signature: str
    details: str
    confidence: Confidence | None = None

    def to_json(self) -> dict[str, Any]:
        """The object of ``nmt score --json``."""
        shown: dict[str, Any] = {"score": round(self.score, 4), "signature": self.signature}
        return shown if self.confidence is None else {**shown, "confidence": self.confidence.to_json()}


def _bleu(tokenize: str | None) -> "Metric":
    from sacrebleu.metrics.bleu import BLEU

    tokenizers = list(BLEU.TOKENIZERS)
    if tokenize is not None and tokenize not in tokenizers:
        raise UserError(f"Unknown tokenizer for BLEU: {tokenize!r}.", nearest(tokenize, tokenizers))
    try:
        return BLEU(tokenize=tokenize)
    except (ImportError, OSError, RuntimeError) as error:  # some need a package or a download
        raise UserError(
            f"The tokenizer {tokenize!r} can't be used: {str(error).strip()}",
            "Install what it needs, or score with the default, 13a.",
        ) from error


def _chrf(tokenize: str | None) -> "Metric":
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def _ter(tokenize: str | None) -> "Metric":
    from sacrebleu.metrics.ter import TER

    return TER()


METRICS: dict[str, Callable[[str | None], "Metric"]] = {
    "bleu": _bleu,
    "chrf": _chrf,
    "ter": _ter,
}

DEFAULT_METRICS = ("bleu", "chrf")


def score_corpus(
    hypotheses: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str] = DEFAULT_METRICS,
    tokenize: str | None = None,
) -> dict[str, Score]:
    """Scores translations, cased and detokenised, against one reference each.

    Args:
        hypotheses: the translations.
        references: their references, in the same order.
        metrics: keys of ``METRICS``.
        tokenize: sacreBLEU's tokenizer for BLEU (``13a`` when None; ``zh``, ``ja-mecab``, ``char`` …).

    Returns:
        A score for each metric asked for, in that order.
    """
    return score_system(hypotheses, [references], metrics, tokenize)


def score_system(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str] = DEFAULT_METRICS,
    tokenize: str | None = None,
    num_resamples: int = 0,
) -> dict[str, Score]:
    """Scores translations against one or several references each.

    Args:
        hypotheses, metrics, tokenize: as :func:`score_corpus`.
        references: whole references, each as long as the hypotheses.
        num_resamples: of sacreBLEU's bootstrap, for a confidence interval; 0 leaves it out.
    """
    check_metrics(metrics)
    check_seed()
    names = ["the reference"] if len(references) == 1 else [f"reference {n + 1}" for n in range(len(references))]
    check_lengths({"the hypothesis": len(hypotheses), **dict(zip(names, map(len, references), strict=True))})
    scores = {}
    for key in metrics:
        metric = METRICS[key](tokenize)
        result = metric.corpus_score(hypotheses, references, n_bootstrap=num_resamples or 1)
        confidence = Confidence(result._mean, result._ci, num_resamples) if num_resamples > 1 else None
        scores[key] = Score(result.name, result.score, str(metric.get_signature()), str(result), confidence)
    return scores


def check_metrics(metrics: Sequence[str]) -> None:
    """Refuse what isn't in ``METRICS``."""
    if not metrics:
        raise UserError("No metric is named.", f"Name one or more of {', '.join(METRICS)}.")
    for key in metrics:
        if key not in METRICS:
            raise UserError(f"Unknown metric: {key!r}.", nearest(key, METRICS))


def check_seed() -> int | None:
    """The seed of sacreBLEU's resampling, from its variable SACREBLEU_SEED; None draws a new one each time."""
    given = os.environ.get("SACREBLEU_SEED", "12345")
    if given.lower() == "none":
        return None
    if not given.isdecimal():
        raise UserError(f"SACREBLEU_SEED is {given!r}, which is no seed.", "Set it to a number, or to none.")
    return int(given)
