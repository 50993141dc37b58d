"""Extensions that were deleted: tests of the toolkit leave out what needs them."""

from importlib.metadata import entry_points

from nmt.recipe.registry import is_deleted


def deleted_extensions() -> set[str]:
    entries = [entry for group in entry_points().groups for entry in entry_points(group=group)]
    return {entry.module.split(".")[2] for entry in entries if is_deleted(entry)}
