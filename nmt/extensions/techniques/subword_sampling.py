"""Subword regularisation: each epoch reads the training text in other pieces.

A unigram vocabulary draws a segmentation in proportion to its probability raised to the power alpha (Kudo 2018);
a BPE vocabulary leaves out each merge with probability alpha (BPE-dropout, Provilkov et al. 2020). Validation and
translation use the most probable pieces.

Pieces don't cross words, so the words of a text are segmented independently. All random numbers derive from NumPy's
generator: the same seed gives the same pieces in every process. A word with a piece that is not text (UNK, bytes) keeps
its pieces.

sentencepiece has samplers of both kinds, but its random numbers differ between processes, whatever the seed.
"""

import math
import random
import tempfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nmt.core.errors import UserError
from nmt.data.cache import ParallelIds, Rows, Sentences
from nmt.data.vocabulary.base import SPACE
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.sentencepiece import SentencePieceVocabulary
from nmt.extensions.techniques.fraction import FirstEpochs
from nmt.recipe import options as groups

CHUNK = 10_000
"""Sentences that are sampled at a time."""

MAX_REMEMBERED = 5_000_000
"""Maximum number of cached edges, some hundred megabytes; a full cache is emptied."""

Word = tuple[int, ...]
"""The most probable pieces of a word."""
Ids = npt.NDArray[np.int64]


class SubwordSampling(FirstEpochs):
    """Samples the segmentation of the training text anew in each epoch."""

    key = "training.techniques.subword_sampling"
    order = 10

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

    def setup_data(self, vocabularies: Vocabularies) -> None:
        source = segmentations(vocabularies.source, self.options.alpha)
        target = source if vocabularies.joint else segmentations(vocabularies.target, self.options.alpha)
        self._segmentations = source, target

    def read_epoch(self, sides: ParallelIds, seed: int, epoch: int) -> ParallelIds:
        if epoch >= self.num_epochs:
            return sides
        (source, target), (of_source, of_target) = sides, self._segmentations
        return _vary(source, of_source, seed, epoch, 0), _vary(target, of_target, seed, epoch, 1)


def _vary(side: Sentences, drawn: "Segmentations", *seed: int) -> Rows:
    """Samples pieces into a temporary file; the random numbers of a chunk depend on the seed and its position."""
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
            return Rows.mapped(file, dtype, offsets)
    except OSError as error:
        raise UserError(
            f"The sampled subwords can't be written to {tempfile.gettempdir()}: {error.strerror or error}.",
            "Free some space, or point the environment variable TMPDIR at another folder.",
        ) from None


def segmentations(vocabulary: object, alpha: float) -> "Segmentations":
    """Returns the sampler of a vocabulary.

    Raises:
        UserError: every text has a single segmentation.
    """
    if isinstance(vocabulary, SentencePieceVocabulary) and any(
        len(piece.strip(SPACE)) > 1 for piece in vocabulary.scores()
    ):
        # The score of a BPE piece is minus the rank of its merge: an integer.
        is_bpe = all(score == round(score) for score in vocabulary.scores().values())
        return BpeDropout(vocabulary, alpha) if is_bpe else UnigramLattices(vocabulary, alpha)
    raise UserError(
        "training.techniques.subword_sampling varies subwords, but a word or a character has no other pieces.",
        "Set vocabulary.type to unigram or bpe, or leave subword_sampling out.",
    )


class Segmentations(ABC):
    """Samples segmentations of words. ``alpha``: see :class:`SubwordSampling`."""

    def __init__(self, vocabulary: SentencePieceVocabulary, alpha: float) -> None:
        self.alpha, self.scores = alpha, vocabulary.scores()
        self.tokens = [vocabulary.token(i) for i in range(len(vocabulary))]
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self.longest = max(map(len, self.scores))
        self._is_text = np.array([token in self.scores for token in self.tokens])
        # Pieces of a model that was trained elsewhere may cross words; a sentence is then sampled as one word.
        crosses = any(SPACE in piece[1:] for piece in self.scores)
        self._begins_word = np.array([token.startswith(SPACE) and not crosses for token in self.tokens])
        if vocabulary.separator is not None:
            self._begins_word[vocabulary.separator] = True
        self._separator = vocabulary.separator

    def of_sentences(self, sentences: Sequence[npt.NDArray[np.integer]], rng: np.random.Generator) -> tuple[Ids, Ids]:
        """Samples segmentations of sentences: all ids, and the length of each sentence."""
        ends = np.cumsum([len(sentence) for sentence in sentences])
        ids: Ids = np.concatenate([np.asarray(sentence, dtype=np.int64) for sentence in sentences])
        begins = self._begins_word[ids]
        begins[1:] |= ids[:-1] == (-1 if self._separator is None else self._separator)
        begins[np.concatenate(([0], ends[:-1]))] = True
        first = np.flatnonzero(begins)
        pieces = ids.tolist()
        words = [tuple(pieces[a:b]) for a, b in pairwise([*first.tolist(), len(pieces)])]
        drawn, counts = self.of_words(words, rng)
        return drawn, np.add.reduceat(counts, np.searchsorted(first, np.concatenate(([0], ends[:-1]))))

    @abstractmethod
    def of_words(self, words: Sequence[Word], rng: np.random.Generator) -> tuple[Ids, Ids]:
        """Samples a segmentation of each word: all ids, and the number of each word."""

    def text(self, word: Word) -> str:
        """Returns the characters of a word; empty for one that keeps its pieces."""
        return "".join(self.tokens[i] for i in word) if self._is_text[list(word)].all() else ""


