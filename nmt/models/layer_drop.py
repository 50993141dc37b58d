"""LayerDrop (Fan et al. 2020): whole layers are left out of a training step."""

import torch
from torch import nn


class LayerDrop(nn.Module):
    """Leaves out each layer of a residual stack with probability ``rate`` in training; all are there otherwise.

    What a layer would have added to the residual stream is missing then; nothing is scaled, as in the paper.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def kept(self, num_layers: int) -> list[bool]:
        """Which layers take part, from the bottom."""
        if not self.training or not self.rate:
            return [True] * num_layers
        # Drawn on the CPU, so that a GPU isn't waited for.
        kept: list[bool] = (torch.rand(num_layers) >= self.rate).tolist()
        return kept

    def extra_repr(self) -> str:
        return f"rate={self.rate}"
