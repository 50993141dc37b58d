"""Scheduled sampling (Bengio et al. 2015): the decoder sometimes reads its own words, as in search.

At update i a target word is the true one with probability ε_i, else one drawn from the model's distribution after
the words read so far. ε_i falls by a schedule, from teacher forcing (1) towards free running (0).
"""

import math
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from nmt.data.batch import Batch
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe import options as groups
from nmt.training.techniques import Technique


class ScheduledSampling(Technique):
    """The probability of a true word is a function of the update."""

    order = 30
    incompatible_with = ("task.classification",)

    class Options(groups.Options):
        schedule: Literal["constant", "linear", "exponential", "inverse_sigmoid"] = Field(
            description="probability of a true word at update i: k; k - c i; k^i; or k / (k + exp(i / k))"
        )
        k: float = Field(1.0, gt=0, description="see schedule; at most 1 but for inverse_sigmoid: larger is slower")
        c: float = Field(1e-5, ge=0, description="linear: how much the probability falls an update")
        floor: float = Field(0.0, ge=0, le=1, description="the probability falls no lower")

        @model_validator(mode="after")
        def _is_a_probability(self) -> "ScheduledSampling.Options":
            if self.schedule != "inverse_sigmoid" and self.k > 1:
                raise ValueError(f"scheduled sampling by {self.schedule!r} needs k of at most 1, not {self.k:g}")
            if self.schedule in ("constant", "exponential") and "k" not in self.model_fields_set:
                raise ValueError(f"scheduled sampling by {self.schedule!r} needs k: with 1 all words are the true ones")
            if self.schedule in ("constant", "linear") and self.floor > self.k:
                raise ValueError(f"scheduled sampling by {self.schedule!r} needs a floor of at most k ({self.k:g})")
            return self

    options: Options

    def change_batch(self, batch: Batch, model: Seq2Seq, update: int) -> Batch:
        inputs_BT = mixed_inputs(model, batch, truth_probability(self.options, update))
        return replace(batch, target_input_BT=inputs_BT)


def truth_probability(options: ScheduledSampling.Options, update: int) -> float:
    """ε_i, the probability of the true word at update i, counted from 0."""
    if options.schedule == "constant":
        return options.k
    if options.schedule == "linear":
        return max(options.floor, options.k - options.c * update)
    if options.schedule == "exponential":
        return max(options.floor, options.k**update)
    exponent = min(update / options.k, 700.0)  # a larger power of e is no number any more
    return max(options.floor, options.k / (options.k + math.exp(exponent)))


@torch.no_grad()
def mixed_inputs(model: Seq2Seq, batch: Batch, probability: float) -> Tensor:
    """Returns the decoder's inputs with some of its own words in place of the true ones. [B, T]

    The words are found step by step without gradients; training then unrolls the decoder over them as over true
    ones, whatever kind it is. As in the paper, no gradient passes through the choice of a word.

    Args:
        model: in training mode, so that it hesitates as much as its dropout makes it.
        batch: with the true inputs.
        probability: of a true word.
    """
    true_BT = batch.target_input_BT
    if probability >= 1:
        return true_BT
    is_padding_BT = true_BT == model.decoder.embedding.pad
    is_true_BT = (torch.rand(true_BT.shape, device=true_BT.device) < probability) | is_padding_BT
    start, end = int(true_BT[0, 0]), int(batch.target_output_BT[0, batch.target_length_B[0] - 1])
    never = [model.decoder.embedding.pad, start, end]
    state = model.start(batch.source_BS, batch.source_length_B)
    token_B = true_BT[:, 0]
    inputs = [token_B]
    for position in range(1, true_BT.shape[1]):
        output = model.step(token_B, state)
        state = output.state
        logits_BV = output.logits_NV.float()
        logits_BV[:, never] = float("-inf")
        own_B = torch.multinomial(logits_BV.softmax(-1), 1)[:, 0]
        token_B = torch.where(is_true_BT[:, position], true_BT[:, position], own_B)
        inputs.append(token_B)
    return torch.stack(inputs, dim=1)
