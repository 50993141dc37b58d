"""A metric from outside that needs the source, and systems that it tells apart."""

from collections.abc import Sequence

from nmt.metrics.table import Metric

SOURCES = ["aaaa", "bbbbbb"] * 20
REFERENCES = ["aaaa", "bbbbbb"] * 20
SYSTEMS = {"base": ["aa", "bbbbbbb"] * 20, "better": ["aaaa", "bbbbbbb"] * 20}


class LengthError(Metric):
    """How far a translation's length is from the mean of source's and reference's, in characters."""

    name = "LenErr"
    higher_is_better = False
    needs_source = True
    decimals = 3

    def sentence_scores(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]], sources: Sequence[str] | None = None
    ) -> list[float]:
        given = zip(hypotheses, references[0], sources, strict=True)
        return [abs(len(text) - (len(reference) + len(source)) / 2) for text, reference, source in given]
