"""Word translation probabilities, learned from a model's own alignments."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from math import inf
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from nmt.core.errors import UserError
from nmt.core.text import MAX_RECORD_BYTES, read_lines
from nmt.data.vocabulary.words import MARKS

UNSEEN = 1.0
"""Pseudo-counts of a source word, divided among the target words by their frequency."""

Probabilities = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

EDGES = re.compile(rf"^\W+|(?<!\W)([{MARKS}]*+)\W+$")
"""What is no letter, digit or mark of one at the edges of a word; the group has the marks of the last letter."""


class Lexicon:
    """Expected counts of source and target words that translate one another.

    Words are compared in lower case and without the punctuation around them, so that one lexicon serves text that is
    tokenised and text that isn't.
    """

    def __init__(self, counts: dict[str, dict[str, float]]) -> None:
        self._counts = counts
        self._source_ids = {word: index for index, word in enumerate(counts)}
        self._target_ids = {word: index for index, word in enumerate(dict.fromkeys(chain(*counts.values())))}
        # As arrays, in which the last number of each side is that of all words that are not known.
        self._stride = len(self._target_ids) + 1
        sources = np.repeat(np.arange(len(counts)), [len(targets) for targets in counts.values()])
        targets = np.array([self._target_ids[word] for words in counts.values() for word in words], dtype=np.int64)
        values = np.array([count for words in counts.values() for count in words.values()], dtype=np.float64)
        cells = sources * self._stride + targets
        order = cells.argsort()
        self._cells = np.append(cells[order], np.iinfo(np.int64).max)
        self._cell_counts = np.append(values[order], 0.0)
        self._of_source = np.bincount(sources, values, len(counts) + 1)
        of_target = np.bincount(targets, values, len(self._target_ids))
        shares = of_target / max(of_target.sum(), 1.0)
        self._shares = np.append(shares, shares.min(initial=1.0))

    def __len__(self) -> int:
        """Pairs of words."""
        return sum(len(targets) for targets in self._counts.values())

    @cached_property
    def reversed(self) -> "Lexicon":
        """The same counts from target to source words."""
        counts: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for source, targets in self._counts.items():
            for target, count in targets.items():
                counts[target][source] = count
        return Lexicon(dict(counts))

    def items(self) -> Iterable[tuple[str, dict[str, float]]]:
        """Each source word with the expected counts of its translations."""
        return self._counts.items()

    def translations(self, word: str, most: int) -> list[str]:
        """The most frequent translations of a source word, best first; none of a word that is not known."""
        return [target for target, _ in Counter(self._counts.get(word_key(word), {})).most_common(most)]

    def probability(self, source: Sequence[str], target: Sequence[str]) -> Probabilities:
        """p(t | s) for every target word t and source word s. [T_words, S_words]"""
        return self.probability_of_ids(self.source_ids(source)[None, :], self.target_ids(target)[:, None])

    def probability_of_ids(self, source: Ids, target: Ids) -> Probabilities:
        """p(t | s) of the numbers of words, which are broadcast against each other."""
        cells = source * self._stride + target
        places = self._cells.searchsorted(cells)
        counts = np.where(self._cells[places] == cells, self._cell_counts[places], 0.0)
        return np.asarray((counts + UNSEEN * self._shares[target]) / (self._of_source[source] + UNSEEN), np.float64)

    def source_ids(self, words: Sequence[str]) -> Ids:
        """The numbers of source words; those that are not known have one in common. [S_words]"""
        return _numbers(words, self._source_ids)

    def target_ids(self, words: Sequence[str]) -> Ids:
        """The numbers of target words. [T_words]"""
        return _numbers(words, self._target_ids)

    def counts(self, words: Sequence[str]) -> Probabilities:
        """Returns the expected counts of source words; 0 for those that are not known. [S_words]"""
        return np.asarray(self._of_source[self.source_ids(words)], dtype=np.float64)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads ``lexicon.tsv``: lines of source word, target word and expected count.

        Raises:
            UserError: the file can't be read, or a line isn't of this form.
        """
        counts: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for number, line in enumerate(read_lines(path, max_bytes=MAX_RECORD_BYTES), start=1):
            try:
                source, target, count = line.split("\t")
                if not 0 < float(count) < inf:
                    raise ValueError
            except ValueError:
                raise UserError(
                    f"{path}, line {number}: not a source word, a target word and a count, with tabs between.",
                    "Name a lexicon.tsv that `nmt learn-alignment` wrote, or write it again.",
                ) from None
            counts[source][target] = float(count)
        return cls(dict(counts))


def _numbers(words: Sequence[str], known: dict[str, int]) -> Ids:
    return np.array([known.get(word_key(word), len(known)) for word in words], dtype=np.int64)


@lru_cache(1 << 16)
def word_key(word: str) -> str:
    """A word as the lexicon has it; a punctuation mark on its own is a word, too."""
    return EDGES.sub(r"\1", word.lower()) or word
