"""Going on with a run: from which checkpoint, and with which recipe."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmt.config import Recipe
from nmt.console import say, warn
from nmt.errors import UserError
from nmt.recipe import load_recipe
from nmt.training.checkpointing.checkpoint import CheckpointFolder, damage

_FIXED = re.compile(
    r"model\.(?!init$|.*dropout|.*layer_drop|.*time_penalty)|vocabulary\.|data\.(source|target|context)$|training\.metric$"
    r"|format_version$"
)
"""Keys that a run can't change: the saved weights, vocabulary and best figure belong to their values."""

_SILENT = re.compile(r"description$|training\.max_|device$")
"""Keys whose change needs no word: they are what a resumed run is usually given."""


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
    """Say what differs from the recipe that a run was started with, and refuse what it can't go on with.

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
    old, new = _flat(before.model_dump(mode="json")), _flat(recipe.model_dump(mode="json"))
    changes = [
        f"{key} is {new.get(key)!r}, was {old.get(key)!r}"
        for key in dict.fromkeys((*new, *old))
        if new.get(key) != old.get(key)
    ]
    refused = [change for change in changes if _FIXED.match(change.split(" is ")[0])]
    if refused:
        raise UserError(
            f"{directory} holds a run that can't go on with this recipe: {'; '.join(refused)}.",
            f"Give --resume the recipe of the run ({directory / 'recipe.yaml'}), or train anew in another folder (-o).",
        )
    said = [change for change in changes if not _SILENT.match(change)]
    if said:
        say(f"going on with other settings: {'; '.join(said)}")
    return recipe


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with keys such as ``training.max_steps``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
