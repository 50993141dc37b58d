"""Resuming a run: from which checkpoint, and with which recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from nmt.config import Recipe
from nmt.console import say, warn
from nmt.errors import UserError
from nmt.options import OnResume, Options
from nmt.plugins import TABLES, choices_of
from nmt.recipe import load_recipe
from nmt.training.checkpointing.checkpoint import CheckpointFolder, damage


def newest_intact(folder: CheckpointFolder) -> Path | None:
    """The checkpoint to go on from; None where there is none at all.

    A damaged one is said, set aside, and passed over.

    Raises:
        UserError: all of them are damaged.
    """
    folder.tidy()
    checkpoints = folder.all()
    damaged: list[Path] = []
    for checkpoint in reversed(checkpoints):
        if not (wrong := damage(checkpoint)):
            for path in damaged:
                folder.set_aside(path)
            return checkpoint
        warn(f"{checkpoint} is damaged ({wrong}): going back to the checkpoint before it.")
        damaged.append(checkpoint)
    if checkpoints:
        raise UserError(
            f"Every checkpoint in {checkpoints[0].parent} is damaged: the run can't go on.",
            "Bring one back from a backup, or train anew in another folder (-o). Check the disk, too; "
            "model.safetensors may still be good for `nmt translate`.",
        )
    return None


def check_recipe(directory: Path, recipe: Recipe) -> Recipe:
    """Report what differs from the recipe that a run was started with, and refuse what it can't be resumed with.

    Returns:
        The recipe, with ``auto`` replaced by what the run had found.

    Raises:
        UserError: a key has changed that belongs to the saved weights.
    """
    try:
        before = load_recipe(directory / "recipe.yaml")
    except UserError as error:
        warn(f"the recipe that the run was started with can't be read, so nothing is compared: {error.message}")
        return recipe
    if recipe.training.batch_tokens == "auto":
        training = recipe.training.model_copy(update={"batch_tokens": before.training.batch_tokens})
        recipe = recipe.model_copy(update={"training": training})
    old, new = (_flat(Recipe, given.model_dump(mode="json")) for given in (before, recipe))
    changes: dict[str, list[str]] = {"refuse": [], "report": [], "silent": []}
    for key in dict.fromkeys((*new, *old)):
        (now, rule), (was, rule_before) = new.get(key, (None, "")), old.get(key, (None, ""))
        if now != was:
            changes[rule or rule_before].append(f"{key} is {now!r}, was {was!r}")
    if changes["refuse"]:
        raise UserError(
            f"{directory} holds a run that can't be resumed with this recipe: {'; '.join(changes['refuse'])}.",
            f"Give --resume the recipe of the run ({directory / 'recipe.yaml'}), or train anew in another folder (-o).",
        )
    if changes["report"]:
        say(f"resuming with other settings: {'; '.join(changes['report'])}")
    return recipe


def _flat(
    options: type[Options] | None, values: Mapping[str, Any], prefix: str = "", rule: str = "report"
) -> dict[str, tuple[Any, str]]:
    """Nested mappings as one, with keys such as ``training.max_steps``: values, and what resuming does with others."""
    flat: dict[str, tuple[Any, str]] = {}
    for key, value in values.items():
        field = options.model_fields.get(key) if options is not None else None
        marks = [mark.rule for mark in field.metadata if isinstance(mark, OnResume)] if field is not None else []
        own: str = marks[0] if marks else rule
        if isinstance(value, Mapping):
            inside = None if field is None else _options_inside(field, value)
            flat |= _flat(inside, value, f"{prefix}{key}.", own)
        else:
            flat[f"{prefix}{key}"] = value, own
    return flat


def _options_inside(field: FieldInfo, value: Mapping[str, Any]) -> type[Options] | None:
    """The class of the options in a field whose value is a mapping: of a group, or of the component that it chooses."""
    for choice in choices_of(field):
        row = TABLES[choice.kind].get(str(value.get("type")))
        return getattr(row, "Options", None)
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Options)), None)
