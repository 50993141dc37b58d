"""Pairs whose links mean little: empty ones, and text that a model doesn't know, such as that of another script."""

from collections.abc import Iterable, Iterator

from nmt.data.vocabulary.base import BYTE, Vocabulary
from nmt.data.vocabulary.files import Vocabularies

MOST = 0.5
"""Share of unknown characters of a side from which a pair is reported; single names and symbols are below it."""


class UnknownText:
    """Counts, while pairs are read, those of which a side is empty or mostly unknown to the vocabularies."""

    def __init__(self, vocabularies: Vocabularies) -> None:
        self._vocabularies = vocabularies.source, vocabularies.target
        self._num_pairs, self._unknown, self._empty = 0, (0, 0), (0, 0)  # the number of pairs, and the first line
        self._num_characters = self._num_unknown_characters = 0  # of both sides, without white space

    def counted(self, pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Passes pairs of source and target on."""
        for self._num_pairs, pair in enumerate(pairs, start=1):
            counts = [unknown_characters(*side) for side in zip(self._vocabularies, pair, strict=True)]
            self._num_unknown_characters += sum(unknown for unknown, _ in counts)
            self._num_characters += sum(length for _, length in counts)
            if sum(length > 0 for _, length in counts) == 1:
                self._empty = self._empty[0] + 1, self._empty[1] or self._num_pairs
            elif any(unknown and unknown >= MOST * length for unknown, length in counts):
                self._unknown = self._unknown[0] + 1, self._unknown[1] or self._num_pairs
            yield pair

    def summary(self) -> str:
        """Returns sentences about the pairs that are empty or unknown; an empty text if there are none."""
        share = f"{self._num_unknown_characters / max(1, self._num_characters):.0%}"
        empty = "one side is empty, so nothing is linked: a model that translates to nothing needs more training."
        unknown = f"the model doesn't know half of the text of a side or more; of all pairs, {share} of the characters "
        unknown += "are in unknown pieces. Their links mean little: align such text by a model of its language."
        return " ".join(
            f"In {number:,} of {self._num_pairs:,} pairs (the first is line {line:,}) {text}"
            for (number, line), text in ((self._empty, empty), (self._unknown, unknown))
            if number
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
