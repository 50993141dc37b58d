"""Extensions that were deleted: tests of the toolkit leave out what needs them."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points

import pytest

from nmt.core.errors import UserError
from nmt.recipe.registry import is_deleted


@contextmanager
def skipped_without_its_extension() -> Iterator[None]:
    """While open, an error of a user skips the test if an extension was deleted."""
    try:
        yield
    except UserError as error:
        entries = [entry for group in entry_points().groups for entry in entry_points(group=group)]
        if not any(map(is_deleted, entries)):
            raise
        pytest.skip(error.message)
