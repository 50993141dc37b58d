"""A penalty that keeps gradients alive through the steps of a plain recurrent network (Pascanu et al. 2013).

    Ω = Σ_k ( ‖v_{k+1} ∂h_{k+1}/∂h_k‖ / ‖v_{k+1}‖ - 1 )²,   v_k = ∂E/∂h_k

It asks of the recurrent weights that going a step back neither shrinks nor stretches the error's gradient. As in the
paper, Ω's own gradient is the immediate one: it reaches the recurrent weights alone, while states and v are taken as
they are. For a tanh or ReLU layer ∂h_{k+1}/∂h_k = diag(φ'_{k+1}) W.

B sentences, T positions, D width of a state.
"""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from nmt.core.errors import UserError
from nmt.data.batch import Batch
from nmt.models.contracts import DecoderOutput
from nmt.models.layers import length_mask
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe import options as groups
from nmt.training.techniques import Technique

TINY = 1e-12
"""Minimum norm of a gradient for its step to be counted."""


class GradientFlow(Technique):
    """The penalty for the plain recurrent layers that PyTorch's kernels compute.

    A decoder that reads its attention or its own output at each step is computed by steps, and has none.
    """

    order = 40

    class Options(groups.Options):
        weight: float = Field(gt=0, description="of the penalty beside the loss of a token")

    options: Options

    def setup_model(self, model: Seq2Seq) -> None:
        self._recorded = record_layers(model)

    def change_batch(self, batch: Batch, model: Seq2Seq, update: int) -> Batch:
        self._recorded.clear()  # what a batch has left that didn't fit in memory
        return batch

    def extra_losses(self, batch: Batch, output: DecoderOutput, total: Tensor) -> dict[str, Tensor]:
        penalty = gradient_flow_penalty(total, self._recorded)
        self._recorded.clear()
        # A mean over sentences and steps, where all else is a sum over tokens.
        return {"gradient_flow": self.options.weight * (batch.num_target_tokens * penalty)}


Output = Tensor | PackedSequence
"""Padded [B, T, D], or packed."""
Recorded = tuple[nn.RNN, Output, Tensor]
"""A plain recurrent layer, its output for a batch, and the last state of each of W directions [W, B, D]."""


def record_layers(model: nn.Module) -> list[Recorded]:
    """Returns a list to which the plain recurrent layers of a model append their outputs in training.

    Raises:
        UserError: the model has none.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.RNN) and module.weight_hh_l0.requires_grad]
    if not layers:
        raise UserError(
            "training.techniques.gradient_flow is for plain recurrent networks, and this model trains none.",
            "Use cell: rnn_tanh or rnn_relu in an encoder without truncation, or leave gradient_flow out.",
        )
    recorded: list[Recorded] = []

    def record(layer: nn.Module, inputs: object, outputs: tuple[Output, Tensor]) -> None:
        assert isinstance(layer, nn.RNN)
        if layer.training and torch.is_grad_enabled():
            recorded.append((layer, *outputs))

    for layer in layers:
        layer.register_forward_hook(record)
    return recorded


def _padded(values: Tensor, output: Output) -> tuple[Tensor, Tensor]:
    """Returns values in the form of an output as [B, T, D], and the lengths of the sentences."""
    if isinstance(output, Tensor):
        return values.float(), torch.full((len(values),), values.shape[1], device=values.device)
    values_BTD, length_B = pad_packed_sequence(output._replace(data=values.float()), batch_first=True)
    return values_BTD, length_B.to(values.device)


def gradient_flow_penalty(loss: Tensor, recorded: list[Recorded]) -> Tensor:
    """Ω, the mean over sentences and steps, of all recorded layers and directions.

    Args:
        loss: E; its graph is kept.
        recorded: from :func:`record_layers`, while ``loss`` was computed.

    Raises:
        UserError: the loss doesn't depend on a layer, whose penalty would be 0.
    """
    data = [output if isinstance(output, Tensor) else output.data for _, output, _ in recorded]
    tensors = [*data, *(last_WBD for _, _, last_WBD in recorded)]
    # What each state gives to the loss directly, by the layer's output or as its last state; the recursion adds what
    # goes through later states.
    gradients: Sequence[Tensor | None] = torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True)
    penalty = loss.new_zeros(())
    halves = gradients[: len(data)], gradients[len(data) :]
    for (layer, output, last_WBD), states, direct, of_last_WBD in zip(recorded, data, *halves, strict=True):
        if direct is None and of_last_WBD is None:
            raise UserError(
                "training.techniques.gradient_flow: the loss doesn't depend on one of the plain recurrent layers.",
                "Choose a decoder that reads the encoder's annotations or its last state, or leave gradient_flow out.",
            )
        hidden_BTD, length_B = _padded(states.detach(), output)
        direct_BTD, _ = _padded(torch.zeros_like(states) if direct is None else direct, output)
        ways = zip(hidden_BTD.chunk(len(last_WBD), 2), direct_BTD.chunk(len(last_WBD), 2), strict=True)
        for way, (hidden, own) in enumerate(ways):
            mask = length_mask(length_B, hidden.shape[1])
            if of_last_WBD is not None:
                own = own.clone()
                end_B = torch.zeros_like(length_B) if way else length_B - 1
                own[torch.arange(len(own), device=own.device), end_B] += of_last_WBD[way].float()
            if way:
                hidden, own, mask = hidden.flip(1), own.flip(1), mask.flip(1)
            weight_DD = layer.all_weights[way][1].float()  # that of the computation on a GPU
            penalty = penalty + _penalty(hidden, own, mask, weight_DD, layer.nonlinearity)
    return penalty


def _penalty(hidden_BTD: Tensor, direct_BTD: Tensor, mask_BT: Tensor, weight_DD: Tensor, nonlinearity: str) -> Tensor:
    """Ω of one layer in one direction, in the order of reading. ``mask_BT``: True where there is a word."""
    slope_BTD = 1 - hidden_BTD**2 if nonlinearity == "tanh" else (hidden_BTD > 0).float()
    total_BD = direct_BTD[:, -1]
    ratios, counts = weight_DD.new_zeros(()), 0
    for k in range(hidden_BTD.shape[1] - 2, -1, -1):
        before_BD = slope_BTD[:, k + 1] * total_BD
        back_BD = before_BD @ weight_DD
        length = total_BD.norm(dim=1)
        counted_B = mask_BT[:, k] & mask_BT[:, k + 1] & (length > TINY)  # both states are those of words
        ratio_B = back_BD.norm(dim=1) / length.clamp(min=TINY)
        ratios = ratios + ((ratio_B - 1) ** 2)[counted_B].sum()
        counts += int(counted_B.sum())
        total_BD = direct_BTD[:, k] + back_BD.detach()
    return ratios / max(counts, 1)
