"""Lines that look wrong, the worst of them first."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from nmt.data.check.findings import NUM_EXAMPLES, Example, pair_text, shorten


@dataclass(frozen=True)
class Suspects:
    """The worst lines (from 1) and how many there are in all."""

    lines: tuple[int, ...] = ()
    count: int = 0

    @classmethod
    def worst(cls, indices: npt.NDArray[np.int64], badness: npt.NDArray[np.floating]) -> Self:
        """Of lines by their index, those where ``badness``, given for all lines, is greatest."""
        order = indices[np.argsort(-badness[indices], kind="stable")][:NUM_EXAMPLES]
        return cls(tuple(int(index) + 1 for index in order), len(indices))

    def examples(self, texts: dict[int, tuple[str, str]]) -> tuple[Example, ...]:
        """With their text: both sides, or the first alone where the second is empty."""
        shown = []
        for line in self.lines:
            source, target = texts.get(line, ("", ""))
            shown.append(Example(line, pair_text(source, target) if target else shorten(source)))
        return tuple(shown)
