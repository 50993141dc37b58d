"""What hypotheses are ranked by: log-probabilities made comparable across lengths, and what they left untranslated."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from nmt.config import DecodingOptions


def length_normalised(options: DecodingOptions, log_probability: Tensor, length: Tensor | int) -> Tensor:
    """The scores of hypotheses of ``length`` pieces, EOS counted.

    ``none``: log p. ``average``: log p / length^α. ``gnmt``: log p / ((5 + length) / 6)^α (Wu et al. 2016, equation
    14). ``word_reward``: log p + α length (He et al. 2016). A score never falls with the length.
    """
    length = torch.as_tensor(length, dtype=log_probability.dtype, device=log_probability.device)
    if options.length_penalty == "average":
        return log_probability / length**options.alpha
    if options.length_penalty == "gnmt":
        return log_probability / ((5 + length) / 6) ** options.alpha
    if options.length_penalty == "word_reward":
        return log_probability + options.alpha * length
    return log_probability


@dataclass(frozen=True)
class Coverage:
    """How much attention each source position has received from each hypothesis."""

    total_NS: Tensor
    mask_NS: Tensor
    """True at real source positions."""

    @classmethod
    def none(cls, mask_NS: Tensor) -> Self:
        return cls(torch.zeros(mask_NS.shape, device=mask_NS.device), mask_NS)

    def plus(self, weights_NS: Tensor) -> "Coverage":
        return replace(self, total_NS=self.total_NS + weights_NS)

    def reorder(self, rows: Tensor) -> "Coverage":
        return Coverage(self.total_NS[rows], self.mask_NS[rows])

    def penalty(self, beta: float) -> Tensor:
        """β Σ_s log min(Σ_t a_ts, 1), 0 at best (Wu et al. 2016, equation 14). [N]"""
        log_NS = self.total_NS.clamp(min=torch.finfo(self.total_NS.dtype).tiny, max=1.0).log()
        return beta * log_NS.masked_fill(~self.mask_NS, 0.0).sum(1)
