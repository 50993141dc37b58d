"""Extensions that were deleted: tests of the toolkit leave out what needs them."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution

import pytest

from nmt.core.errors import UserError
from nmt.recipe.registry import is_deleted


@contextmanager
def skipped_without_its_extension() -> Iterator[None]:
    """While open, an error of a user skips the test if an extension was deleted."""
    try:
        yield
    except UserError as error:
        if not any(map(is_deleted, distribution("nmt").entry_points)):
            raise
        pytest.skip(error.message)
