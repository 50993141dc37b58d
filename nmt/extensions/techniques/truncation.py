"""Truncated backpropagation through time (Williams & Peng 1990) over long targets.

The target is read in segments. The loss of a segment is backpropagated through that segment alone, and the decoder
continues from a state that is detached from the graph, so memory is that of one segment. The encoder and the attention
keys, which don't depend on the step, learn from all segments.
"""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from nmt.data.batch import Batch
from nmt.models.contracts import map_tensors
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe import options as groups
from nmt.training.techniques import SegmentLoss, Technique


class Truncation(Technique):
    """A backward pass for each segment of the target."""

    order = 50

    class Options(groups.Options):
        length: int = Field(ge=1, description="maximum number of target words that gradients go back through")

    options: Options

    def backward(self, model: Seq2Seq, batch: Batch, loss: SegmentLoss, scale: Callable[[Tensor], Tensor]) -> None:
        encoded = model.encode(batch.source_BS, batch.source_length_B)
        start = model.decoder.start(encoded)
        # The segments' gradients meet in leaves that stand for the start; from there they go through the encoder once.
        leaves: dict[int, tuple[Tensor, Tensor]] = {}

        def as_leaf(tensor: Tensor) -> Tensor:
            leaf = tensor.detach().requires_grad_(tensor.requires_grad)
            leaves[id(leaf)] = tensor, leaf
            return leaf

        state = map_tensors(start, as_leaf)
        length = self.options.length
        for first in range(0, batch.target_input_BT.shape[1], length):
            part = slice(first, first + length)
            read, state = model.decoder.advance(batch.target_input_BT[:, part], state)
            length_B = (batch.target_length_B - first).clamp(0, read.features_BTD.shape[1])
            if int(length_B.max()) == 0:
                break
            extra = [scale(value) for value in read.aux_losses.values()]
            torch.autograd.backward([loss(read.features_BTD, batch.target_output_BT[:, part], length_B), *extra])
            state = map_tensors(state, lambda t: t if id(t) in leaves else t.detach())
        reached = [(tensor, leaf.grad) for tensor, leaf in leaves.values() if leaf.grad is not None]
        extra = [scale(value) for value in encoded.aux_losses.values()]
        torch.autograd.backward([*(t for t, _ in reached), *extra], [*(g for _, g in reached), *(None for _ in extra)])
