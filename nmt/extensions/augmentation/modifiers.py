"""Modifiers of training sentences, sampled anew in each epoch, which make a model robust to imperfect input.

The changes are those of OpusTrainer (Bogoychev et al. 2023). A sampled pair is decoded, changed as text and encoded
again together with its word links; all others keep their pieces.

I source and J target words of a pair.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from nmt.alignment.links import LINKS
from nmt.core.errors import UserError
from nmt.data.batch import Ids
from nmt.data.cache import ParallelIds, Sentences
from nmt.data.vocabulary.base import TERM, Piece, Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe.registry import Table
from nmt.recipe.schema import DataOptions

_SYMBOLS = re.compile(r"(?:<[^<>\s]+>\s*)+")
"""Tags at the beginning of a line; in vocabularies made elsewhere they are text."""
_END = frozenset(".!?…。！？।")
_STREAM = 2  # separates these random numbers from others of the same seed and epoch
TYPO = 0.15  # probability of a typing error in a word of four letters or more
HINT = 0.15  # probability that the translation of a word is given, if both have no other link
MOST_JOINED = 4

Bool = npt.NDArray[np.bool_]


@dataclass
class Words:
    """A text as words and punctuation marks and the characters between them.

    ``head`` precedes the first word, and ``gaps[i]`` follows word ``i``.
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
        """Appends another text without its head, after a space."""
        self.gaps[-1:] = [f"{gap.rstrip()} " for gap in self.gaps[-1:]]
        self.words, self.gaps = self.words + other.words, self.gaps + other.gaps

    def in_pieces(self, pieces: Sequence[Piece]) -> Bool:
        """Returns True where a piece has characters of a word. [pieces, words]"""
        lengths, gaps = (np.array([len(word) for word in part], int) for part in (self.words, self.gaps))
        begins = len(self.head) + (lengths + gaps).cumsum() - (lengths + gaps)
        first, last = np.array([[piece.begin, piece.end] for piece in pieces], int).reshape(-1, 2).T[:, :, None]
        # Of the bytes of a character only the last covers it; the others are empty spans at its beginning.
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
        """Returns a pair without links."""
        sides = Words.of(source), Words.of(target)
        return cls(*sides, np.zeros((len(sides[0].words), len(sides[1].words)), bool))


