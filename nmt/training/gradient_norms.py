"""Norms of the gradient that reaches each source word; where it vanishes, a network can't learn long dependencies.

For E = -log p(target | source) and the embedding x_t of a source word, ‖∂E/∂x_t‖ is averaged over sentences by the
number of words that the encoder reads after it (Bengio et al. 1994; Pascanu et al. 2013).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.data.batching import Ids, lengths, make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.seq2seq import Seq2Seq
from nmt.training.loss import token_loss

BATCH_SIZE = 32
MIN_SENTENCES = 10
"""A mean of fewer sentences isn't shown."""

Pairs = Sequence[tuple[Ids, Ids]]


def norms_by_distance(model: Seq2Seq, pairs: Pairs, vocabularies: Vocabularies) -> npt.NDArray[np.float64]:
    """Mean gradient norm by distance from the last source word read, as far as there are enough sentences. [S]

    Args:
        model: in eval mode.
        pairs: ids of source and target, without SOS and EOS.
        vocabularies: for the special ids.
    """
    longest = max((len(source) for source, _ in pairs), default=0) + 1
    sums, counts = np.zeros(longest), np.zeros(longest, dtype=np.int64)
    for start in range(0, len(pairs), BATCH_SIZE):
        batch = pairs[start : start + BATCH_SIZE]
        norm_BS = _norms(model, batch, vocabularies)
        for norms, length in zip(norm_BS, lengths([source for source, _ in batch]).tolist(), strict=True):
            reversed_order = getattr(model.encoder, "reverse", False)
            read = norms[:length] if reversed_order else norms[:length][::-1]  # the word read last comes first
            sums[:length] += read
            counts[:length] += 1
    shown = int((counts >= MIN_SENTENCES).sum())
    return sums[:shown] / counts[:shown]


def _norms(model: Seq2Seq, pairs: Pairs, vocabularies: Vocabularies) -> npt.NDArray[np.float64]:
    """‖∂E/∂x‖ of every source position of a batch. [B, S]"""
    batch = make_batch(pairs, vocabularies).to(model.device)
    caught: list[Tensor] = []

    def catch(module: object, inputs: object, output: Tensor) -> Tensor:
        caught.append(output.detach().requires_grad_())
        return caught[-1]

    handle = model.encoder.embedding.register_forward_hook(catch)
    try:
        # The recurrent kernels of cuDNN have a backward pass in training mode only, which would add dropout.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
            loss = token_loss(
                unrolled.features_BTD, model.decoder.output, batch.target_output_BT, batch.target_length_B, 0.0
            )
            gradients = torch.autograd.grad(loss.smoothed, caught)
    finally:
        handle.remove()
    norms: npt.NDArray[np.float64] = sum(gradients).norm(dim=2).double().cpu().numpy()  # type: ignore[union-attr]
    return norms
