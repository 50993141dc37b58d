"""Forced decoding: what a model attends to, word by word, when it is made to say a given translation.

B pairs of a batch, H heads, S source pieces, T target pieces, V target vocabulary, D width of the features.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from nmt.alignment.extract import LinkOptions, word_links
from nmt.alignment.heads import AlignmentHeads, HeadWeights, choose_heads
from nmt.alignment.lexicon import Lexicon, evidence
from nmt.alignment.links import Weights, WordAlignment, merge_to_words
from nmt.alignment.turns import merge_to_turns, turns_of_words
from nmt.alignment.words import Words
from nmt.data.batching import by_length, make_batch
from nmt.data.dialogue import source_pieces
from nmt.data.vocabulary import Piece, Vocabularies
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq

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

    @property
    def longest(self) -> int:
        return max(len(self.source_pieces), len(self.target_pieces))


@dataclass(frozen=True)
class Forced:
    """What a model attends to in a pair, between its words."""

    pair: Pair
    weights_HTS: HeadWeights
    score: float | None
    turn_weights: Weights | None


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
    ) -> Iterator[WordAlignment]:
        """Alignments of the pairs, in order and in constant memory.

        Args:
            pairs: source and target words.
            options: how links are taken from the weights.
            on_cut: called with the number of a pair that is cut, counted from 1, and the pieces of its longer side.
        """
        for forced in self._forced(pairs, self.heads.heads, on_cut):
            weights, source = forced.weights_HTS.mean(axis=0), forced.pair.source
            target_words = forced.pair.target.words
            links = word_links(evidence(source.words, target_words, weights, self.lexicon), options)
            alignment = WordAlignment(source.words, target_words, weights, links, forced.score)
            if forced.turn_weights is not None:
                alignment = replace(alignment, turns=turns_of_words(source), turn_weights=forced.turn_weights)
            yield alignment

    def choose_heads(self, pairs: Iterable[tuple[Words, Words]]) -> tuple[AlignmentHeads, list[float]]:
        """The heads that align best as far as can be told without a gold, see :func:`nmt.alignment.heads.choose_heads`.

        Returns:
            The heads, and how far each head of the decoder agrees with the mean of all.
        """
        everything = range(len(self._model.decoder.head_names))
        found = [forced.weights_HTS for forced in self._forced(pairs, everything)]
        chosen, agreement = choose_heads(found)
        return AlignmentHeads(chosen, self.heads.attention), agreement

    def _forced(
        self,
        pairs: Iterable[tuple[Words, Words]],
        heads: Sequence[int],
        on_cut: Callable[[int, int], None] = lambda number, num_pieces: None,
    ) -> Iterator[Forced]:
        """The attention of some heads in each pair."""
        numbered = enumerate(pairs, start=1)
        while window := list(islice(numbered, WINDOW * self._batch_size)):
            prepared = [self._prepare(number, pair, on_cut) for number, pair in window]
            found: dict[int, Forced] = {}
            for rows in by_length([pair.longest for pair in prepared], self._batch_size):
                found.update(zip(rows, self._force_batch([prepared[row] for row in rows], heads), strict=True))
            yield from (found[row] for row in range(len(prepared)))

    def _prepare(self, number: int, pair: tuple[Words, Words], on_cut: Callable[[int, int], None]) -> Pair:
        source, target = pair
        pieces = source_pieces(self._vocabularies.source, source.text, self._context, self._max_pieces)
        target_pieces = self._vocabularies.target.pieces(target.text)
        limit, longest = self._max_pieces, max(len(pieces), len(target_pieces))
        if longest > limit:
            on_cut(number, longest)
        return Pair(source, target, pieces[:limit], target_pieces[:limit], longest > limit)

    @torch.inference_mode()
    def _force_batch(self, pairs: Sequence[Pair], heads: Sequence[int]) -> list[Forced]:
        decoder = self._model.decoder
        ids = [(_ids(pair.source_pieces), _ids(pair.target_pieces)) for pair in pairs]
        batch = make_batch(ids, self._vocabularies).to(next(self._model.parameters()).device)
        unrolled = self._model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights=True)
        assert unrolled.weights_BHTS is not None
        weights_BHTS = unrolled.weights_BHTS[:, list(heads)].float().cpu().numpy()
        first = 1 if self.heads.attention == "input" else 0  # a piece is read one step after it is predicted
        found = []
        for row, pair in enumerate(pairs):
            num_source, num_target = len(pair.source_pieces), len(pair.target_pieces)
            pieces_HTS = weights_BHTS[row, :, first : first + num_target, :num_source]
            # Pair by pair: log-probabilities of a whole batch over the vocabulary can take gigabytes.
            logits_TV = decoder.output(unrolled.features_BTD[row, : num_target + 1])
            score = None if pair.is_cut else _log_probability(logits_TV, batch.target_output_BT[row, : num_target + 1])
            found.append(self._in_words(pair, pieces_HTS, score))
        return found

    def _in_words(self, pair: Pair, pieces_HTS: HeadWeights, score: float | None) -> Forced:
        """From the attention between pieces to that between words and, of a dialogue, to turns."""
        source_words, target_words = (
            pair.source.of_pieces(pair.source_pieces),
            pair.target.of_pieces(pair.target_pieces),
        )
        sizes = len(pair.source.words), len(pair.target.words)
        weights_HTS = np.stack([merge_to_words(head_TS, source_words, target_words, *sizes) for head_TS in pieces_HTS])
        turn_weights = None
        if self._context is not None:
            mean_TS = pieces_HTS.mean(axis=0)
            turn_weights = merge_to_turns(mean_TS, pair.source, pair.source_pieces, target_words, sizes[1])
        return Forced(pair, weights_HTS, score, turn_weights)


def both_directions(
    forward: Iterable[WordAlignment],
    backward: Iterable[WordAlignment],
    options: LinkOptions,
    lexicons: tuple[Lexicon | None, Lexicon | None] = (None, None),
) -> Iterator[WordAlignment]:
    """Alignments of the same pairs by two models, the second of them of the other direction, made one.

    Words, weights and score are those of the first; the links are made of the choices of both.
    """
    for ahead, back in zip(forward, backward, strict=True):
        weights = evidence(ahead.source, ahead.target, ahead.weights, lexicons[0])
        reverse = evidence(back.source, back.target, back.weights, lexicons[1])
        yield replace(ahead, links=word_links(weights, options, reverse))


def _log_probability(logits_TV: Tensor, target_T: Tensor) -> float:
    return float(logits_TV.float().log_softmax(-1).gather(1, target_T[:, None]).sum())


def _ids(pieces: Sequence[Piece]) -> list[int]:
    return [piece.id for piece in pieces]
