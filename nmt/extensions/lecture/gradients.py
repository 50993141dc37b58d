"""Gradient norms at the source words of a model, by distance.

B sentences of a batch, S source positions, EOS counted.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nmt.core.errors import UserError
from nmt.core.text import in_windows
from nmt.data.batch import Batch, Ids, lengths, make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.seq2seq import Seq2Seq
from nmt.training.loss import batch_loss
from nmt.translation.translator import Translator

BATCH_SIZE = 32
MIN_SENTENCES = 10
"""A mean of the gradients of fewer sentences isn't shown."""

Pairs = Sequence[tuple[Ids, Ids]]


@dataclass(frozen=True)
class GradientNorms:
    """Mean gradient norm by distance from the last source token read, 0 for that token itself."""

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
    encoded = ((translator.encode_source(source), translator.encode_target(target)) for source, target in pairs)
    usable = [pair for pair in encoded if all(pair) and len(pair[0]) < translator.max_pieces]
    mean_T = norms_by_distance(translator.model, usable, translator.vocabularies)
    if not len(mean_T):
        raise UserError(f"{len(usable)} sentence pairs are too few for means.", f"Give {MIN_SENTENCES} or more.")
    return GradientNorms(name, mean_T)


def norms_by_distance(model: Seq2Seq, pairs: Pairs, vocabularies: Vocabularies) -> npt.NDArray[np.float64]:
    """Mean gradient norm by distance from the last source token read, as far as there are enough sentences. [S]

    For E = -log p(target | source) and the embedding x_t of a source token, ‖∂E/∂x_t‖ is averaged over sentences by the
    number of tokens that the encoder reads after it (Bengio et al. 1994; Pascanu et al. 2013). Where it vanishes, a
    network can't learn long dependencies.

    Args:
        model: in eval mode.
        pairs: ids of source and target, without SOS and EOS.
        vocabularies: for the special ids.
    """
    longest = max((len(source) for source, _ in pairs), default=0) + 1
    sums, counts = np.zeros(longest), np.zeros(longest, dtype=np.int64)
    for batch in in_windows(pairs, BATCH_SIZE):
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
    _, gradient_BSD = source_gradient(model, batch, lambda: batch_loss(model, batch).smoothed)
    norms: npt.NDArray[np.float64] = gradient_BSD.norm(dim=2).cpu().double().numpy()
    return norms


def source_gradient(
    model: Seq2Seq, batch: Batch, loss: Callable[[], Tensor], scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Returns the embeddings of the source tokens, and the gradient of a loss by them where all are scaled. [B, S, D]

    Raises:
        UserError: the model has no embeddings of its source tokens.
    """
    found: list[tuple[Tensor, Tensor]] = []

    def scaled(module: nn.Module, arguments: Any, embedded_BSD: Tensor) -> Tensor:
        embedded_BSD = embedded_BSD.detach()
        found.append((embedded_BSD, (scale * embedded_BSD).requires_grad_()))
        return found[-1][1]

    embedding = getattr(model.encoder, "embedding", None)
    hook = embedding.register_forward_hook(scaled) if isinstance(embedding, nn.Module) else nullcontext()
    # The recurrent kernels of cuDNN have a backward pass in training mode only, which would add dropout.
    with hook, torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        value = loss()
        if len(found) != 1 or found[0][0].shape[:2] != batch.source_BS.shape:
            raise UserError(
                "The model does not embed the tokens of its source one by one.",
                "Choose a model of sentences; of attributions, leave_one_out.",
            )
        [(embedded_BSD, leaf_BSD)] = found
        [gradient_BSD] = torch.autograd.grad(value, [leaf_BSD])
    return embedded_BSD, gradient_BSD
