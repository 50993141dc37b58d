"""Cross-entropy with label smoothing, fused with the output layer.

The logits of a batch are its largest tensor by far: 4,000 tokens times 8,000 pieces. Here they are never whole.
Chunk by chunk, on positions that hold a token, the loss and its gradient with respect to the features and the
output weights are computed in the forward pass, and the backward pass only scales them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.core.device import product_dtype
from nmt.data.batch import Batch
from nmt.models.contracts import OutputLayer
from nmt.models.layers import length_mask
from nmt.models.seq2seq import Seq2Seq

LogitsLoss = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps log-probabilities [N, P, V] of N positions in P passes to a loss and its gradient in the logits [N, P, V]."""

ClassSample = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""See :meth:`nmt.training.techniques.Technique.sample_classes`."""

CHUNK = 512
"""Number of rows of logits that exist at a time on a CPU, whose caches they fit: target positions times passes."""

GPU_LOGITS = 1 << 27
"""Number of logits that exist at a time elsewhere, where each chunk costs the start of some twenty kernels."""

ROWS = 64
"""The last chunk is filled up to a multiple of this number, as oneDNN makes new kernels for each new number of rows."""


@dataclass(frozen=True)
class TokenLoss:
    """Sums over the tokens of a batch, averaged over the passes.

    ``smoothed`` is what training minimises, ``nll`` is -log p(target).
    """

    smoothed: Tensor
    nll: Tensor


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of the smoothed cross-entropy of softmax(features Wᵀ + b) over N positions.

    With ε spread evenly over the V classes (Szegedy et al. 2016), or as ``share_V`` says, the loss of a position is
    (1 - ε) (-log p_y) + ε/V Σ_v (-log p_v), and its gradient in the logits p - (1 - ε) onehot(y) - ε/V. The second
    part is linear in the features, so it is left out of the logits and added to the sums. This minimises passes over
    the vocabulary, which are in the type of the logits.

    With P passes, which stand side by side, it is the mean of all. Further losses on the distributions, which give
    their own gradients, are added to the sum over passes. Positions where ``real_N`` is False don't count.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features_NPD: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor,
        target_N: Tensor,
        real_N: Tensor | None,
        smoothing: float,
        logits_losses: Sequence[LogitsLoss],
        share_V: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        # Autocast doesn't reach into a custom function, so its type is applied by hand.
        dtype = features_NPD.dtype
        wide = torch.promote_types(dtype, torch.float32)  # what sums are computed in
        weight, bias = weight_VD.to(dtype), bias_V.to(dtype)
        num_positions, num_passes, _ = features_NPD.shape
        count: Tensor | int = num_positions * num_passes
        real_NP1 = None
        if real_N is not None:
            count, real_NP1 = real_N.sum(dtype=wide) * num_passes, real_N[:, None, None].expand(-1, num_passes, 1)
            features_NPD = features_NPD * real_NP1  # so that the others take no part in gradients of the weights
        need_grad = any(ctx.needs_input_grad[:3])
        grad_features = torch.empty_like(features_NPD)
        grad_weight, grad_bias = torch.zeros_like(weight, dtype=wide), torch.zeros_like(bias, dtype=wide)
        smoothed = features_NPD.new_zeros((), dtype=wide)
        nll = torch.zeros_like(smoothed)
        chunk = max(1, (CHUNK if weight.is_cpu else max(CHUNK, GPU_LOGITS // len(weight))) // num_passes)
        room = _padded_rows(min(chunk, num_positions) * num_passes)
        logits_RV, p_RV = features_NPD.new_empty(2, room, len(weight))  # of all chunks: new memory is slow
        for start in range(0, num_positions, chunk):
            part = slice(start, start + chunk)
            target_R = target_N[part].repeat_interleave(num_passes)
            num_rows = len(target_R)
            length = _padded_rows(num_rows) if target_R.is_cpu else num_rows
            features = F.pad(features_NPD[part].flatten(0, 1), (0, 0, 0, length - num_rows))
            logits = torch.addmm(bias, features, weight.t(), out=logits_RV[:length])
            p = torch.softmax(logits, 1, out=p_RV[:length])
            index_R = torch.arange(0, num_rows * len(weight), len(weight), device=logits.device) + target_R
            logit_R = logits.view(-1)[index_R].to(wide)
            log_normaliser_R = _log_normaliser(logits[:num_rows], p[:num_rows], logit_R, index_R)
            nll_R = log_normaliser_R - logit_R
            if real_NP1 is not None:
                real_R = real_NP1[part].flatten()
                nll_R, log_normaliser_R = nll_R * real_R, log_normaliser_R * real_R
            chunk_nll = nll_R.sum()
            nll += chunk_nll
            smoothed += (1 - smoothing) * chunk_nll + smoothing * log_normaliser_R.sum()
            for logits_loss in logits_losses:
                log_p_RV = logits[:num_rows].to(wide) - log_normaliser_R[:, None]
                value, grad_NPV = logits_loss(torch.unflatten(log_p_RV, 0, (-1, num_passes)))
                smoothed += value
                p[:num_rows] += grad_NPV.flatten(0, 1)
            if not need_grad:
                continue
            grad = p  # becomes the gradient in place
            # On a flat view: on a CPU, scatter_add_ takes as long as the softmax of all rows.
            grad.view(-1).index_add_(0, index_R, grad.new_full(index_R.shape, smoothing - 1))
            grad[num_rows:] = 0
            grad_features[part] = torch.mm(grad, weight)[:num_rows].view_as(grad_features[part])
            grad_weight += grad.t() @ features
            ones_1R = grad.new_ones(1, len(grad))
            if real_NP1 is not None:
                ones_1R[0, :num_rows] = real_R
            grad_bias += (ones_1R @ grad)[0]  # several times faster than a sum over rows
        if smoothing:  # -ε/V Σ_v logit_v, over all positions at once
            u_V = torch.full_like(bias, 1 / len(bias), dtype=wide) if share_V is None else share_V.to(wide)
            sum_D = features_NPD.sum((0, 1), dtype=wide)
            if weight.is_cpu or share_V is not None:
                mean_weight_D, mean_bias = u_V @ weight.to(wide), u_V @ bias.to(wide)
            else:  # without converting them
                mean_weight_D, mean_bias = weight.mean(0, dtype=wide), bias.mean(dtype=wide)
            smoothed -= smoothing * (sum_D @ mean_weight_D + count * mean_bias)
            if need_grad:
                grad_features -= smoothing * mean_weight_D
                grad_weight.addr_(u_V, sum_D, alpha=-smoothing)
                grad_bias -= smoothing * count * u_V
        if real_NP1 is not None:
            grad_features *= real_NP1
        ctx.save_for_backward(grad_features, grad_weight, grad_bias)
        ctx.num_passes, ctx.dtypes = num_passes, (weight_VD.dtype, bias_V.dtype)
        ctx.mark_non_differentiable(nll)
        return smoothed / num_passes, nll / num_passes

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale = grads[0] / ctx.num_passes
        features, weight, bias = ctx.saved_tensors
        return (
            features * scale.to(features.dtype),
            (weight * scale).to(ctx.dtypes[0]),
            (bias * scale).to(ctx.dtypes[1]),
            *(None,) * 6,
        )


def _log_normaliser(logits_RV: Tensor, p_RV: Tensor, logit_R: Tensor, index_R: Tensor) -> Tensor:
    """The logarithm of the sum of exp(logit) of each row, which is logit - log p of any token. [R]

    The target, with ``logit_R`` and at ``index_R`` of the flat p, is cheaper than a maximum over the vocabulary. Its
    -log p is limited to 87, by the smallest p of float32 and bfloat16; float16 ends at 17, so there the likeliest token
    is taken.
    """
    wide = logit_R.dtype
    if p_RV.dtype == torch.float16:
        return logits_RV.amax(1).to(wide) - p_RV.amax(1).to(wide).log()
    return logit_R - p_RV.view(-1)[index_R].to(wide).clamp_(min=torch.finfo(wide).tiny).log_()


def _padded_rows(num_rows: int) -> int:
    return -(-num_rows // ROWS) * ROWS


_linear_cross_entropy: Callable[..., tuple[Tensor, Tensor]] = _LinearCrossEntropy.apply


def token_loss(
    features_BTD: Tensor,
    output: OutputLayer,
    target_BT: Tensor,
    target_length_B: Tensor,
    smoothing: float,
    logits_losses: Sequence[LogitsLoss] = (),
    sample_classes: ClassSample | None = None,
) -> TokenLoss:
    """Returns the loss of a batch, without PAD.

    Args:
        features_BTD: what the decoder gives before the output layer; of several passes, where there are that many
            times as many rows as targets, one pass above the other.
        target_length_B: how many of each row are real.
        logits_losses: added to the sum over passes.
        sample_classes: chooses the part of the vocabulary that is computed; None for all of it.
    """
    real_N = length_mask(target_length_B, target_BT.shape[1]).flatten()
    # One pass above the other becomes an axis of passes, and the positions of all sentences one axis.
    features_PND, target_N = torch.unflatten(features_BTD, 0, (-1, len(target_BT))).flatten(1, 2), target_BT.flatten()
    leaves_out = _leaves_out_padding(target_BT) or bool(logits_losses)
    if leaves_out:
        index_N = real_N.nonzero().squeeze(1)
        features_PND, target_N = features_PND.index_select(1, index_N), target_N.index_select(0, index_N)
    features_NPD = features_PND.to(product_dtype(features_PND)).transpose(0, 1).contiguous()  # passes side by side
    weight_VD: Tensor = output.weight_VD
    bias_V: Tensor = output.bias_V
    share_V = None
    if sample_classes is not None:
        class_C, added_C = sample_classes(target_N, len(weight_VD))
        weight_VD, bias_V = weight_VD.index_select(0, class_C), bias_V.index_select(0, class_C) + added_C
        target_N = torch.searchsorted(class_C, target_N)
        share_V = added_C.exp() / len(output.weight_VD)  # of the words that a class stands for
    smoothed, nll = _linear_cross_entropy(
        features_NPD, weight_VD, bias_V, target_N, None if leaves_out else real_N, smoothing, logits_losses, share_V
    )
    return TokenLoss(smoothed, nll)


def _leaves_out_padding(target_BT: Tensor) -> bool:
    """Whether only the real positions are computed. An accelerator would have to be waited for to know their number."""
    return target_BT.is_cpu


def batch_loss(model: Seq2Seq, batch: Batch) -> TokenLoss:
    """Returns the loss of a model for a batch, without label smoothing and without extra losses."""
    output = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
    return token_loss(output.features_BTD, model.decoder.output, batch.target_output_BT, batch.target_length_B, 0.0)
