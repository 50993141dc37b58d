"""Phrases that must appear in a translation (dynamic beam allocation, Post & Vilar 2018)."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

from torch import Tensor

from nmt.decoding.choice import NOTHING, Choice

Candidate = tuple[float, int, int]
"""Log-probability, hypothesis (index into K), piece."""


class Constraints:
    """The phrases of each sentence of a batch.

    Beside the likeliest continuations, those are considered that say the next piece of a phrase. The beam is then
    shared out among hypotheses that have said equally many pieces of phrases, so that those with many, which are
    unlikely at first, aren't crowded out. A hypothesis ends when it has said all of them; at the limit the others
    end, too, where the sentence has no translation yet.

    Sentences without phrases are searched as ever. For the others this works hypothesis by hypothesis, in Python.

    Args:
        phrases: for each sentence the pieces of each of its phrases.
        eos: id of EOS.
    """

    def __init__(self, phrases: Sequence[Sequence[Sequence[int]]], eos: int) -> None:
        self._phrases = [tuple({tuple(phrase) for phrase in of_sentence if phrase}) for of_sentence in phrases]
        self._eos = eos

    def choose(
        self,
        unconstrained: Choice,
        logits_BKV: Tensor,
        offset_BK: Tensor,
        tokens_BKt: Tensor,
        sentence_B: Tensor,
        has_finished_B: Tensor,
    ) -> Choice:
        """Choose anew for the sentences that have phrases.

        Args:
            unconstrained: the choice without them.
            logits_BKV, offset_BK: see :func:`nmt.decoding.choice.choose`.
            tokens_BKt: pieces so far, after SOS.
            sentence_B: which sentence of the batch this is.
            has_finished_B: whether it has a finished hypothesis.
        """
        result = Choice(*(getattr(unconstrained, f.name).clone() for f in fields(unconstrained)))
        for row, sentence in enumerate(sentence_B.tolist()):
            phrases = self._phrases[sentence]
            if not phrases or not offset_BK[row].isfinite().any():
                continue
            histories = tokens_BKt[row, :, 1:].tolist()
            candidates = self._candidates(unconstrained, row, logits_BKV[row], offset_BK[row], histories, phrases)
            ending, going = self._share_out(candidates, histories, phrases, offset_BK.shape[1])
            if not going and not ending and not has_finished_B[row]:
                ending = candidates
            result.ending_BK[row], result.going_BK[row] = NOTHING, NOTHING
            for place, (log_p, parent, _) in enumerate(ending[: offset_BK.shape[1]]):
                result.ending_BK[row, place], result.ending_parent_BK[row, place] = log_p, parent
            for place, (log_p, parent, token) in enumerate(going):
                result.going_BK[row, place] = log_p
                result.parent_BK[row, place], result.token_BK[row, place] = parent, token
        return result

    def _candidates(
        self,
        unconstrained: Choice,
        row: int,
        logits_KV: Tensor,
        offset_K: Tensor,
        histories: list[list[int]],
        phrases: Sequence[Sequence[int]],
    ) -> list[Candidate]:
        """The likeliest of all, the likeliest of each hypothesis, and those that say more of a phrase; best first."""
        kept = zip(unconstrained.parent_BK[row].tolist(), unconstrained.token_BK[row].tolist(), strict=True)
        places = set(kept)
        for parent, (offset, likeliest) in enumerate(zip(offset_K.tolist(), logits_KV.argmax(1).tolist(), strict=True)):
            if offset > NOTHING:
                following = {likeliest, self._eos, *_next_pieces(histories[parent], phrases)}
                places |= {(parent, token) for token in following}
        candidates = ((float(logits_KV[p, t]) + float(offset_K[p]), p, t) for p, t in places)
        return sorted((c for c in candidates if c[0] > NOTHING), reverse=True)

    def _share_out(
        self, candidates: list[Candidate], histories: list[list[int]], phrases: Sequence[Sequence[int]], size: int
    ) -> tuple[list[Candidate], list[Candidate]]:
        """The candidates that end, and those that go on: in turns one of each number of pieces said, most first."""
        banks: dict[int, list[Candidate]] = {}
        ending = []
        complete = sum(map(len, phrases))
        for candidate in candidates:
            _, parent, token = candidate
            if token != self._eos:
                banks.setdefault(num_matched([*histories[parent], token], phrases), []).append(candidate)
            elif num_matched(histories[parent], phrases) == complete:
                ending.append(candidate)
        queues = [iter(banks[said]) for said in sorted(banks, reverse=True)]
        going: list[Candidate] = []
        while queues and len(going) < size:
            queues = [queue for queue in queues if _take(queue, going, size)]
        return ending, going


def _take(queue: Iterator[Candidate], taken: list[Candidate], size: int) -> bool:
    """Take one while there is room; False when the queue is empty."""
    if len(taken) < size and (candidate := next(queue, None)) is not None:
        taken.append(candidate)
        return True
    return False


def num_matched(pieces: Sequence[int], phrases: Sequence[Sequence[int]]) -> int:
    """Pieces of phrases that are said: of whole ones, and of the longest that has just begun."""
    whole = begun = 0
    for phrase in phrases:
        if _contains(pieces, phrase):
            whole += len(phrase)
        else:
            begun = max(begun, _num_begun(pieces, phrase))
    return whole + begun


def _next_pieces(pieces: Sequence[int], phrases: Sequence[Sequence[int]]) -> set[int]:
    """For each phrase that is not said yet the piece that continues or begins it."""
    return {phrase[_num_begun(pieces, phrase)] for phrase in phrases if not _contains(pieces, phrase)}


def _contains(pieces: Sequence[int], phrase: Sequence[int]) -> bool:
    wanted = list(phrase)
    return any(list(pieces[i : i + len(wanted)]) == wanted for i in range(len(pieces) - len(wanted) + 1))


def _num_begun(pieces: Sequence[int], phrase: Sequence[int]) -> int:
    """The most first pieces of the phrase that the last pieces are, short of the whole phrase."""
    lengths = range(min(len(phrase) - 1, len(pieces)), 0, -1)
    return next((n for n in lengths if list(pieces[-n:]) == list(phrase[:n])), 0)
