"""Word embeddings and positions."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from nmt.models.dropout import Dropout


class Embedding(nn.Module):
    """Ids to vectors.

    Args:
        vocabulary_size: V.
        size: width D.
        pad: id whose vector is zero.
        scale: multiply by the square root of D (Vaswani et al. 2017), so that an embedding that is shared with
            the output layer has the size of the position code that is added to it.
        weight: an embedding matrix to share.
        separator: id that ends a turn of a dialogue, where the vocabulary has one.
        dropout: probability that a word's whole vector is zero in training (Gal & Ghahramani 2016; Sennrich & Zhang
            2019 for little text), each occurrence by itself.
    """

    def __init__(
        self,
        vocabulary_size: int,
        size: int,
        pad: int,
        scale: bool = False,
        weight: nn.Parameter | None = None,
        separator: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary_size, size, padding_idx=pad)
        self.size = size
        self.separator = separator
        self._scale = math.sqrt(size) if scale else 1.0
        self.dropout = Dropout(dropout)
        if weight is not None:
            self.table.weight = weight
        else:
            with torch.no_grad():
                nn.init.normal_(self.table.weight, std=size**-0.5)
                self.table.weight[pad].zero_()

    @property
    def weight(self) -> nn.Parameter:
        return cast(nn.Parameter, self.table.weight)

    def is_real(self, ids: Tensor) -> Tensor:
        """True where there is a token, False at PAD."""
        return ids.ne(self.table.padding_idx or 0)

    @property
    def is_scaled(self) -> bool:
        return self._scale != 1.0

    @torch.no_grad()
    def init_from(self, ids: Tensor, vectors: Tensor) -> None:
        """Give some ids vectors made elsewhere. The others stay random, but become as large as these."""
        padding = int(self.table.padding_idx or 0)
        others = torch.ones(len(self.weight), dtype=torch.bool)
        others[ids] = others[padding] = False
        if others.any():
            self.weight[others] *= vectors.std() / self._scale / self.weight[others].std()
        self.weight[ids] = vectors.to(self.weight) / self._scale

    def forward(self, ids: Tensor) -> Tensor:
        vectors: Tensor = self.table(ids)
        if torch.is_autocast_enabled(ids.device.type):
            vectors = vectors.to(torch.get_autocast_dtype(ids.device.type))
        if self.training and self.dropout.rate:
            vectors = vectors * self.dropout(vectors.new_ones(*ids.shape, 1))
        return vectors * self._scale if self._scale != 1.0 else vectors


def sinusoids(num_positions: int, size: int, device: torch.device | None = None) -> Tensor:
    """Sinusoidal position code (Vaswani et al. 2017, section 3.5). [num_positions, size]

    PE(p, 2i) = sin(p / 10000^(2i/D)), PE(p, 2i+1) = cos(p / 10000^(2i/D)).
    """
    position = torch.arange(num_positions, device=device, dtype=torch.float32)[:, None]
    frequency = torch.exp(torch.arange(0, size, 2, device=device) * (-math.log(10000.0) / size))
    code = torch.zeros(num_positions, size, device=device)
    code[:, 0::2] = torch.sin(position * frequency)
    code[:, 1::2] = torch.cos(position * frequency[: size // 2])
    return code


class Positions(nn.Module):
    """Adds a position code to embedded tokens: sinusoidal, of any length, or learned up to ``max_positions``."""

    def __init__(self, size: int, kind: str = "sinusoidal", max_positions: int = 512) -> None:
        super().__init__()
        self.size = size
        self.learned: nn.Embedding | None = None
        if kind == "learned":
            self.learned = nn.Embedding(max_positions, size)
            nn.init.normal_(self.learned.weight, std=size**-0.5)
        self._code = torch.empty(0, size)

    def forward(self, x_BTD: Tensor, start: int = 0) -> Tensor:
        """``start`` is the position of the first token."""
        end = start + x_BTD.shape[1]
        if self.learned is not None:
            # Beyond the last learned position, the last one is the best guess there is.
            last = self.learned.num_embeddings - 1
            code: Tensor = self.learned(torch.arange(start, end, device=x_BTD.device).clamp(max=last))
        else:
            known = self._code  # another thread may put a shorter one in its place
            if len(known) < end or known.device != x_BTD.device:
                # Twice what is needed now: step by step, a long sentence must not ask anew at each.
                self._code = known = sinusoids(max(2 * end, 256), self.size, x_BTD.device)
            code = known[start:end]
        return x_BTD + code.to(x_BTD.dtype)
