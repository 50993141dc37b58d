"""Interventions in a model while it translates: other attention weights, or a layer that is left out.

Hooks of PyTorch replace the weights after the softmax, so a model without interventions computes nothing more.

B sentences of a batch, N rows of a decoder, H heads of an attention, Q queries, S source positions, D width.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nmt.data.batch import Ids, make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.attention import MultiHeadAttention
from nmt.models.contracts import Attention, Decoder, Model, PerSource, State, StepOutput
from nmt.models.layers import Layers
from nmt.models.seq2seq import Seq2Seq

Kind = Literal["off", "uniform", "word", "head", "links", "skip"]
Side = Literal["encoder", "decoder"]


@dataclass(frozen=True)
class Intervention:
    """A change of the attention to the source, or a layer that is left out.

    ``off`` sets the weights of attention to 0, ``uniform`` makes them equal, ``word`` gives all weight to the source
    position ``to``, ``head`` the weights of the head ``to``, to heads of the same layer, and ``links`` equal weights to
    the linked positions. ``skip`` leaves out the layer ``to`` of ``side``: its output is its input.
    """

    kind: Kind
    to: int = 0
    heads: tuple[int, ...] | None = None
    """Indices into the decoder's ``heads``; None for all."""
    step: int | None = None
    """Position of the target token whose prediction is changed, from 0; None for all."""
    links: tuple[tuple[int, ...], ...] = ()
    """Source positions linked with each target position; without any, the weights stay."""
    side: Side = "decoder"


def shared_copy(model: Seq2Seq) -> Seq2Seq:
    """Returns a copy of a model that shares its weights; hooks on the copy don't concern other users of the model."""
    return deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})


def replaceable_attention(decoder: Decoder) -> list[nn.Module]:
    """Returns the modules, in the order of the decoder's heads, whose attention weights can be replaced.

    There are none in a model without attention, and where a context is not the mean of the source's values under one
    softmax, as in hierarchical attention and in a neural Turing machine.
    """
    multihead = [
        module
        for name, module in decoder.named_modules()
        if isinstance(module, MultiHeadAttention) and not name.endswith("self_attention")
    ]
    if multihead and sum(module.num_heads for module in multihead) == len(decoder.heads):
        return list(multihead)
    single = getattr(decoder, "attention", None)
    is_plain = isinstance(single, Attention) and type(single).forward is Attention.forward
    return [single] if is_plain and len(decoder.heads) == 1 else []  # type: ignore[list-item]


