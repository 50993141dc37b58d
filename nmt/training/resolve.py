"""The only place that decides whether a recipe is valid, and completes it."""

from collections.abc import Iterator, Mapping
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

from nmt.core.errors import Problems, UserError
from nmt.data.vocabulary.files import VOCABULARIES
from nmt.decoding.search import check_components
from nmt.metrics.table import LOSS, check_metrics
from nmt.models.build import DECODERS, ENCODERS
from nmt.recipe.load import read_recipe
from nmt.recipe.options import as_mapping, validate
from nmt.recipe.registry import Table, provided, required_plugins
from nmt.recipe.schema import DEFAULT_OPTIMIZER, DEFAULT_SCHEDULE, Recipe
from nmt.tasks import choose_task
from nmt.tasks.base import Task
from nmt.training.data import CORPORA, MODIFIERS
from nmt.training.optimization import OPTIMIZER, OPTIMIZERS, SCHEDULE, SCHEDULES
from nmt.training.techniques import KEY as TECHNIQUE
from nmt.training.techniques import TECHNIQUES
from nmt.training.validation import OBSERVER, OBSERVERS

COMPONENTS: Mapping[str, tuple[Table[Any], Mapping[str, str]]] = {
    "model.encoder": (ENCODERS, {}),
    "model.decoder": (DECODERS, {}),
    SCHEDULE: (SCHEDULES, {"type": DEFAULT_SCHEDULE}),
    OPTIMIZER: (OPTIMIZERS, {"type": DEFAULT_OPTIMIZER}),
}
"""Keys of a recipe that choose one component, with its table and what is added where the choice lacks it."""


def resolve(recipe: str | Path | Recipe, overrides: Mapping[str, Any] = {}) -> Recipe:
    """Reads a recipe, applies overrides, checks everything and writes out all defaults.

    Args:
        recipe: a path, the name of a shipped recipe, or a recipe.
        overrides: dotted keys and their values, such as ``{"training.max_epochs": 3}``.

    Returns:
        The recipe with every option of every component, as a model directory contains it.

    Raises:
        UserError: the recipe is not valid; the message lists all errors. Conditions between keys and components are
            checked once each of them is valid by itself.
    """
    where, values = read_recipe(recipe, overrides)
    problems = Problems()
    valid: Recipe | None = None
    with problems:
        valid = validate(Recipe, values, where)
    components = _components(values if valid is None else valid.model_dump(), problems)
    complete = None if valid is None else _complete(valid, components, problems)
    problems.raise_if_any(where)
    assert complete is not None
    return complete


