"""Phrases that must appear in a translation: beam search with dynamic beam allocation (Post & Vilar 2018)."""

from collections.abc import Sequence
from dataclasses import fields
from math import inf

import torch
from torch import Tensor

from nmt.decoding.hypotheses import Choice

Candidate = tuple[float, int, int]  # log-probability, hypothesis (index into K), token
Phrase = tuple[int, ...]

MAX_EOS_RANK = 2
"""A hypothesis ends only where EOS is one of this many likeliest tokens. Few hypotheses contain all phrases, so an end
in the middle of a sentence isn't crowded out by likelier continuations of others, as it is without phrases."""


class BeamAllocation:
    """The phrases of each sentence of a batch.

    Beside the likeliest continuations, those that continue a phrase are considered. The beam is then divided among
    hypotheses that have matched equally many tokens of phrases, so that those with many, which are unlikely at first,
    aren't crowded out. A hypothesis ends when it contains all phrases and EOS is likely; at the limit the others end,
    too, where the sentence has no translation yet.

    A hypothesis that ends in a full stop and whose likeliest continuation is EOS is over: where it lacks phrases, it is
    dropped, and they begin behind it only where no other hypothesis is left and there is no translation yet.

    Sentences without phrases are searched as usual. For the others this works hypothesis by hypothesis, in Python.
    """

    def __init__(
        self, phrases: Sequence[Sequence[Sequence[int]]], eos: int, full_stops: frozenset[int] = frozenset()
    ) -> None:
        self._phrases = [tuple({tuple(phrase) for phrase in of_sentence if phrase}) for of_sentence in phrases]
        self._eos, self._full_stops = eos, full_stops
        self.concern_B = torch.tensor([bool(of_sentence) for of_sentence in self._phrases])

    def choose(
        self,
        unconstrained: Choice,
        logits_BKV: Tensor,
        offset_BK: Tensor,
        tokens_BKt: Tensor,
        sentence_B: Tensor,
        has_finished_B: Tensor,
    ) -> Choice:
        """Choose again for the sentences that have phrases; see :class:`nmt.decoding.constraints.PhraseConstraints`."""
        result = Choice(*(getattr(unconstrained, f.name).clone() for f in fields(unconstrained)))
        beam_size = offset_BK.shape[1]
        for row, sentence in enumerate(sentence_B.tolist()):
            phrases = self._phrases[sentence]
            if not phrases or not offset_BK[row].isfinite().any():
                continue
            histories = tokens_BKt[row, :, 1:].tolist()
            candidates = self._candidates(unconstrained, row, logits_BKV[row], offset_BK[row], histories, phrases)
            going_on = [c for c in candidates if not self._is_over(c, logits_BKV[row], histories, phrases)]
            ending, kept = self._allocate(going_on, histories, phrases, beam_size)
            if not kept and not ending and not has_finished_B[row]:
                ending, kept = self._allocate(candidates, histories, phrases, beam_size)
                ending = ending if kept else candidates
            result.ending_BK[row], result.open_BK[row] = -inf, -inf
            for place, (log_p, parent, _) in enumerate(ending[:beam_size]):
                result.ending_BK[row, place], result.ending_parent_BK[row, place] = log_p, parent
            for place, (log_p, parent, token) in enumerate(kept):
                result.open_BK[row, place] = log_p
                result.parent_BK[row, place], result.token_BK[row, place] = parent, token
        return result

    def _candidates(
        self,
        unconstrained: Choice,
        row: int,
        logits_KV: Tensor,
        offset_K: Tensor,
        histories: list[list[int]],
        phrases: Sequence[Phrase],
    ) -> list[Candidate]:
        """The likeliest of all and of each hypothesis, those that continue a phrase, and likely ends; best first."""
        places = set(zip(unconstrained.parent_BK[row].tolist(), unconstrained.token_BK[row].tolist(), strict=True))
        likeliest_KR = logits_KV.topk(MAX_EOS_RANK).indices.tolist()
        for parent, (offset, likeliest) in enumerate(zip(offset_K.tolist(), likeliest_KR, strict=True)):
            if offset > -inf:
                history = histories[parent]
                missing = [phrase for phrase in phrases if not _contains(history, phrase)]
                following = {likeliest[0], *(phrase[_num_begun(history, phrase)] for phrase in missing)}
                following |= {self._eos}.intersection(likeliest)
                places |= {(parent, token) for token in following}
        candidates = ((float(logits_KV[p, t]) + float(offset_K[p]), p, t) for p, t in places)
        return sorted((c for c in candidates if c[0] > -inf), reverse=True)

    def _is_over(
        self, candidate: Candidate, logits_KV: Tensor, histories: list[list[int]], phrases: Sequence[Phrase]
    ) -> bool:
        """Whether a candidate continues a sentence that has ended and lacks phrases, none of which has begun."""
        history = histories[candidate[1]]
        if not self._full_stops.intersection(history[-1:]) or int(logits_KV[candidate[1]].argmax()) != self._eos:
            return False
        missing = [phrase for phrase in phrases if not _contains(history, phrase)]
        return bool(missing) and not any(_num_begun(history, phrase) for phrase in missing)

    def _allocate(
        self, candidates: list[Candidate], histories: list[list[int]], phrases: Sequence[Phrase], size: int
    ) -> tuple[list[Candidate], list[Candidate]]:
        """The candidates that end, and ``size`` others: in turns one of each number of tokens matched, most first."""
        banks: dict[int, list[Candidate]] = {}
        ending = []
        for candidate in candidates:
            _, parent, token = candidate
            if token != self._eos:
                banks.setdefault(num_matched([*histories[parent], token], phrases), []).append(candidate)
            elif all(_contains(histories[parent], phrase) for phrase in phrases):
                ending.append(candidate)
        # Candidates by their rank in their bank, then by the number of tokens matched.
        ranked = sorted((rank, -matched, c) for matched, bank in banks.items() for rank, c in enumerate(bank))
        return ending, [candidate for _, _, candidate in ranked[:size]]


def num_matched(tokens: Sequence[int], phrases: Sequence[Phrase]) -> int:
    """Tokens of phrases that a hypothesis contains: of whole phrases, and of the longest that has just begun."""
    whole = begun = 0
    for phrase in phrases:
        if _contains(tokens, phrase):
            whole += len(phrase)
        else:
            begun = max(begun, _num_begun(tokens, phrase))
    return whole + begun


def _contains(tokens: Sequence[int], phrase: Phrase) -> bool:
    return any(tuple(tokens[i : i + len(phrase)]) == phrase for i in range(len(tokens) - len(phrase) + 1))


def _num_begun(tokens: Sequence[int], phrase: Phrase) -> int:
    """The most first tokens of the phrase that the last tokens are, short of the whole phrase."""
    lengths = range(min(len(phrase) - 1, len(tokens)), 0, -1)
    return next((n for n in lengths if tuple(tokens[-n:]) == phrase[:n]), 0)
