"""The weights of a run: their first values, which of them are trained, and their average."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from nmt.core.console import say
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.build import build
from nmt.models.contracts import table_ids
from nmt.models.seq2seq import Seq2Seq
from nmt.models.weights import read_weights, weights_of
from nmt.recipe.load import load_recipe
from nmt.recipe.registry import provided
from nmt.recipe.schema import Recipe, VectorOptions

NAMED = 4
"""Maximum number of new parts that a message names."""


def make_model(recipe: Recipe, vocabularies: Vocabularies, is_new: bool) -> Seq2Seq:
    """Builds the model of a recipe with the weights of ``training.finetune_from`` that fit, and freezes its parts.

    Nothing is read unless ``is_new``: otherwise the weights will come from a checkpoint.
    """
    training = recipe.training
    model = build(recipe.model, vocabularies, 1 if training.lora else 4)  # weights, gradient and two moments
    if training.finetune_from is not None and is_new:
        say(copy_weights(training.finetune_from, model, vocabularies))
    if recipe.model.vectors.source or recipe.model.vectors.target:
        trained = VectorOptions() if is_new else recipe.model.vectors
        if training.finetune_from is not None and is_new:  # a model that began with them has trained them
            trained = load_recipe(ModelDirectory(training.finetune_from).recipe).model.vectors
        provided("word vectors", "The key model.vectors")(model, recipe.model, vocabularies, trained)
    if training.freeze:
        freeze(model, training.freeze)
    return model


def copy_weights(directory: Path, model: Seq2Seq, vocabularies: Vocabularies, spells_new: bool = True) -> str:
    """Copies each weight of a trained model with the same name and shape; returns a message that names the others.

    Where the recipes differ, as in an encoder that reads further turns of a dialogue, the rest stays as it is. With
    another vocabulary, embeddings and the output layer are carried over piece by piece.

    Args:
        spells_new: whether a piece that the trained model lacks begins as the mean of those that spell it; False: it
            stays as it is.

    Raises:
        UserError: its weights are missing, damaged or not finite, or no matrix is in common.
    """
    trained = read_weights(ModelDirectory(directory).weights)
    before = Vocabularies.load(directory)
    if before.fingerprint != vocabularies.fingerprint:
        carry_over = provided("weights by piece", "Fine-tuning with another vocabulary")
        carry_over(trained, model, vocabularies, before, spells_new)
    named = dict(model.named_parameters())
    taken = {name: each for name, each in named.items() if name in trained and trained[name].shape == each.shape}
    with torch.no_grad():
        for name, parameter in taken.items():
            parameter.copy_(trained[name])
    if not any(parameter.dim() > 1 for parameter in taken.values()):  # biases of the output layer fit any model
        raise UserError(
            f"training.finetune_from: {directory} has no weight matrix in common with this recipe's model.",
            "Name a model of the same kind and sizes (see its recipe.yaml), or leave training.finetune_from out.",
        )
    share = sum(parameter.numel() for parameter in taken.values() if parameter.requires_grad) / model.num_parameters
    parts = list(dict.fromkeys(name.rpartition(".")[0] for name in named if name not in taken))
    further = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
    rest = f"; new: {', '.join(parts[:NAMED])}{further}" if parts else ""
    return f"starting from {directory}: {share:.0%} of the weights{rest}"


class Factors(Protocol):
    """Parameters that are trained in place of weight matrices, as in LoRA; the model contains their products."""

    factors: Mapping[str, Tensor]
    """The trained factors, by name."""
    trained: Mapping[str, nn.Parameter]
    """Parameters of the optimizer: the factors, and weights that are trained as they are."""

    def merge(self) -> None:
        """Updates the weights of the model after the factors have changed."""

    def load(self, factors: Mapping[str, Tensor]) -> None:
        """Restores the factors of a checkpoint, whose weights contain their products."""


def layer_matrices(model: nn.Module) -> dict[str, nn.Parameter]:
    """Returns the weight matrices of a model by name, without tables of vectors and the output layer."""
    tables = table_ids(model)
    return {name: weight for name, weight in model.named_parameters() if weight.dim() == 2 and id(weight) not in tables}


def select(model: nn.Module, parts: list[str], key: str) -> set[str]:
    """Returns the names of the parameters in some parts of a model.

    A part is a sequence of components of the name, with wildcards: ``encoder``, ``layers.0``, ``decoder.*.norm``. A
    weight that several parts share is in each of them.

    Raises:
        UserError: the model doesn't have one of the parts.
    """
    first = {id(parameter): name for name, parameter in model.named_parameters()}
    selected: set[str] = set()
    for part in parts:
        matching = {
            first[id(parameter)]
            for name, parameter in model.named_parameters(remove_duplicate=False)
            if fnmatchcase(f".{name}.", f"*.{part}.*")
        }
        if not matching:
            names = dict.fromkeys(name.rpartition(".")[0] for name in first.values())
            raise UserError(f"{key}: the model has no part {part!r}.", f"Its parts are {', '.join(names)}.")
        selected |= matching
    return selected


def freeze(model: nn.Module, parts: list[str]) -> None:
    """Freezes the weights of some parts of a model (:func:`select`).

    Raises:
        UserError: the model doesn't have one of the parts, or nothing would be trained.
    """
    named = dict(model.named_parameters())
    for name in select(model, parts, "training.freeze"):
        named[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in named.values()):
        raise UserError("training.freeze leaves no weight to train.", "Leave one of its parts out.")


class MovingAverage:
    """Exponential moving average of a model's weights, with a shorter memory in the first updates.

    Args:
        model: averaged from now on.
        decay: d in average <- d average + (1 - d) weights; at update s at most (1 + s) / (10 + s).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self.weights = {name: weight.clone() for name, weight in weights_of(model).items()}

    def update(self, step: int) -> None:
        """Updates the average with the weights after update ``step``."""
        decay = min(self._decay, (1 + step) / (10 + step))
        weights = weights_of(self._model)
        torch._foreach_lerp_(list(self.weights.values()), [weights[name] for name in self.weights], 1 - decay)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Restores a saved average; weights without one are those of the model."""
        present = weights_of(self._model)
        for name, value in self.weights.items():
            value.copy_(weights.get(name, present[name]))

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Gives the model the averaged weights inside this context."""
        weights = weights_of(self._model)
        own = {name: value.clone() for name, value in weights.items()}
        try:
            torch._foreach_copy_(list(weights.values()), [self.weights[name] for name in weights])
            yield
        finally:
            torch._foreach_copy_(list(weights.values()), [own[name] for name in weights])
