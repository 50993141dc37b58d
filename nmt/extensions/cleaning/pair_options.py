"""Options of the pairs that models make; a module of its own, so that the command line imports no filters."""

from pydantic import Field

from nmt.recipe.options import Options


class PairOptions(Options):
    """Limits for pairs that a model has made, in ``nmt backtranslate`` and ``nmt distill``."""

    min_score: float | None = Field(None, le=0, description="leave out pairs with a lower mean log p of a token")
    drop_worst: float = Field(0.05, ge=0, lt=1, description="leave out this share of the pairs: the lowest mean log p")