def attended(module: nn.Module, arguments: tuple[Any, ...], weights: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the output of an attention under other weights.

    Args:
        module: one of :func:`replaceable_attention`.
        arguments: query and keys with values, or query and memory.
        weights: [B, H, Q, S] of multi-head attention, otherwise [B, Q, S].
    """
    if isinstance(module, MultiHeadAttention):
        heads_BHQd = torch.matmul(weights, arguments[1][1])
        return module.out(heads_BHQd.transpose(1, 2).flatten(2)), weights
    values_BSD = arguments[1].values_BSD
    return torch.bmm(weights.to(values_BSD.dtype), values_BSD), weights


def skippable_layers(model: Seq2Seq) -> list[tuple[Side, int, nn.Module]]:
    """Returns the layers that can be left out, because their input and output have the same form: those of a
    Transformer and of a decoder of SSRUs."""
    sides: list[tuple[Side, nn.Module]] = [("encoder", model.encoder), ("decoder", model.decoder)]
    stacks = [(side, getattr(module, "layers", None)) for side, module in sides]
    return [(side, n, layer) for side, stack in stacks if isinstance(stack, Layers) for n, layer in enumerate(stack)]


@contextmanager
def intervened(model: Seq2Seq, interventions: Sequence[Intervention]) -> Iterator["IntervenedModel"]:
    """Returns a model under interventions, which hold until the end of the block.

    Args:
        model: not used by others at the same time: see :func:`shared_copy`.
        interventions: one for each sentence of a batch. All sentences of the batch are as long as each other.
    """
    changed, first = IntervenedModel(model, interventions), 0
    with ExitStack() as stack:
        for module in replaceable_attention(model.decoder):
            if isinstance(module, MultiHeadAttention):
                hook = module.register_forward_pre_hook(
                    lambda _, arguments, named: (arguments[:3], named | {"need_weights": True}), with_kwargs=True
                )
                stack.enter_context(hook)
            stack.enter_context(module.register_forward_hook(partial(changed.replace_weights, first)))
            first += getattr(module, "num_heads", 1)
        for side, index, layer in skippable_layers(model):
            stack.enter_context(layer.register_forward_hook(partial(changed.skip_layer, side, index)))
        yield changed


@dataclass(frozen=True)
class _Rows(PerSource):
    """The intervention (index) of each sentence."""

    index_B: Tensor


@dataclass(frozen=True)
class _IntervenedState(State):
    state: State
    rows: _Rows
    position: int


class IntervenedModel:
    """A :class:`nmt.models.contracts.Model` under interventions, for search; made by :func:`intervened`."""

    def __init__(self, model: Seq2Seq, interventions: Sequence[Intervention]) -> None:
        self._model, self._interventions = model, tuple(interventions)
        self.device, self.alignment_heads = model.device, model.alignment_heads
        self._rows: list[Intervention] = []
        """Intervention of each sentence that is being computed."""
        self._position = -1

    def start(self, source_BS: Tensor, source_length_B: Tensor) -> State:
        self._rows, self._position = list(self._interventions), -1
        rows = _Rows(torch.arange(len(source_BS), device=source_BS.device))
        return _IntervenedState(self._model.start(source_BS, source_length_B), rows, 0)

    def step(self, token_N: Tensor, state: Any, need_weights: bool = False, rows: Tensor | None = None) -> StepOutput:
        self._rows = [self._interventions[index] for index in state.rows.index_B.tolist()]
        self._position = state.position
        output = self._model.step(token_N, state.state, need_weights, rows)
        after = _IntervenedState(output.state, state.rows, state.position + 1)
        return StepOutput(output.logits_NV, output.weights_NHS, after)

    def _active(self) -> list[tuple[int, Intervention]]:
        """Returns the interventions of this step, each with its sentence (index into B)."""
        return [(b, each) for b, each in enumerate(self._rows) if each.step in (None, self._position)]

    def replace_weights(
        self, first: int, module: nn.Module, arguments: tuple[Any, ...], output: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor] | None:
        """Hook of an attention, whose first head has the index ``first``: returns its output with replaced weights;
        None where they stay. Arguments are those of :func:`attended`."""
        is_multihead = isinstance(module, MultiHeadAttention)
        weights_BHQS = output[1] if is_multihead else output[1][:, None]
        own, changed_BHQS = range(first, first + weights_BHQS.shape[1]), None
        for b, each in self._active():
            heads = [head - first for head in own if each.heads is None or head in each.heads]
            given = _replacement(each, weights_BHQS[b], each.to - first, self._position)
            if heads and given is not None:
                changed_BHQS = weights_BHQS.clone() if changed_BHQS is None else changed_BHQS
                changed_BHQS[b, heads] = given.to(changed_BHQS.dtype)
        if changed_BHQS is None:
            return None
        return attended(module, arguments, changed_BHQS if is_multihead else changed_BHQS[:, 0])

    def skip_layer(self, side: Side, index: int, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:
        """Hook of a layer: returns its output with its input in the sentences whose intervention leaves it out."""
        active = self._active() if side == "decoder" else enumerate(self._rows)
        skipped = [b for b, each in active if (each.kind, each.side, each.to) == ("skip", side, index)]
        if not skipped:
            return None
        y = output if isinstance(output, Tensor) else output[0]
        shape = (len(self._rows), -1, *y.shape[1:])  # rows of a sentence stand side by side
        changed = y.reshape(shape).clone()
        changed[skipped] = arguments[0].reshape(shape)[skipped].to(y.dtype)
        return changed.view_as(y) if isinstance(output, Tensor) else (changed.view_as(y), *output[1:])


def _replacement(change: Intervention, weights_HQS: Tensor, head: int, position: int) -> Tensor | None:
    """Returns the weights [..., S] that an intervention sets in a sentence; None where it leaves them.

    ``head`` is the one to copy (index into H), which may be in another layer; ``position`` is that of the target token.
    """
    weights_S = weights_HQS.new_zeros(weights_HQS.shape[2])
    linked: Sequence[int] = range(len(weights_S))
    match change.kind:
        case "skip":
            return None
        case "head":
            return weights_HQS[head] if 0 <= head < len(weights_HQS) else None
        case "off":
            return weights_S
        case "word":
            linked = [change.to]
        case "links":
            linked = change.links[position] if 0 <= position < len(change.links) else ()
    if not linked:
        return None
    weights_S[list(linked)] = 1 / len(linked)
    return weights_S


@torch.inference_mode()
def force_stepwise(
    model: Model, pairs: Sequence[tuple[Ids, Ids]], vocabularies: Vocabularies, count: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Forced decoding, token by token as in search.

    Args:
        model: if it is under interventions, one for each pair.
        pairs: ids of sources and targets, without EOS.
        count: tokens of the highest probabilities at each step that are returned.

    Returns:
        The log-probability of each token, EOS counted [B, T], 0 in the padding; and for each step the most probable
        tokens and their log-probabilities [B, T, count].
    """
    batch, steps = make_batch(pairs, vocabularies).to(model.device), []
    state: Any = model.start(batch.source_BS, batch.source_length_B)
    for t in range(batch.target_input_BT.shape[1]):
        output = model.step(batch.target_input_BT[:, t], state)
        state, log_p_BV = output.state, output.logits_NV.float().log_softmax(-1)
        log_p_B1, best = log_p_BV.gather(1, batch.target_output_BT[:, t, None]), log_p_BV.topk(count)
        steps.append((log_p_B1[:, 0].masked_fill(t >= batch.target_length_B, 0.0), best.indices, best.values))
    log_p_BT, top_BTN, top_log_p_BTN = (torch.stack(parts, dim=1).cpu() for parts in zip(*steps, strict=True))
    return log_p_BT, top_BTN, top_log_p_BTN