def _components(values: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Returns the valid components of a recipe, which may have invalid keys elsewhere, written out, by key."""
    written: dict[str, Any] = {}
    for where, (table, default) in COMPONENTS.items():
        choice = _value_at(values, where)
        if isinstance(choice, str | Mapping):
            with problems:
                written[where] = table.written_out({**default, **as_mapping(choice)}, where)
    tables: dict[str, Table[Any]] = {TECHNIQUE: TECHNIQUES, OBSERVER: OBSERVERS}
    for where, table in tables.items():
        written[where] = {}
        for name, options in given.items() if isinstance(given := _value_at(values, where), Mapping) else ():
            with problems:  # a value in place of options is a problem of the recipe
                if isinstance(options, Mapping):
                    written[where] |= table.written_out_many({str(name): options}, where)
    return written


def _value_at(values: Mapping[str, Any], key: str) -> Any:
    group, _, last = key.partition(".")
    return inner.get(last) if isinstance(inner := values.get(group), Mapping) else None


def _complete(recipe: Recipe, components: Mapping[str, Any], problems: Problems) -> Recipe | None:
    """Completes a recipe whose keys are valid one by one; returns None if a component is not."""
    task: type[Task] | None = None
    with problems:
        task = choose_task(recipe)
    training = recipe.training
    if task is not None and "metric" not in training.model_fields_set:
        training = training.model_copy(update={"metric": task.default_metric})
    with problems:
        check_metrics([training.metric], also=[LOSS])
    if task is not None:
        for feature in chain.from_iterable(o.choice.component.requires for o in components[OBSERVER].values()):
            with problems:
                task(recipe).require(feature)
    check_components(recipe.decoding, problems)
    with problems:
        VOCABULARIES.find(recipe.vocabulary.type, "vocabulary.type")
    modifies = any(corpus.modifiers for corpus in recipe.data.corpora)
    needs = {CORPORA: recipe.data.corpora or recipe.data.stages, MODIFIERS: modifies}
    for extension in filter(needs.get, needs):
        with problems:
            provided(*extension).check(recipe.data)
    schedule = components.get(SCHEDULE)
    has_end = training.max_steps or training.max_epochs or training.max_minutes
    if schedule and schedule.choice.component.needs_end and not has_end:
        remedy = "Set training.max_minutes, training.max_steps or training.max_epochs."
        problems.add(UserError(f"{SCHEDULE} {schedule['type']!r} must know its end.", remedy))
    if schedule and schedule.get("min_learning_rate", 0) > training.learning_rate:
        remedy = "Lower it, or raise training.learning_rate."
        problems.add(UserError(f"{SCHEDULE}.min_learning_rate is above training.learning_rate.", remedy))
    if task is None or problems:  # conditions between components have no meaning yet
        return None
    groups: dict[str, Any] = {"model": recipe.model, "training": training}
    for key, written in components.items():
        group, _, last = key.partition(".")
        groups[group] = groups[group].model_copy(update={last: written})
    recipe = recipe.model_copy(update=groups)
    # Components that trained a model aren't needed to load it.
    plugins = required_plugins(recipe.model_dump(mode="json", include={"task", "vocabulary", "model", "decoding"}))
    recipe = recipe.model_copy(update={"plugins": plugins})
    for error in (*task.check(recipe), *_conflicts(recipe, task.name)):
        problems.add(error)
    return recipe


def _conflicts(recipe: Recipe, task: str) -> Iterator[UserError]:
    """Yields an error for each technique that doesn't go with another one, with the task or with a key."""
    techniques = TECHNIQUES.choose_many(recipe.training.techniques, TECHNIQUE)
    has_new_pieces = any(corpus.new_pieces for corpus in recipe.data.corpora)
    if recipe.training.lora and (recipe.training.new_vocabulary or has_new_pieces) and not recipe.training.lora.full:
        yield UserError(
            "training.lora trains no embeddings, but training.new_vocabulary and new_pieces make new ones.",
            "Set training.lora.full to [embedding, output].",
        )
    for key in ("lora", "new_vocabulary"):
        if getattr(recipe.training, key) and not recipe.training.finetune_from:
            remedy = "Name a trained model as training.finetune_from, or leave it out."
            yield UserError(f"training.{key} is for a model that is fine-tuned.", remedy)
    if has_new_pieces and recipe.training.new_vocabulary:
        yield UserError(
            "data.corpora: new_pieces adds to the trained vocabulary, but training.new_vocabulary makes another one.",
            "Leave one of them out.",
        )
    for name, (technique, options) in techniques.items():
        yield from technique.check(options, recipe)
        others = [other for other in technique.incompatible_with if "." not in other and other in techniques]
        for other, (another, _) in techniques.items() if technique.has("backward") else ():
            hooks = "backward", "extra_losses", "logits_loss"  # of the forward pass, which another backward leaves out
            if other != name and (another.num_passes > 1 or any(map(another.has, hooks))):
                others.append(other)
        conflicts = [f"{TECHNIQUE}.{other}" for other in others]
        keys = [key for key in technique.incompatible_with if "." in key]
        conflicts += [f"the task {task}" for key in keys if key == f"task.{task}"]
        conflicts += [key for key in keys if not key.startswith("task.") and attrgetter(key)(recipe)]
        if conflicts:
            yield UserError(f"{TECHNIQUE}.{name} doesn't go with {conflicts[0]}.", "Leave out one of them.")
