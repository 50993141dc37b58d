"""What a model attends to, word by word, when it is made to say a given translation."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from torch import Tensor

from nmt.alignment.links import LinkMethod, WordAlignment, extract_links, mean_of_pieces, merge_to_words
from nmt.alignment.turns import merge_to_turns, turns_of_words
from nmt.alignment.words import Words
from nmt.data.dialogue import source_pieces
from nmt.data.vocabulary import Piece, Vocabularies
from nmt.decoding.forced import Forced, force_all
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
            ids = [(_ids(pair.source_pieces), _ids(pair.target_pieces)) for pair in prepared]
            found = force_all(self._model, ids, self._vocabularies, self._batch_size, need_weights=True)
            for pair, forced in zip(prepared, found, strict=True):
                yield self._in_words(pair, forced, method, threshold)

    def _prepare(self, number: int, pair: tuple[Words, Words], on_cut: Callable[[int, int], None]) -> Pair:
        source, target = pair
        pieces = source_pieces(self._vocabularies.source, source.text, self._context, self._max_pieces)
        target_pieces = self._vocabularies.target.pieces(target.text)
        limit, longest = self._max_pieces, max(len(pieces), len(target_pieces))
        if longest > limit:
            on_cut(number, longest)
        return Pair(source, target, pieces[:limit], target_pieces[:limit], longest > limit)

    def _in_words(self, pair: Pair, forced: Forced, method: LinkMethod, threshold: float) -> WordAlignment:
        assert forced.weights_TS is not None
        weights_TS = forced.weights_TS.cpu().numpy()
        source_words, target_words = (
            pair.source.of_pieces(pair.source_pieces),
            pair.target.of_pieces(pair.target_pieces),
        )
        num_words = len(pair.target.words)
        weights = merge_to_words(weights_TS, source_words, target_words, len(pair.source.words), num_words)
        links = extract_links(weights, method, threshold)
        score = None if pair.is_cut else float(forced.log_probability_T.sum())
        source_figures = _of_words(forced.source_figures, source_words, len(pair.source.words))
        target_figures = _of_words(forced.target_figures, target_words, num_words)
        words = pair.source.words, pair.target.words
        alignment = WordAlignment(
            *words, weights, links, score, source_figures=source_figures, target_figures=target_figures
        )
        if self._context is None:
            return alignment
        turn_weights = merge_to_turns(weights_TS, pair.source, pair.source_pieces, target_words, num_words)
        return replace(alignment, turns=turns_of_words(pair.source), turn_weights=turn_weights)


def _of_words(figures: Mapping[str, Tensor], owners: Sequence[int], num_words: int) -> dict[str, tuple[float, ...]]:
    """The figures of a sentence's pieces as those of its words."""
    return {name: mean_of_pieces(values.float().cpu().numpy(), owners, num_words) for name, values in figures.items()}


def _ids(pieces: Sequence[Piece]) -> list[int]:
    return [piece.id for piece in pieces]
