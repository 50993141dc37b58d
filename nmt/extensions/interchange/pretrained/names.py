"""Names of the tensors of Hugging Face's encoder-decoder Transformers, and those of the same weights in nmt.

Marian, Pegasus, M2M100, NLLB and mBART share these names. Import and export read the same table.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ATTENTIONS = {"attention": "self_attn", "self_attention": "self_attn", "cross_attention": "encoder_attn"}
READS, WRITES = 1, 0
"""The dimension of a weight that has the model's width: of its input or of its output."""
IN_LAYERS: dict[str, tuple[tuple[str, ...], int]] = {
    "around_attention.norm": (("self_attn_layer_norm",), WRITES),
    "around_self.norm": (("self_attn_layer_norm",), WRITES),
    "around_cross.norm": (("encoder_attn_layer_norm",), WRITES),
    "around_feed_forward.norm": (("final_layer_norm",), WRITES),
    "feed_forward.inner": (("fc1",), READS),
    "feed_forward.out": (("fc2",), WRITES),
    **{f"{ours}.query": ((f"{theirs}.q_proj",), READS) for ours, theirs in ATTENTIONS.items()},
    **{f"{ours}.key_value": ((f"{theirs}.k_proj", f"{theirs}.v_proj"), READS) for ours, theirs in ATTENTIONS.items()},
    **{f"{ours}.out": ((f"{theirs}.out_proj",), WRITES) for ours, theirs in ATTENTIONS.items()},
}
"""Modules of a layer: in nmt, there, and the dimension of the width. key_value is two matrices, one above the other."""
OUTSIDE = {"norm": "layer_norm", "embedding_norm": "layernorm_embedding"}
SHARED, OUTPUT, BIAS = "model.shared.weight", "lm_head.weight", "final_logits_bias"
OFFSET = 2
"""Rows of mBART's learned positions before the first position."""
_NAME = re.compile(r"(encoder|decoder)\.(?:layers\.(\d+)\.)?(.+)\.(weight|bias)")


@dataclass(frozen=True)
class Counterpart:
    """The tensors of Hugging Face for a parameter of nmt."""

    names: tuple[str, ...]
    """The parameter is their concatenation in the first dimension."""
    width_dim: int | None = None
    """The dimension that has the model's width, in which positions are interleaved or not; None for a bias inside."""
    other_names: tuple[str, ...] = ()
    """Names of the same tensor in files that have stored it under another one of those that share it."""
    is_bias: bool = False
    """Whether the tensor is the bias of the output layer, which is optional and [1, V]."""
    offset: int = 0
    """Unused rows at the beginning of the tensor."""

    def read(self, parts: Sequence[Tensor]) -> Tensor:
        """Returns the parameter, given its tensors."""
        tensor = torch.cat([part.float() for part in parts]) if len(parts) > 1 else parts[0].float()
        return tensor[0] if self.is_bias and tensor.dim() == 2 else tensor[self.offset :]

    def write(self, parameter: Tensor, order_D: Tensor | None) -> dict[str, Tensor]:
        """Returns the tensors of a parameter, with the dimensions of the residual stream in another order, if any."""
        tensor = parameter.detach().float().cpu()
        if order_D is not None and self.width_dim is not None:
            tensor = tensor.index_select(self.width_dim, order_D)
        if self.is_bias:
            tensor = tensor[None]
        if self.offset:
            tensor = torch.cat((tensor.new_zeros(self.offset, tensor.shape[1]), tensor))
        parts = tensor.chunk(len(self.names))
        return {name: part.contiguous() for name, part in zip(self.names, parts, strict=True)}


def counterpart(name: str, tie: str) -> Counterpart:
    """Returns the tensors of Hugging Face for a parameter.

    Args:
        name: of the parameter of a model of Transformer encoder and decoder.
        tie: ``model.tie`` of the recipe.

    Raises:
        KeyError: the parameter has no counterpart.
    """
    sides = ["encoder", "decoder"] if tie == "all" else [name.partition(".")[0]]
    if name.endswith("embedding.table.weight"):
        shared = tuple(f"model.{side}.embed_tokens.weight" for side in sides)
        outputs = (OUTPUT,) if tie == "all" or (tie == "target" and sides == ["decoder"]) else ()
        main, *others = (SHARED, *shared, *outputs) if tie == "all" else (*shared, *outputs, SHARED)
        return Counterpart((main,), READS, tuple(others))
    if name == "decoder.output.weight_VD":
        return Counterpart((OUTPUT,), READS)
    if name == "decoder.output.bias_V":
        return Counterpart((BIAS,), is_bias=True)
    match = _NAME.fullmatch(name)
    if match is None:
        raise KeyError(name)
    side, layer, module, kind = match.groups()
    if module == "positions.learned":
        return Counterpart((f"model.{side}.embed_positions.weight",), READS, offset=OFFSET)
    if layer is None:
        return Counterpart((f"model.{side}.{OUTSIDE[module]}.{kind}",), WRITES)
    theirs, dim = IN_LAYERS[module]
    width_dim = dim if kind == "weight" else (WRITES if dim == WRITES else None)
    return Counterpart(tuple(f"model.{side}.layers.{layer}.{each}.{kind}" for each in theirs), width_dim)


def is_redundant(name: str) -> bool:
    """Returns whether a stored tensor that no parameter needs may be left out: codes of positions and tied weights."""
    codes = re.fullmatch(r"model\.(encoder|decoder)\.embed_positions\.weights?", name)
    return bool(codes) or name in (SHARED, OUTPUT, BIAS) or name.endswith("embed_tokens.weight")


def order_of_halves(width: int) -> Tensor:
    """Returns the order of dimensions that makes interleaved sinusoids those with the sines before the cosines. [D]

    A permutation of the residual stream changes nothing else.
    """
    return torch.cat((torch.arange(0, width, 2), torch.arange(1, width, 2)))
