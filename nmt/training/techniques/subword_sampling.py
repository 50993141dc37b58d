"""Subword regularisation: training reads a sentence in other pieces each time it comes round.

A unigram vocabulary draws a segmentation in proportion to its probability raised to the power alpha (Kudo 2018);
a BPE vocabulary leaves out each merge with probability alpha (BPE-dropout, Provilkov et al. 2020). Validation and
translation read the likeliest pieces.

Pieces don't go across words, so the words of a text are drawn independently, and what the draws need is computed once
for each distinct word. All random numbers come from NumPy's generator: the same seed gives the same pieces in every
process. A word with a piece that is no text (UNK, bytes) keeps its pieces.
"""

import tempfile
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nmt import options as groups
from nmt.config import Recipe
from nmt.data.encoded_corpus import Rows, Sentences, Sides
from nmt.data.vocabulary import SPACE, SentencePieceVocabulary, Vocabularies
from nmt.errors import UserError
from nmt.training.techniques.base import Technique, epochs_of

CHUNK = 10_000
"""So many sentences are held in memory at once."""

MAX_REMEMBERED = 5_000_000
"""Entries of what is remembered of words, beyond which it is computed anew: some hundred megabytes."""

NUM_AT_ONCE = 1 << 14
"""So many random numbers are drawn at once."""

Word = tuple[int, ...]
"""A word of the text, as the pieces that it has without sampling."""
Ids = npt.NDArray[np.int64]
_Node = tuple[Sequence[float], Sequence[int], Sequence[int]]
"""Edges of a lattice that end at a node: cumulative probabilities but the last, where they begin, their pieces."""


class SubwordSampling(Technique):
    """Other segmentations of the training text in each epoch."""

    class Options(groups.Options):
        alpha: float = Field(
            gt=0,
            le=1,
            description="smoothing of a unigram vocabulary (0.3; less varies more), or share of BPE merges left out "
            "(0.1)",
        )
        fraction: float = Field(
            1.0, gt=0, le=1, description="of max_epochs, the first ones, that read other pieces; 1: all epochs do"
        )

    options: Options

    def __init__(self, options: Options, recipe: Recipe) -> None:
        super().__init__(options, recipe)
        key = "training.techniques.subword_sampling.fraction"
        self._num_epochs = epochs_of(options.fraction, recipe, key) if options.fraction < 1 else None

    def setup_data(self, vocabularies: Vocabularies) -> None:
        source = segmentations(vocabularies.source, self.options.alpha)
        target = source if vocabularies.joint else segmentations(vocabularies.target, self.options.alpha)
        self._segmentations = source, target

    def read_epoch(self, sides: Sides, seed: int, epoch: int) -> Sides:
        if self._num_epochs is not None and epoch >= self._num_epochs:
            return sides
        (source, target), (of_source, of_target) = sides, self._segmentations
        return _vary(source, of_source, seed, epoch, 0), _vary(target, of_target, seed, epoch, 1)


def _vary(side: Sentences, drawn: "Segmentations", *seed: int) -> Rows:
    """Sentences in other pieces, in a temporary file; each chunk has random numbers of its own."""
    offsets, dtype = np.zeros(len(side) + 1, dtype=np.int64), side[0].dtype
    try:
        with tempfile.TemporaryFile() as file:
            for start in range(0, len(side), CHUNK):
                rows = range(start, min(start + CHUNK, len(side)))
                rng = np.random.default_rng((*seed, start))
                ids, lengths = drawn.of_sentences([side[row] for row in rows], rng)
                offsets[rows.start + 1 : rows.stop + 1] = lengths
                file.write(ids.astype(dtype).tobytes())
            file.flush()
            np.cumsum(offsets, out=offsets)
            return Rows(file, dtype, offsets)
    except OSError as error:
        raise UserError(
            f"The sampled subwords can't be written to {tempfile.gettempdir()}: {error.strerror or error}.",
            "Free some space, or point the environment variable TMPDIR at another folder.",
        ) from None


