"""Forced decoding: what a model attends to, word by word, when it is made to say a given translation.

B pairs of a batch, H heads, S source pieces, T target pieces, V target vocabulary, D width of the features.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from nmt.alignment.links import LinkMethod, WordAlignment, extract_links, mean_of_pieces, merge_to_words
from nmt.alignment.turns import merge_to_turns, turns_of_words
from nmt.alignment.words import Words
from nmt.data.batching import by_length, make_batch
from nmt.data.dialogue import source_pieces
from nmt.data.vocabulary import Piece, Vocabularies
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq

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


class ForcedAligner:
    """Aligns given sentence pairs by a model's attention.

    Args:
        model: in eval mode.
        vocabularies: those of the model.
        max_pieces: a longer side is cut here: words beyond have no links, and such a pair has no score.
        batch_size: pairs at a time.
        context: of a model of dialogues, the turns before the current one that it reads.

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
    ) -> None:
        if not model.decoder.head_names:
            raise UserError(
                "This model has no attention, so it can't align.",
                "Train one with attention, such as multi30k/bahdanau or multi30k/transformer.",
            )
        self._model, self._vocabularies = model, vocabularies
        self._max_pieces, self._batch_size, self._context = max_pieces, batch_size, context

    def __call__(
        self,
        pairs: Iterable[tuple[Words, Words]],
        method: LinkMethod = "argmax",
        threshold: float = 0.3,
        on_cut: Callable[[int, int], None] = lambda number, num_pieces: None,
    ) -> Iterator[WordAlignment]:
        """Alignments of the pairs, in order and in constant memory.

        Args:
            pairs: source and target words.
            method, threshold: how links are taken from the weights, see :func:`extract_links`.
            on_cut: called with the number of a pair that is cut, counted from 1, and the pieces of its longer side.
        """
        numbered = enumerate(pairs, start=1)
        while window := list(islice(numbered, WINDOW * self._batch_size)):
            prepared = [self._prepare(number, pair, on_cut) for number, pair in window]
            found: dict[int, WordAlignment] = {}
            for rows in by_length([pair.longest for pair in prepared], self._batch_size):
                aligned = self._align_batch([prepared[row] for row in rows], method, threshold)
                found.update(zip(rows, aligned, strict=True))
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
    def _align_batch(self, pairs: Sequence[Pair], method: LinkMethod, threshold: float) -> list[WordAlignment]:
        decoder = self._model.decoder
        ids = [(_ids(pair.source_pieces), _ids(pair.target_pieces)) for pair in pairs]
        batch = make_batch(ids, self._vocabularies).to(next(self._model.parameters()).device)
        unrolled = self._model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights=True)
        assert unrolled.weights_BHTS is not None
        weights_BTS = unrolled.weights_BHTS[:, list(decoder.alignment_heads)].mean(1).float().cpu().numpy()
        alignments = []
        for row, pair in enumerate(pairs):
            num_source, num_target = len(pair.source_pieces), len(pair.target_pieces)
            weights_TS = weights_BTS[row, :num_target, :num_source]
            owners = pair.source.of_pieces(pair.source_pieces), pair.target.of_pieces(pair.target_pieces)
            counts = len(pair.source.words), len(pair.target.words)
            weights = merge_to_words(weights_TS, *owners, *counts)
            links = extract_links(weights, method, threshold)
            # Pair by pair: log-probabilities of a whole batch over the vocabulary can take gigabytes.
            logits_TV = decoder.output(unrolled.features_BTD[row, : num_target + 1])
            score = None if pair.is_cut else _log_probability(logits_TV, batch.target_output_BT[row, : num_target + 1])
            alignment = WordAlignment(
                pair.source.words,
                pair.target.words,
                weights,
                links,
                score,
                source_figures=_of_words(unrolled.source_figures, row, owners[0], counts[0]),
                target_figures=_of_words(unrolled.figures, row, owners[1], counts[1]),
            )
            if self._context is not None:
                turn_weights = merge_to_turns(weights_TS, pair.source, pair.source_pieces, owners[1], counts[1])
                alignment = replace(alignment, turns=turns_of_words(pair.source), turn_weights=turn_weights)
            alignments.append(alignment)
        return alignments


def _of_words(
    figures: Mapping[str, Tensor], row: int, owners: Sequence[int], num_words: int
) -> dict[str, tuple[float, ...]]:
    """The figures of a sentence's tokens as those of its words."""
    return {
        name: mean_of_pieces(values[row, : len(owners)].float().cpu().numpy(), owners, num_words)
        for name, values in figures.items()
    }


def _log_probability(logits_TV: Tensor, target_T: Tensor) -> float:
    return float(logits_TV.float().log_softmax(-1).gather(1, target_T[:, None]).sum())


def _ids(pieces: Sequence[Piece]) -> list[int]:
    return [piece.id for piece in pieces]
