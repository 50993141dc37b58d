"""Changed copies of training sentences, drawn anew for each epoch, so that a model can read what people write.

The changes are those of OpusTrainer (Bogoychev et al. 2023). A pair that is drawn is decoded, changed as text and
encoded again, and its word links go along; all others keep their pieces.

I source and J target words of a pair.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from nmt.data.batching import Ids
from nmt.data.cache import ParallelIds, Sentences
from nmt.data.vocabulary.base import TERM, Piece, Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe.schema import Modifier

LINKS = "links"
"""The name of word links among the annotations of a corpus: rows of a source and a target piece."""
_SYMBOLS = re.compile(r"(?:<[^<>\s]+>\s*)+")
"""Tags of vocabularies that were made elsewhere, in which they are text, and tags of lines."""
_END = frozenset(".!?…。！？।")
_STREAM = 2
"""Tells these random numbers from others of the same seed and epoch."""
TYPO = 0.15
"""Probability of a typing error in a word of four letters or more."""
HINT = 0.15
"""Probability that the translation of a word is given, where it has one link and so has its translation."""
MOST_JOINED = 4

Bool = npt.NDArray[np.bool_]


@dataclass
class Words:
    """A text as words and punctuation marks, with what is between them.

    ``head`` stands in front of the first word, and ``gaps[i]`` behind word ``i``.
    """

    head: str
    words: list[str]
    gaps: list[str]

    @classmethod
    def of(cls, text: str) -> Self:
        symbols = _SYMBOLS.match(text)
        start = symbols.end() if symbols else 0
        spans = [(start + begin, start + end) for _, begin, end in WordVocabulary.split(text[start:])]
        ends = [begin for begin, _ in spans[1:]] + [len(text)]
        gaps = [text[end:following] for (_, end), following in zip(spans, ends, strict=False)]
        return cls(text[: spans[0][0] if spans else None], [text[begin:end] for begin, end in spans], gaps)

    @property
    def text(self) -> str:
        return self.head + "".join(word + gap for word, gap in zip(self.words, self.gaps, strict=True))

    def append(self, other: "Words") -> None:
        """Add another text, without what is in front of it, behind a space."""
        self.gaps[-1:] = [f"{gap.rstrip()} " for gap in self.gaps[-1:]]
        self.words, self.gaps = self.words + other.words, self.gaps + other.gaps

    def in_pieces(self, pieces: Sequence[Piece]) -> Bool:
        """True where a piece has characters of a word. [pieces, words]"""
        lengths, gaps = (np.array([len(each) for each in part], int) for part in (self.words, self.gaps))
        begins = len(self.head) + (lengths + gaps).cumsum() - (lengths + gaps)
        first, last = np.array([[piece.begin, piece.end] for piece in pieces], int).reshape(-1, 2).T[:, :, None]
        # Of the bytes of one character only the last covers it; the others stand at its beginning.
        overlap: Bool = (first < begins + lengths) & (np.maximum(last, first + 1) > begins)
        return overlap


@dataclass
class Pair:
    """A sentence and its translation; ``links_IJ`` is True where two words translate each other."""

    source: Words
    target: Words
    links_IJ: Bool

    @classmethod
    def of(cls, source: str, target: str) -> Self:
        """A pair without links."""
        sides = Words.of(source), Words.of(target)
        return cls(*sides, np.zeros((len(sides[0].words), len(sides[1].words)), bool))


Change = Callable[[Pair, np.random.Generator, Callable[[], Pair | None]], None]
"""Changes a pair, whose words are known; the function draws another pair of the text."""


def _upper_case(pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
    for side in (pair.source, pair.target):
        side.words = [word.upper() for word in side.words]


def _title_case(pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
    for side in (pair.source, pair.target):
        is_first = [True, *map(bool, side.gaps)]
        side.words = [w[:1].upper() + w[1:] if first else w for w, first in zip(side.words, is_first, strict=False)]


def _no_end_punctuation(pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
    for side in (pair.source, pair.target):
        while side.words and side.words[-1] in _END:
            del side.words[-1], side.gaps[-1]
        side.gaps[-1:] = [""] * len(side.gaps[-1:])


def _typos(pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
    """Leave a letter out of some words of the source, double one, or exchange two."""

    def mistyped(word: re.Match[str]) -> str:
        if rng.random() >= TYPO:
            return word[0]
        at, kind = int(rng.integers(1, len(word[0]) - 1)), rng.integers(3)
        first, second, rest = word[0][at], word[0][at + 1], word[0][at + 2 :]
        return word[0][:at] + (second, first * 2 + second, second + first)[kind] + rest

    pair.source.words = [re.sub(r"[^\W\d_]{4,}", mistyped, word) for word in pair.source.words]


def _noise(pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
    """Put the letters of the source in random order; they are to be copied."""
    letters = list(pair.source.text[len(pair.source.head) :])
    text = " ".join("".join(rng.permutation(letters)).split())
    for side in (pair.source, pair.target):
        head, words = side.head, Words.of(text)
        side.head, side.words, side.gaps = head, words.words, words.gaps
    pair.links_IJ = np.eye(len(words.words), dtype=bool)


def _join(pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
    """Let one to three other pairs follow."""
    for _ in range(rng.integers(1, MOST_JOINED)):
        if (other := draw()) is not None:
            (i, j), shape = pair.links_IJ.shape, other.links_IJ.shape
            pair.links_IJ = np.pad(pair.links_IJ, ((0, shape[0]), (0, shape[1])))
            pair.links_IJ[i:, j:] = other.links_IJ
            pair.source.append(other.source)
            pair.target.append(other.target)


def _terms(pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
    """Write behind some words of the source what they are translated as (Dinu et al. 2019), between two symbols."""
    links = pair.links_IJ
    alone = links & (links.sum(axis=0) == 1) & (links.sum(axis=1, keepdims=True) == 1)
    for i, j in np.argwhere(alone).tolist():
        if pair.source.words[i][0].isalnum() and rng.random() < HINT:
            pair.source.gaps[i] = f"{TERM[0]} {pair.target.words[j]}{TERM[1]}{pair.source.gaps[i]}"


MODIFIERS: Mapping[Modifier, Change] = {
    "upper_case": _upper_case,
    "title_case": _title_case,
    "no_end_punctuation": _no_end_punctuation,
    "typos": _typos,
    "noise": _noise,
    "join": _join,
    "terms": _terms,
}


def modified(name: Modifier, texts: Sequence[tuple[str, str]], seed: int) -> list[tuple[str, str]]:
    """Pairs of text with a change of each; one that would lose all its words stays as it was."""
    rng, found = np.random.default_rng((seed, _STREAM)), []
    for text in texts:
        pair = Pair.of(*text)
        if pair.source.words:
            MODIFIERS[name](pair, rng, lambda: Pair.of(*texts[int(rng.integers(len(texts)))]))
        found.append((pair.source.text, pair.target.text) if pair.source.words else text)
    return found


class Augmentations:
    """Reads each epoch of a corpus with some sentences changed; at most one change for a sentence.

    Args:
        shares: of the sentences, by name of the modifier.
        vocabularies: of the corpus.
        max_length: a changed sentence with more pieces stays as it was.
    """

    def __init__(self, shares: Mapping[Modifier, float], vocabularies: Vocabularies, max_length: int) -> None:
        self._shares, self._max_length = shares, max_length
        self._both = vocabularies.source, vocabularies.target

    def __call__(
        self, sides: ParallelIds, annotations: Mapping[str, Sentences], seed: int, epoch: int
    ) -> tuple[ParallelIds, Mapping[str, Sentences]]:
        """Source and target as an epoch, counted from 0, reads them, and annotations with the links of these."""
        links, names, num_pairs = annotations.get(LINKS), list(self._shares), len(sides[0])
        rng = np.random.default_rng((seed, epoch, _STREAM))
        drawn_N = np.searchsorted(np.cumsum(list(self._shares.values())), rng.random(num_pairs), side="right")
        changed: dict[int, tuple[Ids, Ids, Ids]] = {}
        for row in np.flatnonzero(drawn_N < len(names)).tolist():
            if (pair := self._read(sides, links, row)) is None or not pair.source.words:
                continue
            MODIFIERS[names[drawn_N[row]]](pair, rng, lambda: self._read(sides, links, int(rng.integers(num_pairs))))
            if (written := self._written(pair, sides, row, links is not None)) is not None:
                changed[row] = written
        source, target, carried = ({row: each[part] for row, each in changed.items()} for part in range(3))
        if links is not None:
            annotations = {**annotations, LINKS: Changed(links, carried)}
        return (Changed(sides[0], source), Changed(sides[1], target)), annotations

    def _read(self, sides: ParallelIds, links: Sentences | None, row: int) -> Pair | None:
        """A pair as text; None where words are unknown, for which there is no text, or pieces aren't the text's."""
        tags, ids = zip(*(_split(side[row], v) for side, v in zip(sides, self._both, strict=True)), strict=True)
        if any(v.unk in each for each, v in zip(ids, self._both, strict=True)):
            return None
        pair = Pair.of(*(v.decode(each) for each, v in zip(ids, self._both, strict=True)))
        if links is not None:
            pieces = self._both[0].pieces(pair.source.text), self._both[1].pieces(pair.target.text)
            if tuple([piece.id for piece in side] for side in pieces) != ids:
                return None
            linked_ST = np.zeros((len(ids[0]), len(ids[1])), bool)
            linked_ST[links[row][:, 0] - len(tags[0]), links[row][:, 1]] = True
            pair.links_IJ = pair.source.in_pieces(pieces[0]).T @ linked_ST @ pair.target.in_pieces(pieces[1])
        return pair

    def _written(self, pair: Pair, sides: ParallelIds, row: int, has_links: bool) -> tuple[Ids, Ids, Ids] | None:
        """A changed pair and its links, with the tags of before; None where it is empty, too long or unknown."""
        tags, both = _split(sides[0][row], self._both[0])[0], (pair.source, pair.target)
        texts = [v.encode(side.text) for v, side in zip(self._both, both, strict=True)]
        ids = [tags + texts[0], texts[1]]
        for v, each, found in zip(self._both, ids, texts, strict=True):
            if not found or len(each) > self._max_length or v.unk in each:
                return None
        if not has_links:
            return ids[0], ids[1], []
        pieces = [v.pieces(side.text) for v, side in zip(self._both, both, strict=True)]
        links_IJ = pair.links_IJ[: len(pair.source.words), : len(pair.target.words)]
        linked_ST = pair.source.in_pieces(pieces[0]) @ links_IJ @ pair.target.in_pieces(pieces[1]).T
        return ids[0], ids[1], np.argwhere(linked_ST) + np.array([len(tags), 0])


def _split(ids: npt.NDArray[np.integer], vocabulary: Vocabulary) -> tuple[list[int], list[int]]:
    """The tags of a sentence, and its other ids."""
    found, tags = ids.tolist(), vocabulary.tags.values()
    num_tags = next((number for number, each in enumerate(found) if each not in tags), len(found))
    return found[:num_tags], found[num_tags:]


class Changed(Sentences):
    """A side of a text, or its annotations, in which some are others."""

    def __init__(self, side: Sentences, changed: Mapping[int, Ids]) -> None:
        self._side = side
        self._changed = {row: np.asarray(ids, dtype=side[0].dtype) for row, ids in changed.items()}
        self.lengths = side.lengths.copy()
        self.lengths[list(self._changed)] = [len(ids) for ids in self._changed.values()]

    def __getitem__(self, index: int) -> npt.NDArray[np.integer]:
        return self._changed[index] if index in self._changed else self._side[index]
