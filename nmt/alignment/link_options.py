"""Options of word links, a module of its own, so that the command line imports no NumPy."""

from typing import Literal

from pydantic import Field

from nmt.recipe.options import Options

AttributionMethod = Literal["input_x_gradient", "integrated_gradients", "value_zeroing", "leave_one_out"]
"""Methods of attribution, which `nmt align --attribution` takes links from."""
Symmetrization = Literal["none", "intersection", "union", "grow-diag"]

POSTERIOR = 0.45
"""Least mean of both posteriors of a link (docs/lab-notes/2026-11-20-alignment.md)."""
ATTENTION = 0.3
"""Least attention of a link."""


class LinkOptions(Options):
    """Options of the extraction of word links; no part of a recipe."""

    method: Literal["argmax", "threshold"] | None = Field(
        None,
        description="a link to all words with at least the threshold (threshold), or from each word to the one with "
        "the highest weight (argmax); by default threshold with a lexicon, unless --symmetrize is given, and argmax "
        "without",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"least weight of a link, with --method threshold; by default {POSTERIOR} of the posterior that a "
        f"lexicon gives, or {ATTENTION} of the attention",
    )
    symmetrize: Symmetrization | None = Field(
        None,
        description="how links of target and source words are combined with --method argmax: intersection, union or "
        "grow-diag; none: those of target words alone; by default grow-diag",
    )

    def resolved(self, has_lexicon: bool = False) -> "LinkOptions":
        """Returns the options with a value in place of each None."""
        by_posterior = has_lexicon and self.symmetrize is None
        return LinkOptions(
            method=self.method or ("threshold" if by_posterior else "argmax"),
            threshold=self.threshold or (POSTERIOR if has_lexicon else ATTENTION),
            symmetrize=self.symmetrize or "grow-diag",
        )
