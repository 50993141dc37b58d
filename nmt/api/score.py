"""Scores of translations."""

from collections.abc import Sequence

from nmt.core.errors import UserError
from nmt.evaluation.scores import score_corpus
from nmt.metrics.table import Score


def score(
    hypotheses: str | Sequence[str],
    references: str | Sequence[str],
    metrics: Sequence[str] = ("bleu", "chrf"),
    *,
    sources: str | Sequence[str] | None = None,
) -> dict[str, Score]:
    """Scores translations against references.

    Args:
        hypotheses: the translations, cased and detokenised; a ``str`` is one sentence.
        references: a reference for each.
        metrics: names of metrics, see ``nmt score --help``.
        sources: the source sentences, for metrics that read them.

    Returns:
        The score of each metric, by its name, with sacreBLEU's signature.

    Raises:
        UserError: there is no such metric, or the numbers of sentences differ.

    Example::

        nmt.score(["A man sleeps."], ["A man is sleeping."])["chrf"].score
    """
    found, expected = _sentences(hypotheses), _sentences(references)
    if not found or len(found) != len(expected):
        raise UserError(
            f"There are {len(found)} hypotheses and {len(expected)} references.", "Give one reference for each."
        )
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    return score_corpus(found, [expected], names, sources=None if sources is None else _sentences(sources))


def _sentences(text: str | Sequence[str]) -> list[str]:
    """Returns the sentences of an argument: a ``str`` is one sentence, not a sequence of letters."""
    return [text] if isinstance(text, str) else [str(sentence) for sentence in text]