class UnigramLattices(Segmentations):
    """P(segmentation)^alpha by forward filtering and backward sampling over the lattice of each word.

    A lattice has a node for each position between characters, and at node j an edge for each piece that ends there.
    With F_j the logarithm of the sum of P^alpha over the segmentations of the first j characters, an edge of score s
    that begins at i has probability exp(alpha s + F_i - F_j). Nodes are numbered across words, and the key of an edge
    is its node plus the cumulative probability, so that one search in sorted keys samples an edge of many words.
    """

    def __init__(self, vocabulary: SentencePieceVocabulary, alpha: float) -> None:
        super().__init__(vocabulary, alpha)
        self._forget()

    def _forget(self) -> None:
        self._last_node: dict[Word, int] = {}
        self._num_nodes = 0
        self._keys, self._pieces, self._from = array("d"), array("q"), array("q")  # -1: from the first node

    def of_words(self, words: Sequence[Word], rng: np.random.Generator) -> tuple[Ids, Ids]:
        if len(self._keys) > MAX_REMEMBERED:
            self._forget()
        nodes = np.fromiter((self._node(word) for word in words), np.int64, len(words))
        keys, pieces, origins = map(np.array, (self._keys, self._pieces, self._from))
        active, drawn, owners = np.arange(len(words)), [], []
        while len(active):
            edges = np.searchsorted(keys, nodes + rng.random(len(nodes)), side="right")
            drawn.append(pieces[edges])
            owners.append(active)
            nodes = origins[edges]
            nodes, active = nodes[nodes >= 0], active[nodes >= 0]
        owner = np.concatenate(owners[::-1])  # pieces were sampled from last to first
        order = np.argsort(owner, kind="stable")
        return np.concatenate(drawn[::-1])[order], np.bincount(owner, minlength=len(words))

    def _node(self, word: Word) -> int:
        """Returns the last node of a word, whose lattice is added if it is new."""
        if (node := self._last_node.get(word)) is not None:
            return node
        text = self.text(word)
        first = self._num_nodes
        edges_at = self._lattice(text) if text else [[(j, i, 1.0)] for j, i in enumerate(word)]
        self._num_nodes += len(edges_at) + 1
        for node, edges in enumerate(edges_at, start=first + 1):
            cumulative = 0.0
            for number, (begin, piece, probability) in enumerate(edges, start=1):
                cumulative = cumulative + probability if number < len(edges) else 1.0
                self._keys.append(node + cumulative)
                self._pieces.append(piece)
                self._from.append(first + begin if begin else -1)
        self._last_node[word] = self._num_nodes - 1
        return self._num_nodes - 1

    def _lattice(self, text: str) -> list[list[tuple[int, int, float]]]:
        """Returns, for each position from 1, the edges that end there: (begin, piece, probability)."""
        forward, edges_at = [0.0], []
        for end in range(1, len(text) + 1):
            edges = [
                (begin, text[begin:end], self.alpha * self.scores[text[begin:end]] + forward[begin])
                for begin in range(max(0, end - self.longest), end)
                if forward[begin] > -math.inf and text[begin:end] in self.scores
            ]
            highest = max((weight for _, _, weight in edges), default=-math.inf)
            total = highest + math.log(sum(math.exp(weight - highest) for _, _, weight in edges)) if edges else highest
            forward.append(total)
            edges_at.append([(begin, self.ids[piece], math.exp(weight - total)) for begin, piece, weight in edges])
        return edges_at


class BpeDropout(Segmentations):
    """Merges by rank; each of those that are possible before a merge is left out with probability alpha (Provilkov et
    al. 2020, algorithm 1)."""

    def of_words(self, words: Sequence[Word], rng: np.random.Generator) -> tuple[Ids, Ids]:
        draw = random.Random(int(rng.integers(1 << 62))).random  # numbers one by one are faster than from NumPy
        drawn = [self._merged(text, draw) if (text := self.text(word)) else word for word in words]
        return np.array([i for pieces in drawn for i in pieces]), np.array([len(pieces) for pieces in drawn])

    def _merged(self, text: str, draw: Callable[[], float]) -> Sequence[int]:
        """Returns the pieces of a word."""
        pieces = list(text)
        while True:
            scores = (self.scores.get(one + other) for one, other in pairwise(pieces))
            possible = [(score, -at) for at, score in enumerate(scores) if score is not None and draw() >= self.alpha]
            if not possible:
                return [self.ids[piece] for piece in pieces]
            at = -max(possible)[1]
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
