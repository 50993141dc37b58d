"""Norms of the gradient that reaches each source word; where it vanishes, a network can't learn long dependencies.

For E = -log p(target | source) and the embedding x_t of a source word, ‖∂E/∂x_t‖ is averaged over sentences by the
number of words that the encoder reads after it (Bengio et al. 1994; Pascanu et al. 2013).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.core.errors import UserError
from nmt.data.batching import lengths, make_batch
from nmt.training.loss import token_loss
from nmt.translation.translator import Translator

BATCH_SIZE = 32
MIN_SENTENCES = 10
"""A mean of fewer sentences isn't shown."""


@dataclass(frozen=True)
class GradientNorms:
    """Mean gradient norm by distance from the last source word read, 0 for that word itself."""

    name: str
    mean_T: npt.NDArray[np.float64]

    @property
    def decay(self) -> float:
        """The mean norm at the farthest distance shown, as a share of that at the nearest."""
        return float(self.mean_T[-1] / self.mean_T[0])


def gradient_norms(translator: Translator, pairs: Iterable[tuple[str, str]], name: str) -> GradientNorms:
    """Measure a model on sentence pairs; empty and over-long ones are passed over. ``name``: for tables and pictures.

    Raises:
        UserError: there are too few usable pairs.
    """
    translator.task.require("gradients")
    limit = translator.max_pieces
    encoded = ((translator.encode_source(source), translator.encode_target(target)) for source, target in pairs)
    usable = ((source, target) for source, target in encoded if source and target and len(source) < limit)
    sums, counts = np.zeros(limit), np.zeros(limit, dtype=np.int64)
    while batch := list(islice(usable, BATCH_SIZE)):
        norm_BS = _norms(translator, batch)
        for norms, length in zip(norm_BS, lengths([source for source, _ in batch]).tolist(), strict=True):
            reversed_order = getattr(translator.model.encoder, "reverse", False)
            read = norms[:length] if reversed_order else norms[:length][::-1]  # the word read last comes first
            sums[:length] += read
            counts[:length] += 1
    shown = int((counts >= MIN_SENTENCES).sum())
    if not shown:
        raise UserError(f"{int(counts[0])} sentence pairs are too few for means.", f"Give {MIN_SENTENCES} or more.")
    return GradientNorms(name, sums[:shown] / counts[:shown])


def _norms(translator: Translator, pairs: Sequence[tuple[list[int], list[int]]]) -> npt.NDArray[np.float64]:
    """‖∂E/∂x‖ of every source position of a batch. [B, S]"""
    model = translator.model
    batch = make_batch(pairs, translator.vocabularies).to(model.device)
    caught: list[Tensor] = []

    def catch(module: object, inputs: object, output: Tensor) -> Tensor:
        caught.append(output.detach().requires_grad_())
        return caught[-1]

    handle = model.encoder.embedding.register_forward_hook(catch)
    try:
        with torch.enable_grad():
            unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
            loss = token_loss(
                unrolled.features_BTD, model.decoder.output, batch.target_output_BT, batch.target_length_B, 0.0
            )
            gradients = torch.autograd.grad(loss.smoothed, caught)
    finally:
        handle.remove()
    norms: npt.NDArray[np.float64] = sum(gradients).norm(dim=2).double().cpu().numpy()  # type: ignore[union-attr]
    return norms
