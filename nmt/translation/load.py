"""From model directories to a translator, of one model or an ensemble."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nmt.core.device import manage_memory, pick_device, pick_precision
from nmt.core.errors import UserError
from nmt.models.build import read_model
from nmt.models.contracts import Model, State, StepOutput
from nmt.recipe.registry import Table
from nmt.tasks import task_of
from nmt.translation.translator import Translator


def load(
    model_dir: str | Path,
    device: str = "auto",
    precision: str = "fp32",
    ensemble: Sequence[str | Path] = (),
) -> Translator:
    """Read a model directory.

    Args:
        model_dir: a folder that ``nmt train`` wrote.
        device: auto, cpu, cuda, …
        precision: fp32, bf16, fp16, or auto for the fastest one of the hardware.
        ensemble: model directories with the same vocabularies, whose probabilities are averaged in by search; scores
            and alignments of given translations are those of ``model_dir``.

    Raises:
        UserError: it isn't a model directory, is incomplete, damaged, or from a newer nmt; an unknown option; an
            ensemble whose tasks or vocabularies differ.
    """
    where = pick_device(device)
    manage_memory()
    computed_in = pick_precision(precision, where)
    recipe, vocabularies, model = read_model(model_dir, where)
    models = [model]
    for other in [ensemble] if isinstance(ensemble, str | Path) else ensemble:
        its, own, another = read_model(other, where)
        if (name := task_of(its).name) != (wanted := task_of(recipe).name):
            raise UserError(f"The task of {other} is {name}, and that of {model_dir} is {wanted}.", "Leave it out.")
        is_reverse = (its.data.target, its.data.source) == (recipe.data.source, recipe.data.target)
        if is_reverse and not vocabularies.source.tags:
            raise UserError(f"{other} translates in the other direction.", "Name models of one direction.")
        if own.fingerprint != vocabularies.fingerprint:
            raise UserError(
                f"{other} has another vocabulary than {model_dir}.",
                f"Train it with --set vocabulary.path={model_dir}, so that the two can translate together.",
            )
        models.append(another)
    translator = Translator(model, vocabularies, recipe, computed_in, Path(model_dir))
    return translator.replaced(searcher=translator.search_with(Ensemble(models))) if ensemble else translator


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


class Engine:
    """A library for the search of a model."""

    def load(
        self, model_dir: str | Path, device: str = "auto", precision: str = "fp32", ensemble: Sequence[str | Path] = ()
    ) -> Translator:
        """Reads a model directory; see :func:`load`.

        Raises:
            UserError: also if the library is not installed, or doesn't support the model or an option.
        """
        if precision == "int8":
            raise UserError("PyTorch doesn't translate in int8.", "Give --engine ctranslate2, too.")
        return load(model_dir, device, precision, ensemble)


ENGINES: Table[Engine] = Table("engine", Engine, {"torch": Engine})
"""Libraries for the search. An extension derives a class and attaches it as a component of the kind ``engine``."""
