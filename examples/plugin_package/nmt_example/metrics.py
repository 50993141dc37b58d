"""A metric."""

from collections import Counter
from collections.abc import Sequence

from nmt.metrics.table import Metric


class WordRecall(Metric):
    """The share of the words of a reference that its translation has, in per cent; of several references the best."""

    name = "word recall"

    def sentence_scores(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]], sources: Sequence[str] | None = None
    ) -> list[float]:
        rows = zip(hypotheses, zip(*references, strict=True), strict=True)
        return [max(recall(hypothesis, reference) for reference in given) for hypothesis, given in rows]


def recall(hypothesis: str, reference: str) -> float:
    """100 · |words of both| / |words of the reference|."""
    words = reference.split()
    found = Counter(words) & Counter(hypothesis.split())
    return 100.0 * found.total() / max(1, len(words))
