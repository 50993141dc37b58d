"""Dynamic int8: weights as bytes, activations rounded to bytes as they come. For translation on a CPU.

PyTorch's own ``torch.ao.quantization`` is deprecated and to be removed, so the one layer that is needed stands here, on
PyTorch's integer matrix product. Recurrent kernels and cells, embeddings and layer norms stay in float32.
"""

import torch
from torch import Tensor, nn

from nmt.errors import UserError
from nmt.models.interfaces import OutputLayer

_LARGEST = 127.0


class Int8Linear(nn.Module):
    """y = s_x s_w (x_q W_q)ᵀ + b with symmetric scales: s_w one for each output, s_x one for each row of the input.

    A scale for each row rather than for the whole input keeps a sentence's result independent of its batch-mates.

    Args:
        weight_OD: O outputs, D inputs.
        bias_O: stays in float32.
    """

    def __init__(self, weight_OD: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight_OD.shape
        weight_OD, scale_O1 = _to_int8(weight_OD.detach().float())
        self.register_buffer("weight_DO", weight_OD.t().contiguous())
        self.register_buffer("scale_O", scale_O1.squeeze(1))
        self.register_buffer("bias_O", None if bias_O is None else bias_O.detach().float())
        self.weight_DO: Tensor
        self.scale_O: Tensor
        self.bias_O: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        x_ND, scale_N1 = _to_int8(x.reshape(-1, self.in_features).float())
        y_NO = torch._int_mm(x_ND, self.weight_DO).float() * scale_N1 * self.scale_O
        if self.bias_O is not None:
            y_NO = y_NO + self.bias_O
        return y_NO.view(*x.shape[:-1], self.out_features).to(x.dtype)


def _to_int8(x_ND: Tensor) -> tuple[Tensor, Tensor]:
    """Bytes and the scale [N, 1] of each row."""
    scale_N1 = x_ND.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / _LARGEST
    return (x_ND / scale_N1).round().to(torch.int8), scale_N1


def quantize_int8(model: nn.Module) -> None:
    """Replace the linear layers of a model, its output layer among them, by int8 ones.

    Raises:
        UserError: the model is not on a CPU.
    """
    device = next(model.parameters()).device
    if device.type != "cpu":
        raise UserError(f"int8 is computed on a CPU; the model is on {device}.", "Give --device cpu, or bf16 there.")
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child.out_features > 1:  # a lone vector is no matrix product
                setattr(parent, name, Int8Linear(child.weight, child.bias))
            elif isinstance(child, OutputLayer):
                setattr(parent, name, Int8Linear(child.weight_VD, child.bias_V))
