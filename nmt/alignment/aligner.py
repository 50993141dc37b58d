"""Word alignment by the attention of a model in forced decoding."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain, repeat, tee

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nmt.alignment.extract import LinkOptions, balance, word_links
from nmt.alignment.heads import AlignmentHeads
from nmt.alignment.lexicon import Lexicon
from nmt.alignment.links import Weights, WordAlignment
from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import in_windows
from nmt.data.batch import Ids
from nmt.data.dialogue import TAB, turns_of
from nmt.data.vocabulary.base import Piece
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.words import Words
from nmt.decoding.forced import ForcedScore, force_all
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.registry import provided
from nmt.tasks.base import Task

DEFAULT = LinkOptions()
WINDOW = 32
"""Batches that are read before they are sorted by length and aligned."""

WordPair = tuple[Words, Words]
Membership = npt.NDArray[np.float64]
"""[pieces, words]: 1 where a piece belongs to a word; a piece of no word has a row of zeros."""
Known = tuple[Ids, ForcedScore] | None


class AttentionAligner:
    """Aligns given sentence pairs by a model's attention.

    Args:
        model: in eval mode.
        max_pieces: a longer side is cut here: words beyond have no links, and such a pair has no score.
        files: the model directory, with what ``nmt learn-alignment`` wrote; without it the heads are those of the
            decoder.

    Attributes:
        heads: where the alignment is read.
        lexicon: word translations that are weighed with the attention when links are chosen; None for none.
        attribute: gives, for the ids of source and target without EOS, weights [T, S] in place of those of attention,
            EOS of both counted, such as those of :mod:`nmt.extensions.lecture.attribution`; None for attention.

    Raises:
        UserError: the model has no attention.
    """

    def __init__(
        self,
        model: Seq2Seq,
        vocabularies: Vocabularies,
        max_pieces: int,
        task: Task,
        files: ModelDirectory | None = None,
        batch_size: int = 32,
    ) -> None:
        if not model.decoder.heads:
            raise UserError(
                "This model has no attention, so it can't align.",
                "Train one with attention, such as multi30k/bahdanau or multi30k/transformer.",
            )
        self.model, self.vocabularies, self.files = model, vocabularies, files
        self.max_pieces, self.task, self._batch_size = max_pieces, task, batch_size
        self.attribute: Callable[[Ids, Ids], Tensor] | None = None
        self.heads = AlignmentHeads.load(files.alignment, model.decoder) if files else AlignmentHeads.of(model.decoder)

    @cached_property
    def lexicon(self) -> Lexicon | None:
        return Lexicon.load(self.files.lexicon) if self.files and self.files.lexicon.is_file() else None

    def __call__(
        self,
        pairs: Iterable[WordPair],
        options: LinkOptions = DEFAULT,
        *,
        reverse: "AttentionAligner | None" = None,
        all_heads: bool = False,
        scores: bool = True,
        warns: bool = True,
    ) -> Iterator[WordAlignment]:
        """Alignments of the pairs, in order and in constant memory.

        Args:
            options: how links are chosen.
            reverse: the aligner of a model of the other direction: links are chosen by the mean of both, while all
                else is from this model.
            all_heads: give the weights of every head, too.
            scores: give scores and probabilities; links alone take two thirds of the time.
            warns: warn of pairs that are cut.
        """
        options = options.resolved(self.lexicon is not None)
        ahead, back = tee(pairs) if reverse is not None else (pairs, ())
        found = self.compared(ahead, options, all_heads=all_heads, scores=scores, warns=warns)
        backward: Iterable[Weights | None] = repeat(None)
        if reverse is not None:
            others = reverse.compared(((target, source) for source, target in back), options)
            backward = (compared_ST for *_, compared_ST in others)
        return (
            replace(alignment, links=word_links(compared_TS, options, compared_ST))
            for (alignment, _, compared_TS), compared_ST in zip(found, backward, strict=reverse is not None)
        )

    def attended_words(self, line: str, target: Sequence[int]) -> list[str]:
        """For each token of a translation, given as ids, the source word that holds the piece of the highest weight."""
        pieces = self.task.reader.source_pieces(self.vocabularies.source, line, self.max_pieces)[: self.max_pieces]
        pair = _ids(pieces), target
        (forced,) = force_all(self.model, [pair], self.vocabularies, 1, self.heads.heads, scores=False)
        words = Words.split_punctuation(line)
        word_of = [words.words[word] if word >= 0 else "" for word in words.of_pieces(pieces)]
        weights_TS = self._weights(forced, len(target)).mean(axis=0)
        weights_TS[:, self._are_tags(pieces)] = -1
        return [word_of[piece] for piece in weights_TS.argmax(axis=1)]

    def compared(
        self,
        pairs: Iterable[WordPair],
        options: LinkOptions = DEFAULT,
        *,
        all_heads: bool = False,
        scores: bool = False,
        warns: bool = False,
        posterior: bool = True,
        margins_only: bool = False,
        known: Iterable[Known] = (),
    ) -> Iterator[tuple[WordAlignment, Weights, Weights]]:
        """Returns each alignment, without links, and two kinds of weights; see :meth:`__call__`. [T_words, S_words]

        The first are the posterior of the source words of each target word, the second select the links. Without a
        lexicon both are the balanced attention, and without ``posterior`` the attention itself.
        ``margins_only``: of the scores, give only the margins, which takes less time.
        ``known``: for each pair the ids of a target and its forced decoding, which isn't computed if these
        are the ids of the pair's target.
        """
        pairs = ((source, self.task.target_words(target)) for source, target in pairs)
        alignments = self.attended(pairs, all_heads, scores, warns, margins_only, known)
        if self.lexicon is None or not posterior:
            is_balanced = posterior and options.method != "threshold"
            weights = ((found, balance(found.weights) if is_balanced else found.weights) for found in alignments)
            return ((found, weights_TS, weights_TS) for found, weights_TS in weights)
        alignments, again = tee(alignments)
        balanced = ((found.source, found.target, balance(found.weights)) for found in again)
        posteriors = provided("link posteriors", "Alignment by a lexicon")
        found = zip(alignments, posteriors(balanced, self.lexicon), strict=True)
        return ((alignment, *of_pair) for alignment, of_pair in found)

    def attended(
        self,
        pairs: Iterable[WordPair],
        all_heads: bool = False,
        scores: bool = False,
        warns: bool = False,
        margins_only: bool = False,
        known: Iterable[Known] = (),
    ) -> Iterator[WordAlignment]:
        """The attention between the words of each pair; without links."""
        wanted = range(len(self.model.decoder.heads)) if all_heads else self.heads.heads
        number, limit, of_pairs = 0, self.max_pieces, chain(known, repeat(None))
        for window in in_windows(pairs, WINDOW * self._batch_size):
            pieces = [self._pieces(source, target) for source, target in window]
            for both in pieces:
                number += 1
                if warns and (longest := max(map(len, both))) > limit:
                    warn(f"line {number} has {longest:,} pieces: only the first {limit} are aligned.")
            ids = [(_ids(source[:limit]), _ids(target[:limit])) for source, target in pieces]
            given = [
                _without_padding(each[1], len(source)) if each is not None and each[0] == target else None
                for (source, target), each in zip(ids, of_pairs, strict=False)
            ]
            left = [sides for sides, each in zip(ids, given, strict=True) if each is None]
            forced_left = iter(
                force_all(self.model, left, self.vocabularies, self._batch_size, wanted, scores, margins_only)
            )
            for pair, both, sides, each in zip(window, pieces, ids, given, strict=True):
                forced = each or next(forced_left)
                if self.attribute is not None:
                    forced = replace(forced, weights_HTS=self.attribute(*sides)[None])
                yield self._in_words(pair, both, forced, all_heads)

    def _pieces(self, source: Words, target: Words) -> tuple[list[Piece], list[Piece]]:
        pieces = self.task.reader.source_pieces(self.vocabularies.source, source.text, self.max_pieces)
        return pieces, self.vocabularies.target.pieces(target.text)

    def _are_tags(self, pieces: Sequence[Piece]) -> list[bool]:
        """Returns whether each source piece is a tag, which no target word translates."""
        tags = set(self.vocabularies.source.tags.values())
        return [piece.id in tags for piece in pieces]

    def _weights(self, forced: ForcedScore, num_tokens: int) -> npt.NDArray[np.float32]:
        """Attention of the steps that the alignment of each target token is read at. [H, T, S]"""
        assert forced.weights_HTS is not None
        # A token is read one step after it is predicted, which is what attribution concerns.
        first = 1 if self.heads.attention == "input" and self.attribute is None else 0
        weights_HTS: npt.NDArray[np.float32] = forced.weights_HTS[:, first : first + num_tokens, :-1].cpu().numpy()
        return weights_HTS

    def _in_words(
        self, pair: WordPair, pieces: tuple[list[Piece], list[Piece]], forced: ForcedScore, all_heads: bool
    ) -> WordAlignment:
        """From the attention between pieces to that between words and, of a dialogue, to turns."""
        source, target = pair
        read, predicted = (side[: self.max_pieces] for side in pieces)
        is_cut = max(map(len, pieces)) > self.max_pieces
        weights_HTS = self._weights(forced, len(predicted))
        source_words, target_words = source.of_pieces(read), target.of_pieces(predicted)
        source_words = [-1 if is_tag else word for word, is_tag in zip(source_words, self._are_tags(read), strict=True)]
        of_source, of_target = membership(source_words, len(source.words)), membership(target_words, len(target.words))
        # Words are merged once, unless each head is wanted: the mean of heads and the merge are linear.
        read_HTS = weights_HTS if all_heads else weights_HTS.mean(axis=0, keepdims=True)
        heads = list(merge_to_words(read_HTS, of_source, of_target))
        score, probabilities, margins, log_p_T = None, None, None, forced.log_probability_T
        if len(log_p_T) and not is_cut:
            probabilities = tuple(np.exp(log_p_T[: len(predicted)].cpu().numpy() @ of_target).tolist())
            score = float(log_p_T.sum())
        if len(forced.margin_T) and not is_cut:
            *of_pieces, of_end = forced.margin_T.tolist()
            least_W = np.where(of_target > 0, np.reshape(of_pieces, (-1, 1)), 0).min(axis=0, initial=0)
            margins = (*least_W.tolist(), of_end)
        turn_weights = None
        if self.task.reader.has_turns:
            turn_weights = merge_to_turns(weights_HTS.mean(axis=0), source, read, of_target)
        return WordAlignment(
            source.words,
            target.words,
            np.mean([heads[head] for head in self.heads.heads], axis=0) if all_heads else heads[0],
            links=(),
            score=score,
            turns=turns_of_words(source) if turn_weights is not None else (),
            turn_weights=turn_weights,
            source_diagnostics=_of_words(forced.source_diagnostics, of_source),
            target_diagnostics=_of_words(forced.target_diagnostics, of_target),
            probabilities=probabilities,
            margins=margins,
            head_weights=heads if all_heads else None,
        )


def membership(words: Sequence[int], num_words: int) -> Membership:
    """Returns the membership of pieces, given the index of the word of each, or -1 for a piece of no word."""
    return np.equal.outer(np.asarray(words, dtype=np.int64), np.arange(num_words)).astype(np.float64)


def merge_to_words(weights_TS: npt.NDArray[np.floating], of_source: Membership, of_target: Membership) -> Weights:
    """Turn attention between pieces into attention between words, for one head or for several.

    The weight of a source word is the sum over its pieces; the weights of a target word are the mean over its pieces
    (Clark et al. 2019, "What Does BERT Look At?"). The weight of pieces of no word (EOS) is dropped, so that rows may
    sum to less than 1. Words without a piece get a column or a row of zeros.

    Args:
        weights_TS: attention of the pieces, [..., T_pieces, S_pieces].

    Returns:
        [..., target words, source words] float32.
    """
    return np.asarray(mean_of_pieces(weights_TS, of_target) @ of_source, dtype=np.float32)


def mean_of_pieces(values_PX: npt.NDArray[np.floating], of_words: Membership) -> npt.NDArray[np.float64]:
    """The mean of the values of each word's pieces; 0 for a word without a piece. [..., words, X]"""
    means: npt.NDArray[np.float64] = (of_words / np.maximum(of_words.sum(axis=0), 1)).T @ values_PX
    return means