class Modifier(ABC):
    """A change of sentence pairs that a recipe names in ``modifiers`` of a corpus."""

    needs_links: ClassVar[bool] = False  # whether it depends on word links; a corpus has them with ``links``

    @abstractmethod
    def change(self, pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
        """Changes a pair, which has words on both sides, in place; all random numbers are those of ``rng``. ``draw``
        returns another pair of the corpus, or None where that one has unknown words."""


class UpperCase(Modifier):
    """Writes both sides in upper case."""

    def change(self, pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
        for side in (pair.source, pair.target):
            side.words = [word.upper() for word in side.words]


class TitleCase(Modifier):
    """Capitalises each word of both sides."""

    def change(self, pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
        for side in (pair.source, pair.target):
            is_first = [True, *map(bool, side.gaps)]
            side.words = [w[:1].upper() + w[1:] if first else w for w, first in zip(side.words, is_first, strict=False)]


class NoEndPunctuation(Modifier):
    """Removes the punctuation at the end of both sides."""

    def change(self, pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
        for side in (pair.source, pair.target):
            while side.words and side.words[-1] in _END:
                del side.words[-1], side.gaps[-1]
            side.gaps[-1:] = [""] * len(side.gaps[-1:])


class Typos(Modifier):
    """Omits, doubles or exchanges letters in some words of the source."""

    def change(self, pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
        def mistyped(word: re.Match[str]) -> str:
            if rng.random() >= TYPO:
                return word[0]
            at, kind = int(rng.integers(1, len(word[0]) - 1)), rng.integers(3)
            first, second, rest = word[0][at], word[0][at + 1], word[0][at + 2 :]
            return word[0][:at] + (second, first * 2 + second, second + first)[kind] + rest

        pair.source.words = [re.sub(r"[^\W\d_]{4,}", mistyped, word) for word in pair.source.words]


class Noise(Modifier):
    """Replaces both sides by the letters of the source in random order, to be copied."""

    def change(self, pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
        letters = list(pair.source.text[len(pair.source.head) :])
        text = " ".join("".join(rng.permutation(letters)).split())
        for side in (pair.source, pair.target):
            words = Words.of(text)
            side.words, side.gaps = words.words, words.gaps
        pair.links_IJ = np.eye(len(words.words), dtype=bool)


class Join(Modifier):
    """Appends one to three other pairs."""

    def change(self, pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
        for _ in range(rng.integers(1, MOST_JOINED)):
            if (other := draw()) is not None:
                (i, j), shape = pair.links_IJ.shape, other.links_IJ.shape
                pair.links_IJ = np.pad(pair.links_IJ, ((0, shape[0]), (0, shape[1])))
                pair.links_IJ[i:, j:] = other.links_IJ
                pair.source.append(other.source)
                pair.target.append(other.target)


class Terms(Modifier):
    """Writes the translation of some source words after them, between two symbols (Dinu et al. 2019)."""

    needs_links = True

    def change(self, pair: Pair, rng: np.random.Generator, draw: Callable[[], Pair | None]) -> None:
        links = pair.links_IJ
        alone = links & (links.sum(axis=0) == 1) & (links.sum(axis=1, keepdims=True) == 1)
        for i, j in np.argwhere(alone).tolist():
            if pair.source.words[i][0].isalnum() and rng.random() < HINT:
                pair.source.gaps[i] = f"{TERM[0]} {pair.target.words[j]}{TERM[1]}{pair.source.gaps[i]}"


MODIFIERS: Table[Modifier] = Table(
    "modifier",
    Modifier,
    {
        "upper_case": UpperCase,
        "title_case": TitleCase,
        "no_end_punctuation": NoEndPunctuation,
        "typos": Typos,
        "noise": Noise,
        "join": Join,
        "terms": Terms,
    },
)


def modified(name: str, texts: Sequence[tuple[str, str]], seed: int) -> list[tuple[str, str]]:
    """Returns each pair of text changed; one that would lose all its words stays as it is."""
    rng, changed, modifier = np.random.default_rng((seed, _STREAM)), [], MODIFIERS[name]()
    for text in texts:
        pair = Pair.of(*text)
        if pair.source.words:
            modifier.change(pair, rng, lambda: Pair.of(*texts[int(rng.integers(len(texts)))]))
        changed.append((pair.source.text, pair.target.text) if pair.source.words else text)
    return changed


class Augmentations:
    """Changes some sentences of a corpus in each epoch, each by one modifier. ``shares`` says how many by which; a
    sentence that would get more than ``max_length`` pieces stays unchanged."""

    def __init__(self, shares: Mapping[str, float], vocabularies: Vocabularies, max_length: int) -> None:
        self._shares, self._max_length = shares, max_length
        self._both = vocabularies.source, vocabularies.target
        self._modifiers = [MODIFIERS.find(name, "data.corpora.modifiers")() for name in shares]

    @staticmethod
    def check(data: DataOptions) -> None:
        """Raises a UserError if a corpus names a modifier that doesn't exist, or one that needs links and has none."""
        for corpus in data.corpora:
            for name in corpus.modifiers:
                if MODIFIERS.find(name, "data.corpora.modifiers").needs_links and corpus.links is None:
                    raise UserError(
                        f"data.corpora: the modifier {name} of {corpus.name} needs its links.",
                        "Write them with `nmt align`, and name the file as links of the corpus.",
                    )

    def __call__(
        self, sides: ParallelIds, annotations: Mapping[str, Sentences], seed: int, epoch: int
    ) -> tuple[ParallelIds, Mapping[str, Sentences]]:
        """Returns source and target of an epoch, counted from 0, and annotations with their links."""
        links, num_pairs = annotations.get(LINKS), len(sides[0])
        rng = np.random.default_rng((seed, epoch, _STREAM))
        drawn_N = np.searchsorted(np.cumsum(list(self._shares.values())), rng.random(num_pairs), side="right")
        changed: dict[int, tuple[Ids, Ids, Ids]] = {}
        for row in np.flatnonzero(drawn_N < len(self._modifiers)).tolist():
            if (pair := self._read(sides, links, row)) is None or not pair.source.words:
                continue
            modifier = self._modifiers[drawn_N[row]]
            modifier.change(pair, rng, lambda: self._read(sides, links, int(rng.integers(num_pairs))))
            if (written := self._written(pair, sides, row, links is not None)) is not None:
                changed[row] = written
        source, target, carried = ({row: parts[part] for row, parts in changed.items()} for part in range(3))
        if links is not None:
            annotations = {**annotations, LINKS: ChangedSentences(links, carried)}
        return (ChangedSentences(sides[0], source), ChangedSentences(sides[1], target)), annotations

    def _read(self, sides: ParallelIds, links: Sentences | None, row: int) -> Pair | None:
        """Returns a pair as text; None if it has unknown words, or if its text has other pieces."""
        tags, ids = zip(*(_split(side[row], v) for side, v in zip(sides, self._both, strict=True)), strict=True)
        if any(v.unk in side_ids for side_ids, v in zip(ids, self._both, strict=True)):
            return None
        pair = Pair.of(*(v.decode(side_ids) for side_ids, v in zip(ids, self._both, strict=True)))
        if links is not None:
            pieces = self._both[0].pieces(pair.source.text), self._both[1].pieces(pair.target.text)
            if tuple([piece.id for piece in side] for side in pieces) != ids:
                return None
            linked_ST = np.zeros((len(ids[0]), len(ids[1])), bool)
            linked_ST[links[row][:, 0] - len(tags[0]), links[row][:, 1]] = True
            pair.links_IJ = pair.source.in_pieces(pieces[0]).T @ linked_ST @ pair.target.in_pieces(pieces[1])
        return pair

    def _written(self, pair: Pair, sides: ParallelIds, row: int, has_links: bool) -> tuple[Ids, Ids, Ids] | None:
        """Returns ids and links of a changed pair, with its tags; None if it is empty, too long or unknown."""
        tags, both = _split(sides[0][row], self._both[0])[0], (pair.source, pair.target)
        texts = [v.encode(side.text) for v, side in zip(self._both, both, strict=True)]
        ids = [tags + texts[0], texts[1]]
        for v, side_ids, text_ids in zip(self._both, ids, texts, strict=True):
            if not text_ids or len(side_ids) > self._max_length or v.unk in side_ids:
                return None
        if not has_links:
            return ids[0], ids[1], []
        pieces = [v.pieces(side.text) for v, side in zip(self._both, both, strict=True)]
        links_IJ = pair.links_IJ[: len(pair.source.words), : len(pair.target.words)]
        linked_ST = pair.source.in_pieces(pieces[0]) @ links_IJ @ pair.target.in_pieces(pieces[1]).T
        return ids[0], ids[1], np.argwhere(linked_ST) + np.array([len(tags), 0])


def _split(ids: npt.NDArray[np.integer], vocabulary: Vocabulary) -> tuple[list[int], list[int]]:
    """Returns the tags of a sentence, and its other ids."""
    sentence, tags = ids.tolist(), vocabulary.tags.values()
    num_tags = next((number for number, token in enumerate(sentence) if token not in tags), len(sentence))
    return sentence[:num_tags], sentence[num_tags:]


class ChangedSentences(Sentences):
    """One side of a text, or its annotations, of which some are replaced."""

    def __init__(self, side: Sentences, changed: Mapping[int, Ids]) -> None:
        self._side = side
        self._changed = {row: np.asarray(ids, dtype=side[0].dtype) for row, ids in changed.items()}
        self.lengths = side.lengths.copy()
        self.lengths[list(self._changed)] = [len(ids) for ids in self._changed.values()]

    def __getitem__(self, index: int) -> npt.NDArray[np.integer]:
        return self._changed[index] if index in self._changed else self._side[index]
