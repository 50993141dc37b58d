"""Several models that translate as one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.models.contracts import Model, State, StepOutput


@dataclass(frozen=True)
class EnsembleState(State):
    """States of all models."""

    states: tuple[State, ...]


class Ensemble:
    """The mean of the probabilities of models with the same vocabularies at each step: log p = log (1/M) Σ_m p_m."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = tuple(models)
        self.device = models[0].device
        # Of a model's attention only the heads that align are given on, and a model without any is passed over.
        self.alignment_heads = tuple(range(sum(len(model.alignment_heads) for model in models)))

    def start(self, source_BS: Tensor, source_length_B: Tensor) -> EnsembleState:
        return EnsembleState(tuple(model.start(source_BS, source_length_B) for model in self._models))

    def step(
        self, token_N: Tensor, state: EnsembleState, need_weights: bool = False, rows: Tensor | None = None
    ) -> StepOutput:
        outputs = [
            model.step(token_N, own, need_weights, rows) for model, own in zip(self._models, state.states, strict=True)
        ]
        log_p_MNV = torch.stack([output.logits_NV.float().log_softmax(-1) for output in outputs])
        weights = [
            output.weights_NHS[:, list(model.alignment_heads)]
            for model, output in zip(self._models, outputs, strict=True)
            if output.weights_NHS is not None
        ]
        return StepOutput(
            log_p_MNV.logsumexp(0) - math.log(len(outputs)),
            torch.cat(weights, dim=1) if weights else None,
            EnsembleState(tuple(output.state for output in outputs)),
        )
