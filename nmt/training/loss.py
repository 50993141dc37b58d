"""Cross-entropy with label smoothing, fused with the output layer.

The logits of a batch are its largest tensor by far: 4,000 tokens times 8,000 pieces. Here they are never whole.
Chunk by chunk, on positions that hold a token, the loss and its gradient with respect to the features and the
output weights are computed in the forward pass, and the backward pass only scales them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nmt.models.interfaces import OutputLayer
from nmt.models.masks import length_mask

CHUNK = 1024
"""Positions whose logits exist at a time."""


@dataclass(frozen=True)
class TokenLoss:
    """Sums over the tokens of a batch. ``smoothed`` is what training minimises, ``nll`` is -log p(target)."""

    smoothed: Tensor
    nll: Tensor
    num_tokens: int


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of the smoothed cross-entropy of softmax(features Wᵀ + b) over N positions.

    With ε spread evenly over V classes (Szegedy et al. 2016), the loss of a position is
    (1 - ε) (-log p_y) + ε/V Σ_v (-log p_v), and its gradient in the logits p - (1 - ε) onehot(y) - ε/V.
    """

    @staticmethod
    def forward(
        ctx: Any, features_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, target_N: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        # Autocast doesn't reach into a custom function, so its type is applied by hand.
        dtype = features_ND.dtype
        wide = torch.promote_types(dtype, torch.float32)  # what sums and softmax are computed in
        weight = weight_VD.to(dtype)
        bias = bias_V.to(dtype)
        num_classes = weight.shape[0]
        need_grad = any(ctx.needs_input_grad[:3])
        grad_features = torch.empty_like(features_ND) if need_grad else None
        grad_weight = torch.zeros_like(weight, dtype=wide) if need_grad else None
        grad_bias = torch.zeros_like(bias, dtype=wide) if need_grad else None
        smoothed = features_ND.new_zeros((), dtype=wide)
        nll = torch.zeros_like(smoothed)
        for start in range(0, len(features_ND), CHUNK):
            part = slice(start, start + CHUNK)
            features, target = features_ND[part], target_N[part, None]
            logits = torch.addmm(bias, features, weight.t()).to(wide)
            log_p = logits.log_softmax(dim=1)
            chunk_nll = -log_p.gather(1, target).sum()
            nll += chunk_nll
            smoothed += (1 - smoothing) * chunk_nll
            if smoothing:
                smoothed -= smoothing / num_classes * log_p.sum()
            if grad_features is None or grad_weight is None or grad_bias is None:
                continue
            grad = log_p.exp_()
            if smoothing:
                grad -= smoothing / num_classes
            grad.scatter_add_(1, target, grad.new_full(target.shape, smoothing - 1))
            grad_bias += grad.sum(0)
            grad = grad.to(dtype)
            torch.mm(grad, weight, out=grad_features[part])
            grad_weight += grad.t() @ features
        ctx.save_for_backward(grad_features, grad_weight, grad_bias)
        ctx.dtypes = (weight_VD.dtype, bias_V.dtype)
        ctx.mark_non_differentiable(nll)
        return smoothed, nll

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale = grads[0]
        features, weight, bias = ctx.saved_tensors
        return (
            features * scale.to(features.dtype),
            (weight * scale).to(ctx.dtypes[0]),
            (bias * scale).to(ctx.dtypes[1]),
            None,
            None,
        )


_linear_cross_entropy: Callable[..., tuple[Tensor, Tensor]] = _LinearCrossEntropy.apply


def token_loss(
    features_BTD: Tensor, output: OutputLayer, target_BT: Tensor, target_length_B: Tensor, smoothing: float
) -> TokenLoss:
    """The loss of a batch, PAD left out.

    Args:
        features_BTD: what the decoder gives before the output layer.
        output: the output layer.
        target_BT: the tokens to predict.
        target_length_B: how many of each row are real.
        smoothing: ε of label smoothing.
    """
    mask_BT = length_mask(target_length_B, target_BT.shape[1])
    index_N = mask_BT.flatten().nonzero().squeeze(1)
    features_ND = features_BTD.flatten(0, 1).index_select(0, index_N)
    if torch.is_autocast_enabled(features_ND.device.type):
        features_ND = features_ND.to(torch.get_autocast_dtype(features_ND.device.type))
    target_N = target_BT.flatten().index_select(0, index_N)
    smoothed, nll = _linear_cross_entropy(features_ND, output.weight_VD, output.bias_V, target_N, smoothing)
    return TokenLoss(smoothed, nll, len(index_N))
