"""A sample of several texts for the vocabulary."""

import random
from collections.abc import Iterator, Sequence

from nmt.data.sources import ParallelText


class Sample:
    """Samples sentence pairs of several texts by their weights; the same ones in each iteration.

    Their number is about that of all texts together, at most ``limit``. A text with fewer pairs than its share is
    repeated; tags are left out.
    """

    def __init__(
        self, texts: Sequence[ParallelText], weights: Sequence[float], limit: int | None = None, seed: int = 1
    ) -> None:
        self._texts = [text.untagged for text in texts]
        sizes = [sum(1 for _ in text) for text in self._texts]
        total = min(sum(sizes), limit or sum(sizes))
        self._copies = [
            total * (weight / sum(weights)) / max(size, 1) for weight, size in zip(weights, sizes, strict=True)
        ]
        self._seed = seed

    def __iter__(self) -> Iterator[tuple[str, str]]:
        rng = random.Random(self._seed)
        for text, copies in zip(self._texts, self._copies, strict=True):
            for pair in text:
                for _ in range(int(copies) + (rng.random() < copies % 1)):
                    yield pair
