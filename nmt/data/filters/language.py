"""A character trigram model, which identifies languages by the corpus itself (Cavnar & Trenkle 1994).

Each side of a corpus has a model. A line to which the other side's model gives a higher probability is in the wrong
language; one whose probability is far lower than that of the rest is in a third language, or is noise.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

NUM_SLOTS = 1 << 20
"""Number of counts, which are indexed by hashes so that memory doesn't grow with the text."""

SMOOTHING = 0.02
"""Added to the count of each of NUM_OUTCOMES characters that can follow a context."""
NUM_OUTCOMES = 64

Floats = npt.NDArray[np.float64]


class CharacterModel:
    """Estimates p(c | the two characters before c) by smoothed counts."""

    def __init__(self) -> None:
        self._trigrams = np.zeros(NUM_SLOTS, np.int64)
        self._bigrams = np.zeros(NUM_SLOTS, np.int64)

    def add(self, lines: Sequence[str]) -> None:
        """Count the trigrams of the lines."""
        trigrams, bigrams, _ = _hashes(lines)
        self._trigrams += np.bincount(trigrams, minlength=NUM_SLOTS)
        self._bigrams += np.bincount(bigrams, minlength=NUM_SLOTS)

    def log_probabilities(self, lines: Sequence[str], counted: bool) -> Floats:
        """Mean log probability of a character, in nats, for each line.

        Args:
            lines: any text.
            counted: whether the lines were added before; each is then left out of the counts.
        """
        trigrams, bigrams, starts = _hashes(lines)
        left_out = 1 if counted else 0
        top = np.maximum(self._trigrams[trigrams] - left_out, 0) + SMOOTHING
        bottom = np.maximum(self._bigrams[bigrams] - left_out, 0) + SMOOTHING * NUM_OUTCOMES
        lengths = np.diff(np.append(starts, len(trigrams)))
        sums: Floats = np.add.reduceat(np.log(top / bottom), starts)
        return sums / lengths


def _hashes(lines: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hashes of all trigrams (a line has two marks before and one after it) and their contexts; starts of the lines."""
    padded = [f"\n\n{line.lower()}\n" for line in lines]
    lengths = np.array([len(line) for line in padded])
    text = "".join(padded).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(text, np.uint32).astype(np.uint64)
    bigrams = codes[:-2] * np.uint64(0x9E3779B97F4A7C15) + codes[1:-1] * np.uint64(0xC2B2AE3D27D4EB4F)
    trigrams = bigrams + codes[2:] * np.uint64(0x165667B19E3779F9)
    # Trigrams that begin with the last two characters of a line would extend into the next line.
    inside = np.ones(len(trigrams), bool)
    ends = np.cumsum(lengths)[:-1]
    inside[ends - 2], inside[ends - 1] = False, False
    starts = np.append(0, np.cumsum(lengths - 2)[:-1])
    shift = np.uint64(64 - 20)
    return (trigrams[inside] >> shift).astype(np.int64), (bigrams[inside] >> shift).astype(np.int64), starts
