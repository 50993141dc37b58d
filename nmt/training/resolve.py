"""From a recipe to a :class:`ResolvedRecipe`: the only place that decides whether a recipe is valid."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nmt.core.errors import Problems, UserError
from nmt.data.augment import check_modifiers
from nmt.data.vocabulary.files import VOCABULARIES
from nmt.decoding.search import check_components
from nmt.metrics.table import LOSS, check_metrics
from nmt.models.build import DECODERS, ENCODERS
from nmt.recipe.load import read_recipe
from nmt.recipe.options import as_mapping, validate
from nmt.recipe.registry import Choice, Table, required_plugins
from nmt.recipe.schema import DEFAULT_OPTIMIZER, DEFAULT_SCHEDULE, Recipe
from nmt.tasks import choose_task
from nmt.tasks.base import Task
from nmt.training.optimization import OPTIMIZER, OPTIMIZERS, SCHEDULE, SCHEDULES, Optimizer, Schedule
from nmt.training.techniques import KEY as TECHNIQUE
from nmt.training.techniques import TECHNIQUES
from nmt.training.techniques.base import IN_FORWARD, Technique

COMPONENTS: Mapping[str, tuple[Table[Any], Mapping[str, str]]] = {
    "model.encoder": (ENCODERS, {}),
    "model.decoder": (DECODERS, {}),
    SCHEDULE: (SCHEDULES, {"type": DEFAULT_SCHEDULE}),
    OPTIMIZER: (OPTIMIZERS, {"type": DEFAULT_OPTIMIZER}),
}
"""Keys of a recipe that choose one component, with its table and what is added where the choice lacks it."""


@dataclass(frozen=True)
class ResolvedRecipe:
    """A valid recipe, with the components that it chooses and their typed options."""

    recipe: Recipe
    """With every option of every component written out; what a model directory contains."""
    task: Task
    schedule: Choice[Schedule]
    optimizer: Choice[Optimizer]
    techniques: Mapping[str, Choice[Technique]]
    """By name, in the order of the table, in which their hooks are called."""

    def make_techniques(self) -> dict[str, Technique]:
        """Returns new objects of the training techniques, which may hold the state of a run."""
        return {name: choice.component(choice.options, self.recipe) for name, choice in self.techniques.items()}

    def make_optimizer(self, parameters: Mapping[str, nn.Parameter], matrices: Container[str]) -> torch.optim.Optimizer:
        """Returns the optimizer of those parameters that are trained.

        Args:
            matrices: names of the weight matrices of layers.
        """
        trained = {name: each for name, each in parameters.items() if each.requires_grad}
        others = [each for name, each in trained.items() if name not in matrices]
        chosen = [each for name, each in trained.items() if name in matrices]
        optimizer = self.optimizer.component(self.optimizer.options)
        return optimizer.make(others, chosen, self.recipe.training.learning_rate)

    def make_schedule(self, total_steps: int | None) -> Schedule:
        """Returns the schedule of a run of ``total_steps`` updates."""
        return self.schedule.component(self.schedule.options, self.recipe.training.learning_rate, total_steps)

    def with_batch_tokens(self, batch_tokens: Any) -> "ResolvedRecipe":
        """Returns the recipe with another value of ``training.batch_tokens``."""
        training = self.recipe.training.model_copy(update={"batch_tokens": batch_tokens})
        return replace(self, recipe=self.recipe.model_copy(update={"training": training}))


def resolve(recipe: str | Path | Recipe, overrides: Mapping[str, Any] = {}) -> ResolvedRecipe:
    """Resolves a recipe: reads it, applies overrides, checks everything and writes out all defaults.

    Args:
        recipe: a path, the name of a shipped recipe, or a recipe.
        overrides: dotted keys and their values, such as ``{"training.max_epochs": 3}``.

    Raises:
        UserError: the recipe is not valid; the message lists all errors. Conditions between keys and components are
            checked once each of them is valid by itself.
    """
    where, values = read_recipe(recipe, overrides)
    problems = Problems()
    valid: Recipe | None = None
    with problems:
        valid = validate(Recipe, values, where)
    written, techniques = _components(values if valid is None else valid.model_dump(), problems)
    resolved = None if valid is None else _resolved(valid, written, techniques, problems)
    problems.raise_if_any(where)
    assert resolved is not None
    return resolved


def _components(
    values: Mapping[str, Any], problems: Problems
) -> tuple[dict[str, dict[str, Any]], dict[str, Choice[Technique]]]:
    """Checks the components of a recipe, which may have invalid keys elsewhere.

    Returns:
        The valid ones by key, with their options written out, and the techniques in the order of their table.
    """
    written: dict[str, dict[str, Any]] = {}
    for where, (table, default) in COMPONENTS.items():
        choice = _value_at(values, where)
        if isinstance(choice, str | Mapping):
            with problems:
                written[where] = table.written_out({**default, **as_mapping(choice)}, where)
    techniques: dict[str, Choice[Technique]] = {}
    for name, options in given.items() if isinstance(given := _value_at(values, TECHNIQUE), Mapping) else ():
        with problems:
            techniques |= TECHNIQUES.choose_many({str(name): options}, TECHNIQUE)
    return written, {name: techniques[name] for name in TECHNIQUES if name in techniques}


def _value_at(values: Mapping[str, Any], key: str) -> Any:
    group, _, last = key.partition(".")
    return inner.get(last) if isinstance(inner := values.get(group), Mapping) else None


def _resolved(
    recipe: Recipe,
    written: Mapping[str, dict[str, Any]],
    techniques: Mapping[str, Choice[Technique]],
    problems: Problems,
) -> ResolvedRecipe | None:
    """Resolves a recipe whose keys are valid one by one; returns None if a component is not."""
    task: type[Task] | None = None
    with problems:
        task = choose_task(recipe)
    training = recipe.training
    if task is not None and "metric" not in training.model_fields_set:
        training = training.model_copy(update={"metric": task.default_metric})
    with problems:
        check_metrics([training.metric], also=[LOSS])
    if task is not None and training.film is not None:
        for feature in ("translation", "search"):
            with problems:
                task(recipe).require(feature)
    check_components(recipe.decoding, problems)
    with problems:
        VOCABULARIES.find(recipe.vocabulary.type, "vocabulary.type")
    with problems:
        check_modifiers(recipe.data)
    schedule = written.get(SCHEDULE)
    if schedule and SCHEDULES[schedule["type"]].needs_end and not (training.max_steps or training.max_epochs):
        problems.add(
            UserError(
                f"{SCHEDULE} {schedule['type']!r} must know its end.", "Set training.max_steps or training.max_epochs."
            )
        )
    if task is None or problems:  # conditions between components have no meaning yet
        return None
    assert schedule is not None
    written_out = {name: choice.options.model_dump(mode="json") for name, choice in techniques.items()}
    optimizer, parts = written[OPTIMIZER], {part: written[f"model.{part}"] for part in ("encoder", "decoder")}
    training = training.model_copy(update={"schedule": schedule, "optimizer": optimizer, "techniques": written_out})
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update=parts), "training": training})
    # Components that trained a model aren't needed to load it.
    plugins = required_plugins(recipe.model_dump(mode="json", include={"task", "vocabulary", "model", "decoding"}))
    recipe = recipe.model_copy(update={"plugins": plugins})
    for error in (*task.check(recipe), *_conflicts(recipe, techniques, task.name)):
        problems.add(error)
    choices = SCHEDULES.choose(schedule, SCHEDULE), OPTIMIZERS.choose(optimizer, OPTIMIZER)
    return ResolvedRecipe(recipe, task(recipe), *choices, techniques)


def _conflicts(recipe: Recipe, techniques: Mapping[str, Choice[Technique]], task: str) -> Iterator[UserError]:
    """Yields an error for each technique that doesn't go with another one, with the task or with a key."""
    has_new_pieces = any(corpus.new_pieces for corpus in recipe.data.corpora)
    if recipe.training.lora and (recipe.training.new_vocabulary or has_new_pieces) and not recipe.training.lora.full:
        yield UserError(
            "training.lora trains no embeddings, but training.new_vocabulary and new_pieces make new ones.",
            "Set training.lora.full to [embedding, output].",
        )
    if has_new_pieces and recipe.training.new_vocabulary:
        yield UserError(
            "data.corpora: new_pieces adds to the trained vocabulary, but training.new_vocabulary makes another one.",
            "Leave one of them out.",
        )
    for name, (technique, options) in techniques.items():
        yield from technique.check(options, recipe)
        others = [other for other in technique.incompatible_with if "." not in other and other in techniques]
        if technique.has("backward"):
            others += [other for other, (another, _) in techniques.items() if other != name and _in_forward(another)]
        found = [f"{TECHNIQUE}.{other}" for other in others]
        keys = [key for key in technique.incompatible_with if "." in key]
        found += [f"the task {task}" for key in keys if key == f"task.{task}"]
        found += [key for key in keys if not key.startswith("task.") and attrgetter(key)(recipe)]
        if found:
            yield UserError(f"{TECHNIQUE}.{name} doesn't go with {found[0]}.", "Leave out one of them.")


def _in_forward(technique: type[Technique]) -> bool:
    """Returns whether a technique takes part in the forward pass, which another backward pass leaves out."""
    return technique.num_passes > 1 or any(map(technique.has, IN_FORWARD))
