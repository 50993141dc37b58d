"""A filter of parallel text."""

from pydantic import Field

from nmt.extensions.cleaning.base import PairFilter


class Shouting(PairFilter):
    """Fraction of the letters of a pair that are capitals."""

    class Options(PairFilter.Options):
        limit: float = Field(0.6, ge=0, le=1, description="fraction of capitals above which a pair is flagged")

    problem = "contain mostly capitals"
    remedy = "Write them in lower case, or drop them."
    warning = 0.01

    def score(self, source: str, target: str) -> float:
        letters = list(filter(str.isalpha, source + target))
        return sum(map(str.isupper, letters)) / max(len(letters), 1)
