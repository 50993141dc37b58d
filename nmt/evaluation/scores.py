"""BLEU, chrF and TER of detokenised text by sacreBLEU, each with the signature that makes it comparable.

The settings are sacreBLEU's own defaults: BLEU and chrF see case, BLEU tokenises by ``13a``; TER ignores
case. The signature says all of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.data.text import STANDARD_STREAM, describe, read_lines
from nmt.errors import UserError, nearest

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric


@dataclass(frozen=True)
class Score:
    """A figure and how it came about.

    Attributes:
        name: as it is printed: ``BLEU``, ``chrF2``, ``TER``.
        score: 0 to 100 (TER may exceed 100); for TER, lower is better.
        signature: sacreBLEU's version and settings; figures compare only where signatures agree.
        details: sacreBLEU's line for people; for BLEU with n-gram precisions and brevity penalty.
    """

    name: str
    score: float
    signature: str
    details: str


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
    _check_metrics(metrics)
    _check_lengths(len(hypotheses), len(references), "the hypothesis", "the reference")
    scores = {}
    for key in metrics:
        metric = METRICS[key](tokenize)
        result = metric.corpus_score(hypotheses, [references])
        scores[key] = Score(result.name, result.score, str(metric.get_signature()), str(result))
    return scores


def score_files(
    hypothesis: Path | str,
    reference: Path | str,
    metrics: Sequence[str] = DEFAULT_METRICS,
    tokenize: str | None = None,
) -> dict[str, Score]:
    """Scores a file of translations, a line each, against a file of references; ``"-"`` is standard input."""
    _check_metrics(metrics)
    if str(hypothesis) == str(reference) == STANDARD_STREAM:
        raise UserError("Only one side can come from standard input.", "Name a file for the other.")
    hypotheses, references = list(read_lines(hypothesis)), list(read_lines(reference))
    _check_lengths(len(hypotheses), len(references), describe(hypothesis), describe(reference))
    return score_corpus(hypotheses, references, metrics, tokenize)


def _check_metrics(metrics: Sequence[str]) -> None:
    if not metrics:
        raise UserError("No metric is named.", f"Name one or more of {', '.join(METRICS)}.")
    for key in metrics:
        if key not in METRICS:
            raise UserError(f"Unknown metric: {key!r}.", nearest(key, METRICS))


def _check_lengths(num_hypotheses: int, num_references: int, hypothesis: str, reference: str) -> None:
    if num_hypotheses != num_references:
        counts = f"{hypothesis} has {num_hypotheses:,}, {reference} has {num_references:,}"
        raise UserError(
            f"Different numbers of lines: {counts}.",
            "Line N of one must translate line N of the other; check that neither was cut or filtered.",
        )
    if not num_hypotheses:
        raise UserError(
            f"Nothing to score: {hypothesis} and {reference} are empty.",
            "Check that the command which wrote the translations succeeded.",
        )
