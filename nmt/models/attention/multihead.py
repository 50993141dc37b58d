"""Multi-head scaled dot-product attention (Vaswani et al. 2017, section 3.2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.dropout import Dropout


class MultiHeadAttention(nn.Module):
    """softmax(Q Kᵀ / √d) V for each of H heads, concatenated and projected.

    Args:
        width: D of queries and output.
        num_heads: H; the width of a head is d = D / H.
        dropout: of the attention weights.
        memory_width: D of keys and values; the same as ``width`` for self-attention.
    """

    def __init__(self, width: int, num_heads: int, dropout: float, memory_width: int | None = None) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"a width of {width} can't be split among {num_heads} heads: choose a multiple")
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(memory_width or width, 2 * width)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def split_heads(self, x_BTD: Tensor) -> Tensor:
        """[B, T, D] -> [B, H, T, d], a view."""
        return torch.unflatten(x_BTD, 2, (self.num_heads, -1)).transpose(1, 2)

    def project(self, memory_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each [B, H, S, d]: computed once a sentence for a memory, once a token for a cache."""
        keys_BSD, values_BSD = self.key_value(memory_BSD).chunk(2, dim=2)
        return self.split_heads(keys_BSD), self.split_heads(values_BSD)

    def forward(
        self,
        query_BTD: Tensor,
        keys_values: tuple[Tensor, Tensor],
        bias: Tensor | None,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            query_BTD: the positions that ask.
            keys_values: from :meth:`project`.
            bias: added to the scores, broadcast to [B, H, T, S]; -inf where a position may not look.
            need_weights: return the weights, too.

        Returns:
            The result [B, T, D], and the weights [B, H, T, S] if asked for.
        """
        queries_BHTd = self.split_heads(self.query(query_BTD))
        keys_BHSd, values_BHSd = keys_values
        if need_weights or queries_BHTd.device.type == "cpu":
            heads_BHTd, weights_BHTS = self._explicit(queries_BHTd, keys_BHSd, values_BHSd, bias)
        else:
            rate = self.dropout.rate if self.training else 0.0
            if bias is not None:
                bias = bias.to(queries_BHTd.dtype)
            heads_BHTd = F.scaled_dot_product_attention(queries_BHTd, keys_BHSd, values_BHSd, bias, rate)
            weights_BHTS = None
        out_BTD = self.out(heads_BHTd.transpose(1, 2).flatten(2))
        return out_BTD, weights_BHTS if need_weights else None

    def _explicit(
        self, queries_BHTd: Tensor, keys_BHSd: Tensor, values_BHSd: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Matrix product, softmax, matrix product. On a CPU the backward pass of the fused kernel is slower."""
        scores_BHTS = torch.matmul(queries_BHTd * queries_BHTd.shape[-1] ** -0.5, keys_BHSd.transpose(2, 3))
        if bias is not None:
            scores_BHTS = scores_BHTS + bias.to(scores_BHTS.dtype)
        # In the scores' own type: autocast would widen it, and at these lengths bfloat16's softmax is exact enough.
        with torch.autocast(scores_BHTS.device.type, enabled=False):
            weights_BHTS = scores_BHTS.softmax(dim=-1)
        return torch.matmul(self.dropout(weights_BHTS), values_BHSd), weights_BHTS


def padding_bias(mask_BS: Tensor) -> Tensor:
    """Zero at real positions and -inf at padding. [B, 1, 1, S]"""
    return mask_bias(mask_BS)[:, None, None, :]


def mask_bias(mask: Tensor) -> Tensor:
    """Zero where a mask is True, -inf where it is False."""
    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, float("-inf"))


def causal_bias(length: int, device: torch.device) -> Tensor:
    """Zero at and below the diagonal, -inf above. [length, length]"""
    return torch.full((length, length), float("-inf"), device=device).triu(1)
