"""Word links of a training text as links between its pieces."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt.alignment.links import LINKS, parse_pharaoh
from nmt.core.errors import UserError
from nmt.core.text import read_lines
from nmt.data.dialogue import LineReader
from nmt.data.sources import ParallelText
from nmt.data.vocabulary.base import Piece
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.words import Words, split_pairs
from nmt.recipe.schema import DataOptions


class LinkFile:
    """Converts the word links of a Pharaoh file to links between pieces.

    Args:
        path: a line for each pair; links count the words of lines without tags.
        split_punctuation: whether punctuation marks are words of their own.
        data: says how dialogues are read.
        vocabularies: those whose pieces are linked.
    """

    name = LINKS
    width = 2

    def __init__(self, path: Path, split_punctuation: bool, data: DataOptions, vocabularies: Vocabularies) -> None:
        self._path, self._split_punctuation = path, split_punctuation
        self._reader, self._max_length = LineReader(data.history_turns), data.max_length
        self._vocabularies = vocabularies

    def fingerprint(self) -> str:
        digest = hashlib.blake2b(str(self._split_punctuation).encode(), digest_size=16)
        for line in read_lines(self._path):
            digest.update(f"{line}\n".encode())
        return digest.hexdigest()

    def of_pairs(self, text: ParallelText) -> Iterator[npt.NDArray[np.integer]]:
        """Yields the linked (source, target) pieces of each pair; all pieces of two linked words are linked. Raises
        UserError if a line isn't in Pharaoh form or names a word that isn't there, or there are more or fewer lines
        than pairs."""
        tag = f"{text.tag} " if text.tag else ""
        pairs = split_pairs(text.untagged, tokenized=False, split_punctuation=self._split_punctuation)
        lines = zip_longest(pairs, read_lines(self._path))
        for number, (pair, line) in enumerate(lines, start=1):
            if pair is None or line is None:
                more = "fewer" if line is None else "more"
                raise UserError(
                    f"{self._path} has {more} lines than the training text has pairs: line {number} is the first "
                    f"{'that is missing' if line is None else 'too many'}.",
                    "It needs a line for each pair; write it with `nmt align` from the same files.",
                )
            yield self._of_pair(pair, tag, line, f"{self._path}, line {number}")

    def _of_pair(self, pair: tuple[Words, Words], tag: str, line: str, where: str) -> npt.NDArray[np.integer]:
        sure, possible = parse_pharaoh(line, where)
        source, target = pair
        for source_word, target_word in sure | possible:
            if source_word >= len(source.words) or target_word >= len(target.words):
                raise UserError(
                    f"{where}: the link {source_word}-{target_word} is outside {len(source.words)} source and "
                    f"{len(target.words)} target words.",
                    "Links count the words of the training text from 0; set "
                    "training.techniques.guided_alignment.split_punctuation to true where they count punctuation, too.",
                )
        source = Words.join([Words(tag, ()), source], "")
        read = self._reader.source_pieces(self._vocabularies.source, source.text, self._max_length)
        of_source = _pieces_of_words(source, read)
        of_target = _pieces_of_words(target, self._vocabularies.target.pieces(target.text))
        linked = [(s, t) for i, j in sorted(sure | possible) for s in of_source[i] for t in of_target[j]]
        return np.array(linked, dtype=np.int64).reshape(-1, 2)


def _pieces_of_words(words: Words, pieces: Sequence[Piece]) -> Sequence[list[int]]:
    """Returns the positions of the pieces of each word."""
    positions: list[list[int]] = [[] for _ in words.words]
    for position, word in enumerate(words.of_pieces(pieces)):
        if word >= 0:
            positions[word].append(position)
    return positions