def turns_of_words(source: Words) -> tuple[int, ...]:
    """The turn of each source word, counted from the first of the line, 0."""
    return tuple(turns_of(source.text, [begin for begin, _ in source.spans]))


def merge_to_turns(
    weights_TS: npt.NDArray[np.floating],
    source: Words,
    source_pieces: Sequence[Piece],
    of_target: Membership,
) -> Weights:
    """Turn attention between pieces into attention of target words to turns; separators belong to their turns.

    Args:
        weights_TS: attention of the pieces, [T_pieces, S_pieces]; the rest to 1 of a row is the attention to EOS.
        source, source_pieces: the words and the pieces that were read.
        of_target: of the target; words without a piece get a row of zeros.

    Returns:
        [target words, turns] float32. For hierarchical attention these are the weights of the utterances.
    """
    num_turns = source.text.count(TAB) + 1
    of_turns = membership(turns_of(source.text, [piece.begin for piece in source_pieces]), num_turns)
    merged, has_piece = merge_to_words(weights_TS, of_turns, of_target), of_target.any(axis=0)
    merged[has_piece, -1] = np.maximum(1 - merged[has_piece, :-1].sum(axis=1), 0)  # EOS ends the current turn
    return merged


def _of_words(of_pieces: Mapping[str, Tensor], of_words: Membership) -> dict[str, tuple[float, ...]]:
    """The diagnostics of a sentence's pieces as those of its words."""
    means = {name: mean_of_pieces(values.float().cpu().numpy(), of_words) for name, values in of_pieces.items()}
    return {name: tuple(mean_W.tolist()) for name, mean_W in means.items()}


def _without_padding(forced: ForcedScore, num_source: int) -> ForcedScore:
    assert forced.weights_HTS is not None
    return replace(forced, weights_HTS=forced.weights_HTS[:, :, : num_source + 1])  # EOS counted


def _ids(pieces: Sequence[Piece]) -> list[int]:
    return [piece.id for piece in pieces]
