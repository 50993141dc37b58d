"""Text that a model doesn't know, such as that of another script, whose links mean little."""

from collections.abc import Iterable, Iterator

from nmt.data.vocabulary.base import BYTE, Vocabulary
from nmt.data.vocabulary.files import Vocabularies

MOST = 0.5
"""Share of unknown characters of a side from which a pair is reported; single names and symbols are below it."""


class UnknownText:
    """Counts, while pairs are read, those of which a side is unknown to the vocabularies for the most part."""

    def __init__(self, vocabularies: Vocabularies) -> None:
        self._vocabularies = vocabularies.source, vocabularies.target
        self._num_pairs = self._num_unknown_pairs = self._first = 0
        self._num_characters = self._num_unknown_characters = 0  # of both sides, without white space

    def counted(self, pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Passes pairs of source and target on."""
        for self._num_pairs, pair in enumerate(pairs, start=1):
            counts = [unknown_characters(*side) for side in zip(self._vocabularies, pair, strict=True)]
            self._num_unknown_characters += sum(unknown for unknown, _ in counts)
            self._num_characters += sum(length for _, length in counts)
            if any(unknown and unknown >= MOST * length for unknown, length in counts):
                self._first = self._first or self._num_pairs
                self._num_unknown_pairs += 1
            yield pair

    def summary(self) -> str:
        """Returns a sentence about the pairs that are unknown for the most part; empty if there are none."""
        if not self._num_unknown_pairs:
            return ""
        share = self._num_unknown_characters / self._num_characters
        return (
            f"In {self._num_unknown_pairs:,} of {self._num_pairs:,} pairs (the first is line {self._first:,}) the "
            f"model doesn't know half of the text of a side or more; of all pairs, {share:.0%} of the characters "
            "are in unknown pieces. Their links mean little: align such text by a model of its language."
        )


def unknown_characters(vocabulary: Vocabulary, text: str) -> tuple[int, int]:
    """Returns how many characters of a text are in unknown pieces or spelled as bytes, and how many there are in all.

    White space doesn't count.
    """
    unknown = total = 0
    for index, begin, end in vocabulary.pieces(text):
        length = len("".join(text[begin:end].split()))
        total += length
        if length and (index == vocabulary.unk or BYTE.fullmatch(vocabulary.token(index))):
            unknown += length
    return unknown, total
