"""Word translation probabilities, learned from a model's own alignments."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Self

import numpy as np

from nmt.alignment.links import Weights
from nmt.data.text import read_lines
from nmt.errors import UserError
from nmt.files import open_output

LEAST_SHARE = 0.01
"""Links with a lower posterior aren't counted; attention below it is raised to it."""
LEAST_COUNT = 0.05
"""Pairs of words with an expected count below this aren't written."""
UNSEEN = 1.0
"""Pseudo-counts of a source word, divided among the target words by their frequency."""

_EDGES = re.compile(r"^\W+|\W+$")


class Lexicon:
    """Expected counts of source and target words that translate one another.

    Words are compared in lower case and without the punctuation around them, so that one lexicon serves text that is
    tokenised and text that isn't.
    """

    def __init__(self, counts: dict[str, dict[str, float]]) -> None:
        self._counts = counts
        self._of_source = {source: sum(targets.values()) for source, targets in counts.items()}
        of_target: Counter[str] = Counter()
        for targets in counts.values():
            of_target.update(targets)
        total = max(sum(of_target.values()), 1.0)
        self._share = {target: count / total for target, count in of_target.items()}
        self._rare = min(self._share.values(), default=1.0)

    def __len__(self) -> int:
        """Pairs of words."""
        return sum(len(targets) for targets in self._counts.values())

    @classmethod
    def count(cls, linked: Iterable[tuple[Sequence[str], Sequence[str], Weights]]) -> Self:
        """Expected counts over sentence pairs.

        Args:
            linked: source words, target words, and the probability of each link. [T_words, S_words]
        """
        counts: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        for source_words, target_words, share in linked:
            source, target = _keys(source_words), _keys(target_words)
            for t, s in zip(*np.nonzero(share >= LEAST_SHARE), strict=True):
                counts[source[s]][target[t]] += float(share[t, s])
        return cls({source: dict(targets) for source, targets in counts.items()})

    def items(self) -> Iterable[tuple[str, dict[str, float]]]:
        """Each source word with the expected counts of its translations."""
        return self._counts.items()

    def translations(self, word: str, most: int) -> list[str]:
        """The most frequent translations of a source word, best first; none of a word that is not known."""
        [key] = _keys([word])
        return [target for target, _ in Counter(self._counts.get(key, {})).most_common(most)]

    def probability(self, source: Sequence[str], target: Sequence[str]) -> Weights:
        """p(t | s) for every target word t and source word s. [T_words, S_words]"""
        sources, targets = _keys(source), _keys(target)
        table = np.zeros((len(targets), len(sources)), dtype=np.float32)
        shares = np.array([self._share.get(word, self._rare) for word in targets])
        for column, word in enumerate(sources):
            known = self._counts.get(word, {})
            counts = np.array([known.get(other, 0.0) for other in targets])
            table[:, column] = (counts + UNSEEN * shares) / (self._of_source.get(word, 0.0) + UNSEEN)
        return table

    def save(self, path: Path) -> None:
        """Write lines of source word, target word and expected count, the most frequent translation first.

        Raises:
            UserError: the file can't be written.
        """
        with open_output(path) as file:
            for source, targets in sorted(self._counts.items()):
                for target, count in sorted(targets.items(), key=lambda item: (-item[1], item[0])):
                    if count >= LEAST_COUNT:
                        file.write(f"{source}\t{target}\t{count:.4g}\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            UserError: the file can't be read, or a line isn't of this form.
        """
        counts: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for number, line in enumerate(read_lines(path), start=1):
            try:
                source, target, count = line.split("\t")
                counts[source][target] = float(count)
                if not 0 < float(count) < inf:
                    raise ValueError
            except ValueError:
                raise UserError(
                    f"{path}, line {number}: not a source word, a target word and a count, with tabs between.",
                    "Delete it; `nmt learn-alignment` writes it anew.",
                ) from None
        return cls(dict(counts))


def _keys(words: Iterable[str]) -> list[str]:
    """Words as the lexicon has them; a punctuation mark on its own is a word, too."""
    return [_EDGES.sub("", word.lower()) or word for word in words]
