"""Options of word links, a module of its own, so that the command line imports no NumPy."""

from typing import Literal

from pydantic import Field

from nmt.recipe.options import Options

AttributionMethod = Literal["input_x_gradient", "integrated_gradients", "value_zeroing", "leave_one_out"]
"""See :func:`nmt.inspection.attribution.attribute`."""
Symmetrization = Literal["none", "intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]


class LinkOptions(Options):
    """Options of the extraction of word links from attention; no part of a recipe."""

    method: Literal["argmax", "threshold"] = Field(
        "argmax",
        description="a link from each word to the word with the highest normalised attention weight (argmax), or to "
        "all with at least the threshold (threshold)",
    )
    threshold: float = Field(0.3, gt=0, le=1, description="least weight of a link, with --method threshold")
    symmetrize: Symmetrization = Field(
        "grow-diag",
        description="how links of target and source words are combined: intersection, union, grow-diag, "
        "grow-diag-final or grow-diag-final-and; none: those of target words alone",
    )