def segmentations(vocabulary: object, alpha: float) -> "Segmentations":
    """The random segmentations of a vocabulary.

    Raises:
        UserError: it has one segmentation only.
    """
    if isinstance(vocabulary, SentencePieceVocabulary) and any(
        len(piece.strip(SPACE)) > 1 for piece in vocabulary.scores()
    ):
        # sentencepiece gives the merges of a BPE model whole numbers as scores: minus their rank.
        is_bpe = all(score == round(score) for score in vocabulary.scores().values())
        return BpeDropout(vocabulary, alpha) if is_bpe else UnigramLattices(vocabulary, alpha)
    raise UserError(
        "training.techniques.subword_sampling varies subwords, but a word or a character has no other pieces.",
        "Set vocabulary.type to unigram or bpe, or leave subword_sampling out.",
    )


class Segmentations(ABC):
    """Draws segmentations of words. ``alpha``: see :class:`SubwordSampling`."""

    def __init__(self, vocabulary: SentencePieceVocabulary, alpha: float) -> None:
        self.alpha, self.scores = alpha, vocabulary.scores()
        self.tokens = [vocabulary.token(i) for i in range(len(vocabulary))]
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self._longest = max(map(len, self.scores))
        self._is_text = np.array([token in self.scores for token in self.tokens])
        # Pieces of a model that was trained elsewhere may go across words: then a sentence is one word.
        crosses = any(SPACE in piece[1:] for piece in self.scores)
        self._begins_word = np.array([token.startswith(SPACE) and not crosses for token in self.tokens])
        if vocabulary.separator is not None:
            self._begins_word[vocabulary.separator] = True
        self._separator = vocabulary.separator
        self._known: dict[Word, Any] = {}
        self.num_remembered = 0
        """Entries in what :meth:`_prepare` has given so far."""

    def of_sentences(self, sentences: Sequence[npt.NDArray[np.integer]], rng: np.random.Generator) -> tuple[Ids, Ids]:
        """Draw segmentations of some sentences: all ids, and the length of each sentence."""
        if self.num_remembered > MAX_REMEMBERED:
            self._known, self.num_remembered = {}, 0
        ends = np.cumsum([len(sentence) for sentence in sentences])
        ids: Ids = np.concatenate([np.asarray(sentence, dtype=np.int64) for sentence in sentences])
        begins = self._begins_word[ids]
        begins[1:] |= ids[:-1] == (-1 if self._separator is None else self._separator)
        begins[np.concatenate(([0], ends[:-1]))] = True
        first = np.flatnonzero(begins)
        pieces, numbers, drawn = ids.tolist(), self._numbers(rng), list[Sequence[int]]()
        for begin, end in pairwise([*first.tolist(), len(pieces)]):
            word = tuple(pieces[begin:end])
            if word not in self._known:
                is_text = self._is_text[list(word)].all()
                self._known[word] = self._prepare("".join(self.tokens[i] for i in word) if is_text else "", word)
            drawn.append(self._draw(self._known[word], numbers))
        counts = np.array([len(found) for found in drawn])
        sentence_counts = np.add.reduceat(counts, np.searchsorted(first, np.concatenate(([0], ends[:-1]))))
        return np.fromiter(chain.from_iterable(drawn), np.int64), sentence_counts

    @abstractmethod
    def _numbers(self, rng: np.random.Generator) -> Iterator[Any]:
        """Random numbers, without end."""

    @abstractmethod
    def _prepare(self, text: str, word: Word) -> Any:
        """What is computed once for a word, from its text; that is empty where the word is to keep its pieces."""

    @abstractmethod
    def _draw(self, prepared: Any, numbers: Iterator[Any]) -> Sequence[int]:
        """The pieces of a segmentation."""


