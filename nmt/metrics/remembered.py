"""Results of slow functions, such as neural metrics, which are computed once for each text."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from nmt.core.console import progress_bar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MAX_KEPT = 50_000
"""Results that are kept in memory; the oldest are dropped first."""


class Remembered(Generic[Key, Value]):
    """Calls a function in batches, with a progress bar, and keeps its results in memory.

    Scores with intervals, comparisons, validations and minimum Bayes risk ask for the same texts repeatedly.

    Args:
        compute: returns the result of each of at most ``batch_size`` keys. The results must not depend on the batch.
        description: of the bar.
    """

    def __init__(self, compute: Callable[[list[Key]], Iterable[Value]], description: str, batch_size: int = 64) -> None:
        self._compute, self._description, self._batch_size = compute, description, batch_size
        self._kept: dict[Key, Value] = {}

    def __call__(self, keys: Sequence[Key], shows_bar: bool = True) -> list[Value]:
        """Returns the result of each key. ``shows_bar`` is False where a bar of the caller is shown."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._kept]
        with progress_bar(self._description, len(missing), shows_bar and len(missing) > self._batch_size) as bar:
            for start in range(0, len(missing), self._batch_size):
                batch = missing[start : start + self._batch_size]
                self._kept.update(zip(batch, self._compute(batch), strict=True))
                bar.advance(len(batch))
        values = [self._kept[key] for key in keys]
        for key in list(self._kept)[: max(0, len(self._kept) - MAX_KEPT)]:
            del self._kept[key]
        return values
