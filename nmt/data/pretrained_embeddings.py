"""Word vectors made elsewhere, as initial embeddings: word2vec's text format (Mikolov et al. 2013), which begins with
a line of counts, and GloVe's (Pennington et al. 2014), which doesn't."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt.data.text import read_lines
from nmt.data.vocabulary import SPACE, Vocabulary
from nmt.errors import UserError


@dataclass(frozen=True)
class WordVectors:
    """The vectors that a file has for the pieces of a vocabulary."""

    ids: npt.NDArray[np.int64]
    """Pieces that have a vector."""
    values: npt.NDArray[np.float32]
    """Their vectors, [pieces found, size]."""
    num_words: int
    """Pieces of the vocabulary that are whole words, with or without a vector."""

    @property
    def coverage(self) -> float:
        """Share of the whole words that have a vector."""
        return len(self.ids) / self.num_words if self.num_words else 0.0


def read_vectors(path: Path, vocabulary: Vocabulary, size: int) -> WordVectors:
    """The vectors of the words in a vocabulary; only those are held in memory.

    A piece is looked up as it is written and, where that fails, in lower case. Pieces that don't begin a word are no
    words, and get none.

    Args:
        path: text, plain or .gz: a word and its numbers a line, with spaces between.
        vocabulary: whose pieces are looked up.
        size: numbers a vector must have.

    Raises:
        UserError: the file can't be read, a line is no vector, the size is another, or no word is in it.
    """
    wanted: dict[str, list[int]] = {}
    lower: dict[str, list[int]] = {}
    for index in range(len(vocabulary)):
        if (token := vocabulary.token(index)).startswith(SPACE) and len(token) > 1:
            wanted.setdefault(token[1:], []).append(index)
            lower.setdefault(token[1:].lower(), []).append(index)
    exact: dict[int, npt.NDArray[np.float32]] = {}
    lowered: dict[int, npt.NDArray[np.float32]] = {}
    for number, word, numbers in _rows(path, size):
        if word in wanted or word in lower:
            vector = _vector(path, number, word, numbers)
            exact |= dict.fromkeys(wanted.get(word, ()), vector)
            lowered |= dict.fromkeys(lower.get(word, ()), vector)
    found = lowered | exact
    if not found:
        raise UserError(
            f"{path} has a vector for none of the {sum(map(len, wanted.values())):,} words of the vocabulary.",
            "Is it of this language? Word vectors go with vocabulary.type: word.",
        )
    ids = np.array(sorted(found), dtype=np.int64)
    return WordVectors(ids, np.stack([found[i] for i in ids.tolist()]), sum(map(len, wanted.values())))


def _rows(path: Path, size: int) -> Iterator[tuple[int, str, list[str]]]:
    """Line number, word and numbers of each line but word2vec's counts."""
    for number, line in enumerate(read_lines(path), start=1):
        # From the right, because a few words of GloVe's largest file have spaces in them.
        word, *numbers = line.rstrip().rsplit(" ", size)
        if number == 1 and line.count(" ") == 1 and word.isdecimal() and numbers[0].isdecimal():
            continue
        found = line.rstrip().count(" ")
        if number <= 2 and found != size:
            raise UserError(
                f"{path}, line {number}: {line.split()[0]!r} has {found} numbers, not model.embedding_size ({size}).",
                f"Set model.embedding_size to {found}, or take vectors of {size} numbers.",
            )
        yield number, word, numbers


def _vector(path: Path, number: int, word: str, numbers: list[str]) -> npt.NDArray[np.float32]:
    try:
        vector = np.array(numbers, dtype=np.float32)
    except ValueError:
        raise UserError(
            f"{path}, line {number}: not numbers after {word!r}.", "It must be text: a word and its numbers a line."
        ) from None
    if not np.isfinite(vector).all():
        raise UserError(f"{path}, line {number}: {word!r} has a number that isn't finite.", "Mend or drop the line.")
    return vector
