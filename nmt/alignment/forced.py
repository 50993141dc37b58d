"""What a model attends to, word by word, when it is made to say a given translation."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from torch import Tensor

from nmt.alignment.extract import LinkOptions, word_links
from nmt.alignment.heads import AlignmentHeads, HeadWeights, choose_heads
from nmt.alignment.lexicon import Lexicon, evidence
from nmt.alignment.links import Weights, WordAlignment
from nmt.alignment.words import Words, mean_of_pieces, merge_to_turns, merge_to_words, turns_of_words
from nmt.data.dialogue import source_pieces
from nmt.data.vocabulary import Piece, Vocabularies
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.scoring import Forced, force_all

DEFAULT = LinkOptions()
WINDOW = 32
"""Batches that are read before they are sorted by length and aligned."""


@dataclass(frozen=True)
class Pair:
    """A sentence pair in words and, as far as the model reads it, in pieces."""

    source: Words
    target: Words
    source_pieces: Sequence[Piece]
    target_pieces: Sequence[Piece]
    is_cut: bool


@dataclass(frozen=True)
class Attended:
    """What a model attends to in a pair, between its words."""

    pair: Pair
    weights_HTS: HeadWeights
    score: float | None
    turn_weights: Weights | None
    source_figures: Mapping[str, tuple[float, ...]]
    """Named figures of the words, such as their ponder steps."""
    target_figures: Mapping[str, tuple[float, ...]]
    probabilities: tuple[float, ...]


class ForcedAligner:
    """Aligns given sentence pairs by a model's attention.

    Args:
        model: in eval mode.
        vocabularies: those of the model.
        max_pieces: a longer side is cut here: words beyond have no links, and such a pair has no score.
        batch_size: pairs at a time.
        context: of a model of dialogues, the turns before the current one that it reads.
        heads: where the alignment is read; None for what the decoder holds for best.
        lexicon: what words are known to mean; links then weigh it with the attention.

    Raises:
        UserError: the model has no attention.
    """

    def __init__(
        self,
        model: Seq2Seq,
        vocabularies: Vocabularies,
        max_pieces: int,
        batch_size: int = 32,
        context: int | None = None,
        heads: AlignmentHeads | None = None,
        lexicon: Lexicon | None = None,
    ) -> None:
        if not model.decoder.head_names:
            raise UserError(
                "This model has no attention, so it can't align.",
                "Train one with attention, such as multi30k/bahdanau or multi30k/transformer.",
            )
        self._model, self._vocabularies = model, vocabularies
        self._max_pieces, self._batch_size, self._context = max_pieces, batch_size, context
        self.heads = heads or AlignmentHeads.of(model.decoder)
        self.lexicon = lexicon

    def __call__(
        self,
        pairs: Iterable[tuple[Words, Words]],
        options: LinkOptions = DEFAULT,
        on_cut: Callable[[int, int], None] = lambda number, num_pieces: None,
        all_heads: bool = False,
    ) -> Iterator[WordAlignment]:
        """Alignments of the pairs, in order and in constant memory.

        Args:
            pairs: source and target words.
            options: how links are taken from the weights.
            on_cut: called with the number of a pair that is cut, counted from 1, and the pieces of its longer side.
            all_heads: give the weights of every head, too.
        """
        wanted = range(len(self._model.decoder.head_names)) if all_heads else self.heads.heads
        chosen = list(self.heads.heads if all_heads else range(len(wanted)))
        for attended in self._attended(pairs, wanted, on_cut):
            weights, source = attended.weights_HTS[chosen].mean(axis=0), attended.pair.source
            target_words = attended.pair.target.words
            links = word_links(evidence(source.words, target_words, weights, self.lexicon), options)
            alignment = WordAlignment(
                source.words,
                target_words,
                weights,
                links,
                attended.score,
                source_figures=attended.source_figures,
                target_figures=attended.target_figures,
                probabilities=attended.probabilities,
                head_weights=list(attended.weights_HTS) if all_heads else None,
            )
            if attended.turn_weights is not None:
                alignment = replace(alignment, turns=turns_of_words(source), turn_weights=attended.turn_weights)
            yield alignment

    def choose_heads(self, pairs: Iterable[tuple[Words, Words]]) -> tuple[AlignmentHeads, list[float]]:
        """The heads that align best as far as can be told without a gold, see :func:`nmt.alignment.heads.choose_heads`.

        Returns:
            The heads, and how far each head of the decoder agrees with the mean of all.
        """
        everything = range(len(self._model.decoder.head_names))
        found = [attended.weights_HTS for attended in self._attended(pairs, everything)]
        chosen, agreement = choose_heads(found)
        return AlignmentHeads(chosen, self.heads.attention), agreement

    def _attended(
        self,
        pairs: Iterable[tuple[Words, Words]],
        heads: Sequence[int],
        on_cut: Callable[[int, int], None] = lambda number, num_pieces: None,
    ) -> Iterator[Attended]:
        """The attention of some heads in each pair."""
        numbered = enumerate(pairs, start=1)
        while window := list(islice(numbered, WINDOW * self._batch_size)):
            prepared = [self._prepare(number, pair, on_cut) for number, pair in window]
            ids = [(_ids(pair.source_pieces), _ids(pair.target_pieces)) for pair in prepared]
            found = force_all(self._model, ids, self._vocabularies, self._batch_size, heads)
            for pair, forced in zip(prepared, found, strict=True):
                yield self._in_words(pair, forced)

    def _prepare(self, number: int, pair: tuple[Words, Words], on_cut: Callable[[int, int], None]) -> Pair:
        source, target = pair
        pieces = source_pieces(self._vocabularies.source, source.text, self._context, self._max_pieces)
        target_pieces = self._vocabularies.target.pieces(target.text)
        limit, longest = self._max_pieces, max(len(pieces), len(target_pieces))
        if longest > limit:
            on_cut(number, longest)
        return Pair(source, target, pieces[:limit], target_pieces[:limit], longest > limit)

    def _in_words(self, pair: Pair, forced: Forced) -> Attended:
        """From the attention between pieces to that between words and, of a dialogue, to turns."""
        assert forced.weights_HTS is not None
        first = 1 if self.heads.attention == "input" else 0  # a piece is read one step after it is predicted
        num_pieces = len(pair.target_pieces)
        pieces_HTS = forced.weights_HTS[:, first : first + num_pieces].cpu().numpy()
        source_words = pair.source.of_pieces(pair.source_pieces)
        target_words = pair.target.of_pieces(pair.target_pieces)
        sizes = len(pair.source.words), len(pair.target.words)
        weights_HTS = np.stack([merge_to_words(head_TS, source_words, target_words, *sizes) for head_TS in pieces_HTS])
        turn_weights = None
        if self._context is not None:
            mean_TS = pieces_HTS.mean(axis=0)
            turn_weights = merge_to_turns(mean_TS, pair.source, pair.source_pieces, target_words, sizes[1])
        score = None if pair.is_cut else float(forced.log_probability_T.sum())
        return Attended(
            pair,
            weights_HTS,
            score,
            turn_weights,
            source_figures=_of_words(forced.source_figures, source_words, sizes[0]),
            target_figures=_of_words(forced.target_figures, target_words, sizes[1]),
            probabilities=_probabilities(forced.log_probability_T[:num_pieces], target_words, sizes[1]),
        )


def both_directions(
    forward: Iterable[WordAlignment],
    backward: Iterable[WordAlignment],
    options: LinkOptions,
    lexicons: tuple[Lexicon | None, Lexicon | None] = (None, None),
) -> Iterator[WordAlignment]:
    """Alignments of the same pairs by two models, the second of them of the other direction, made one.

    Words, weights and score are those of the first; the links are chosen among what both agree on.
    """
    for ahead, back in zip(forward, backward, strict=True):
        weights = evidence(ahead.source, ahead.target, ahead.weights, lexicons[0])
        reverse = evidence(back.source, back.target, back.weights, lexicons[1])
        yield replace(ahead, links=word_links(weights, options, reverse))


def _of_words(figures: Mapping[str, Tensor], owners: Sequence[int], num_words: int) -> dict[str, tuple[float, ...]]:
    """The figures of a sentence's pieces as those of its words."""
    return {name: mean_of_pieces(values.float().cpu().numpy(), owners, num_words) for name, values in figures.items()}


def _probabilities(log_probability_T: Tensor, owners: Sequence[int], num_words: int) -> tuple[float, ...]:
    """Of words, from those of their pieces."""
    log_p_W = np.zeros(num_words)
    for log_p, word in zip(log_probability_T.tolist(), owners, strict=True):
        if word >= 0:
            log_p_W[word] += log_p
    return tuple(np.exp(log_p_W).tolist())


def _ids(pieces: Sequence[Piece]) -> list[int]:
    return [piece.id for piece in pieces]
