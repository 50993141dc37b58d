"""Text that a model doesn't know, such as that of another script, whose links mean little."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies

MOST = 0.5
"""Share of unknown characters of a side from which a pair is reported; single names and symbols are below it."""
_BYTE = re.compile("<0x[0-9A-F]{2}>")
"""A piece for a byte of a character that a vocabulary lacks."""


@dataclass
class UnknownText:
    """Counts, while pairs are read, those of which a side is unknown to the vocabularies for the most part."""

    vocabularies: Vocabularies
    num_pairs: int = 0
    num_unknown_pairs: int = 0
    first: int = 0
    """Number of the first such pair, from 1."""
    num_characters: int = 0
    """Characters of both sides of all pairs, without white space."""
    num_unknown_characters: int = 0

    def counted(self, pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Passes pairs of source and target on."""
        for pair in pairs:
            self.num_pairs += 1
            sides = zip((self.vocabularies.source, self.vocabularies.target), pair, strict=True)
            counts = [unknown_characters(vocabulary, text) for vocabulary, text in sides]
            self.num_unknown_characters += sum(unknown for unknown, _ in counts)
            self.num_characters += sum(length for _, length in counts)
            if any(unknown and unknown >= MOST * length for unknown, length in counts):
                self.first = self.first or self.num_pairs
                self.num_unknown_pairs += 1
            yield pair

    def summary(self) -> str:
        """Returns a sentence about the pairs that are unknown for the most part; empty if there are none."""
        if not self.num_unknown_pairs:
            return ""
        share = self.num_unknown_characters / self.num_characters
        return (
            f"In {self.num_unknown_pairs:,} of {self.num_pairs:,} pairs (the first is line {self.first:,}) the model "
            f"doesn't know half of the text of a side or more; of all pairs, {share:.0%} of the characters are in "
            "unknown pieces. Their links mean little: align such text by a model of its language."
        )


def unknown_characters(vocabulary: Vocabulary, text: str) -> tuple[int, int]:
    """Returns how many characters of a text are in unknown pieces or spelled as bytes, and how many there are in all.

    White space doesn't count.
    """
    unknown = total = 0
    for index, begin, end in vocabulary.pieces(text):
        length = len("".join(text[begin:end].split()))
        total += length
        if length and (index == vocabulary.unk or _BYTE.fullmatch(vocabulary.token(index))):
            unknown += length
    return unknown, total