class UnigramLattices(Segmentations):
    """P(segmentation)^alpha by forward filtering and backward sampling over the lattice of each word.

    A lattice has a node for each position between characters, and at node j an edge for each piece that ends there.
    With F_j the logarithm of the sum of P^alpha over the segmentations of the first j characters, an edge of score s
    that begins at i is drawn with probability exp(alpha s + F_i - F_j).
    """

    def _numbers(self, rng: np.random.Generator) -> Iterator[float]:
        while True:
            yield from rng.random(NUM_AT_ONCE).tolist()

    def _prepare(self, text: str, word: Word) -> list[_Node]:
        if not text:
            return [((), (), ()), *(((), (begin,), (piece,)) for begin, piece in enumerate(word))]
        forward, nodes = [0.0], list[_Node]([((), (), ())])
        for end in range(1, len(text) + 1):
            begins = [begin for begin in range(max(0, end - self._longest), end) if text[begin:end] in self.scores]
            weights = np.array([self.alpha * self.scores[text[begin:end]] + forward[begin] for begin in begins])
            forward.append(float(np.logaddexp.reduce(weights)))  # -inf where no segmentation ends
            cumulative = np.exp(weights - forward[-1]).cumsum()[:-1].tolist() if np.isfinite(forward[-1]) else ()
            nodes.append((cumulative, begins, [self.ids[text[begin:end]] for begin in begins]))
        self.num_remembered += sum(len(begins) for _, begins, _ in nodes)
        return nodes

    def _draw(self, prepared: list[_Node], numbers: Iterator[float]) -> list[int]:
        node, pieces = len(prepared) - 1, []
        while node:
            cumulative, begins, ids = prepared[node]
            edge = bisect_right(cumulative, next(numbers))
            pieces.append(ids[edge])
            node = begins[edge]
        return pieces[::-1]


class BpeDropout(Segmentations):
    """Merges by rank, each left out with probability alpha when its turn comes, as in sentencepiece.

    A merge that was left out comes again only when one beside it has been made. What becomes of a word follows from
    which merges are left out, so the way to its pieces is remembered by these.
    """

    def _numbers(self, rng: np.random.Generator) -> Iterator[int]:
        """Numbers of merges that are made before one is left out."""
        while True:
            yield from (rng.geometric(self.alpha, NUM_AT_ONCE) - 1).tolist()

    def _prepare(self, text: str, word: Word) -> "_Path":
        if not text:
            return _Path(text, [], word)
        agenda: _Agenda = []
        for begin in range(len(text) - 1):
            self._consider(agenda, text, begin, begin + 1, begin + 2)
        return self._path(text, tuple(range(len(text) + 1)), agenda)

    def _draw(self, prepared: "_Path", numbers: Iterator[int]) -> Word:
        path = prepared
        while (made := next(numbers)) < len(path.states):
            if made not in path.left_out:
                path.left_out[made] = self._path(path.text, *path.states[made])
            path = path.left_out[made]
        return path.pieces

    def _consider(self, agenda: "_Agenda", text: str, begin: int, middle: int, end: int) -> None:
        if (score := self.scores.get(text[begin:end])) is not None:
            insort(agenda, (-score, begin, middle, end))

    def _path(self, text: str, bounds: tuple[int, ...], agenda: "_Agenda") -> "_Path":
        """Make all merges of an agenda, from a word in pieces between ``bounds``."""
        states = []
        while agenda:
            (_, begin, middle, end), agenda = agenda[0], agenda[1:]
            at = bisect_left(bounds, begin)
            if bounds[at : at + 3] != (begin, middle, end):  # merged with something else
                continue
            states.append((bounds, agenda))
            bounds, agenda = bounds[: at + 1] + bounds[at + 2 :], agenda.copy()
            if at > 0:
                self._consider(agenda, text, bounds[at - 1], begin, end)
            if at + 2 < len(bounds):
                self._consider(agenda, text, begin, end, bounds[at + 2])
        self.num_remembered += 5 * (len(states) + 1)  # which are larger than edges
        return _Path(text, states, tuple(self.ids[text[a:b]] for a, b in pairwise(bounds)))


_Agenda = list[tuple[float, int, int, int]]
"""Neighbours that can be merged, sorted: rank, begin, middle and end."""


@dataclass(slots=True)
class _Path:
    """How a word is merged from a state on, unless a merge is left out."""

    text: str
    states: list[tuple[tuple[int, ...], _Agenda]]
    """For each merge of the path the pieces before it, and what is to be merged if it is left out."""
    pieces: Word
    left_out: "dict[int, _Path]" = field(default_factory=dict)
    """The paths that begin when one of them is left out."""
