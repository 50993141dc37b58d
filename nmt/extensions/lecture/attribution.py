"""Attribution: how much each source token contributes to the prediction of each target token.

The prediction is log p(y_t | x, y_<t) in forced decoding. T and S in the names of tensors count EOS of target and
source.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.alignment.link_options import AttributionMethod
from nmt.core.errors import UserError
from nmt.data.batch import Ids, make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.forced import force_all
from nmt.extensions.lecture.gradients import source_gradient
from nmt.extensions.lecture.interventions import attended, replaceable_attention, shared_copy
from nmt.models.seq2seq import Seq2Seq

NUM_NODES = 32
"""Nodes of the Gauss-Legendre quadrature of integrated gradients."""
BATCH_SIZE = 64
"""Sentences at a time where source tokens are left out."""


def attribute(
    model: Seq2Seq, vocabularies: Vocabularies, source: Ids, target: Ids, method: AttributionMethod
) -> Tensor:
    """Attributions of the target tokens of a sentence pair to its source tokens. [T, S]

    - ``input_x_gradient``: x_s · ∂ log p(y_t) / ∂x_s, where x_s is the embedding of a source token.
    - ``integrated_gradients``: x_s · ∫ ∂ log p(y_t; αx) / ∂(αx_s) dα from 0 to 1 (Sundararajan et al. 2017, equation
      1, with embeddings of zeros as the baseline). Those of a target token sum to the difference of its log p with x
      and with the baseline.
    - ``value_zeroing``: the cosine distance between the input of the output layer and what it is if the value vector of
      a source position is zero in the attention of this one step, in all heads and layers, and the weights stay
      (Mohebbi et al. 2023, who zero and measure in each layer of an encoder). At least 0.
    - ``leave_one_out``: log p(y_t | x) - log p(y_t | x without x_s) (Li et al. 2016, erasure); 0 for EOS, which stays.

    Args:
        model: in eval mode.
        source, target: ids of a sentence and of its translation, without EOS.

    Raises:
        UserError: the model has no embeddings of its source tokens, or, for value zeroing, no attention that is a mean
            of values under one softmax.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NUM_NODES)  # from -1 to 1
    quadrature = list(zip(((nodes + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))
    methods: dict[AttributionMethod, Callable[[Seq2Seq, Vocabularies, Ids, Ids], Tensor]] = {
        "input_x_gradient": partial(_integrated_gradients, nodes=[(1.0, 1.0)]),
        "integrated_gradients": partial(_integrated_gradients, nodes=quadrature),
        "value_zeroing": _value_zeroing,
        "leave_one_out": _leave_one_out,
    }
    return methods[method](model, vocabularies, source, target)


def attribution_shares(
    model: Seq2Seq, vocabularies: Vocabularies, source: Ids, target: Ids, method: AttributionMethod
) -> Tensor:
    """The positive attributions of :func:`attribute` as shares that sum to 1 for each target token, like the weights of
    attention. Negative attributions become 0; a token without positive attributions has a row of zeros."""
    positive_TS = attribute(model, vocabularies, source, target, method).clamp(min=0)
    return positive_TS / positive_TS.sum(1, keepdim=True).clamp(min=torch.finfo(positive_TS.dtype).tiny)


def _integrated_gradients(
    model: Seq2Seq, vocabularies: Vocabularies, source: Ids, target: Ids, nodes: list[tuple[float, float]]
) -> Tensor:
    """x times the weighted mean of the gradients at αx, for nodes (α, weight)."""
    model = shared_copy(model)
    with torch.inference_mode(False):  # tensors made under it can't be differentiated
        found = [weight * _input_x_gradient(model, vocabularies, source, target, scale) for scale, weight in nodes]
    return torch.stack(found).sum(0)


def _input_x_gradient(model: Seq2Seq, vocabularies: Vocabularies, source: Ids, target: Ids, scale: float) -> Tensor:
    """The embedding of each source token times the gradient where all embeddings are scaled. [T, S]"""
    # A row for each target token, whose gradient it gives.
    batch = make_batch([(source, target)] * (len(target) + 1), vocabularies).to(model.device)

    def log_p() -> Tensor:
        features_TTD = model(batch.source_BS, batch.source_length_B, batch.target_input_BT).features_BTD
        log_p_TV: Tensor = model.decoder.output(features_TTD.diagonal().T).float().log_softmax(-1)
        return log_p_TV.gather(1, batch.target_output_BT[0][:, None]).sum()

    embedded_TSD, gradient_TSD = source_gradient(model, batch, log_p, scale)
    return (embedded_TSD * gradient_TSD).sum(2).float().cpu()


@torch.inference_mode()
def _value_zeroing(model: Seq2Seq, vocabularies: Vocabularies, source: Ids, target: Ids) -> Tensor:
    model = shared_copy(model)
    attentions = replaceable_attention(model.decoder)
    if not attentions:
        raise UserError(
            "The model has no attention whose values could be zeroed.", "Choose integrated_gradients or leave_one_out."
        )
    batch = make_batch([(source, target)], vocabularies).to(model.device)
    decoder, state, found = model.decoder, model.start(batch.source_BS, batch.source_length_B), []
    copies = torch.zeros_like(batch.source_BS[0])  # a hypothesis for each source position
    for token_11 in batch.target_input_BT.T[:, :, None]:
        plain, after = decoder.advance(token_11, state)
        hooks = [module.register_forward_hook(_without_own_position) for module in attentions]
        zeroed, _ = decoder.advance(token_11.expand(len(copies), 1), state.reorder(copies), need_weights=True)
        for hook in hooks:
            hook.remove()
        found.append(1 - F.cosine_similarity(zeroed.features_BTD[:, 0].float(), plain.features_BTD[0].float()))
        state = after
    return torch.stack(found).clamp(min=0).cpu()


def _without_own_position(module: nn.Module, arguments: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> Any:
    """Hook of an attention, for as many hypotheses as there are source positions: the value of position s is zero for
    hypothesis s, which is the same as a weight of zero that the other weights don't make up for."""
    weights = output[1].clone()
    weights.diagonal(dim1=-2, dim2=-1).zero_()
    return attended(module, arguments, weights)


def _leave_one_out(model: Seq2Seq, vocabularies: Vocabularies, source: Ids, target: Ids) -> Tensor:
    source = list(source)
    sources = [source, *(source[:s] + source[s + 1 :] for s in range(len(source)))]
    with torch.inference_mode():
        whole, *others = force_all(model, [(ids, target) for ids in sources], vocabularies, BATCH_SIZE)
        lost = [whole.log_probability_T - other.log_probability_T for other in others]
        return torch.stack([*lost, torch.zeros_like(whole.log_probability_T)], dim=1).cpu()
