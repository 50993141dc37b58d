"""Which language a line is in, told by the file itself: trigrams of characters (Cavnar & Trenkle 1994).

There is no list of languages. Each side of a corpus has a model of its own characters; a line that the other
side's model explains better is in the wrong language, and one that its own model explains far worse than the rest
is in a third one, or no language at all.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

NUM_SLOTS = 1 << 20
"""Counts are kept under hashes, so that memory doesn't grow with the text."""

SMOOTHING = 0.02
"""Added to each count; NUM_OUTCOMES of them to each context."""
NUM_OUTCOMES = 64

Floats = npt.NDArray[np.float64]


class CharacterModel:
    """p(c | the two characters before it), from counts under hashes."""

    def __init__(self) -> None:
        self._trigrams = np.zeros(NUM_SLOTS, np.int64)
        self._bigrams = np.zeros(NUM_SLOTS, np.int64)

    def add(self, lines: Sequence[str]) -> None:
        """Count the characters of some lines."""
        trigrams, bigrams, _ = _hashes(lines)
        self._trigrams += np.bincount(trigrams, minlength=NUM_SLOTS)
        self._bigrams += np.bincount(bigrams, minlength=NUM_SLOTS)

    def log_probabilities(self, lines: Sequence[str], counted: bool) -> Floats:
        """Mean log p of a character, in nats, for each line.

        Args:
            lines: any text.
            counted: these lines are among those that were added: each is then left out of the counts.
        """
        trigrams, bigrams, starts = _hashes(lines)
        left_out = 1 if counted else 0
        top = np.maximum(self._trigrams[trigrams] - left_out, 0) + SMOOTHING
        bottom = np.maximum(self._bigrams[bigrams] - left_out, 0) + SMOOTHING * NUM_OUTCOMES
        lengths = np.diff(np.append(starts, len(trigrams)))
        sums: Floats = np.add.reduceat(np.log(top / bottom), starts)
        return sums / lengths


def _hashes(lines: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Slots of all trigrams of the lines (with two marks before and one after each) and of their contexts; starts."""
    padded = [f"\n\n{line.lower()}\n" for line in lines]
    lengths = np.array([len(line) for line in padded])
    text = "".join(padded).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(text, np.uint32).astype(np.uint64)
    bigrams = codes[:-2] * np.uint64(0x9E3779B97F4A7C15) + codes[1:-1] * np.uint64(0xC2B2AE3D27D4EB4F)
    trigrams = bigrams + codes[2:] * np.uint64(0x165667B19E3779F9)
    # A trigram that begins with a line's last two characters reaches into the next line.
    inside = np.ones(len(trigrams), bool)
    ends = np.cumsum(lengths)[:-1]
    inside[ends - 2], inside[ends - 1] = False, False
    starts = np.append(0, np.cumsum(lengths - 2)[:-1])
    shift = np.uint64(64 - 20)
    return (trigrams[inside] >> shift).astype(np.int64), (bigrams[inside] >> shift).astype(np.int64), starts


def outliers(log_probabilities: Floats, num_deviations: float) -> npt.NDArray[np.int64]:
    """Lines whose log p is lower than the median by so many standard deviations, estimated from the middle half."""
    low, middle, high = np.percentile(log_probabilities, (25, 50, 75))
    deviation = max((high - low) / 1.349, 0.05)
    return np.flatnonzero(log_probabilities < middle - num_deviations * deviation)
