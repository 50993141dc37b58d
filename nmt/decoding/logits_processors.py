"""What a hypothesis may not say next. A rule sets logits to -inf; probabilities are not renormalised, so that the score
of a translation stays that of the model."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from nmt.data.vocabulary import Vocabulary

FORBIDDEN = float("-inf")


class Rule(Protocol):
    """Looks at N hypotheses with the t tokens so far, SOS among them."""

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor) -> None:
        """Change ``logits_NV`` in place. ``sentence_N``: which sentence of the batch a hypothesis translates."""


class NeverSpecial:
    """PAD and SOS are not part of a translation."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._ids = [vocabulary.pad, vocabulary.sos]

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor) -> None:
        logits_NV[:, self._ids] = FORBIDDEN


class EndAtLimit:
    """Only EOS is left when a translation has reached its greatest length.

    Args:
        limit_B: the most pieces of each sentence's translation, EOS counted.
        eos: id of EOS.
    """

    def __init__(self, limit_B: Tensor, eos: int) -> None:
        self._limit_B, self._eos = limit_B, eos
        self._shortest = int(limit_B.min())

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor) -> None:
        if tokens_Nt.shape[1] < self._shortest:
            return
        _leave_only(logits_NV, self._limit_B[sentence_N] <= tokens_Nt.shape[1], self._eos)


class ForcedPrefix:
    """A translation begins with given pieces.

    Args:
        prefixes: of each sentence; may be empty.
    """

    def __init__(self, prefixes: Sequence[Sequence[int]]) -> None:
        self._length_B = torch.tensor([len(prefix) for prefix in prefixes])
        self._longest = int(self._length_B.max())
        self._prefix_BT = torch.zeros(len(prefixes), self._longest, dtype=torch.long)
        for row, prefix in zip(self._prefix_BT, prefixes, strict=True):
            row[: len(prefix)] = torch.tensor(prefix, dtype=torch.long)

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor) -> None:
        position = tokens_Nt.shape[1] - 1
        if position >= self._longest:
            return
        sentence_N = sentence_N.cpu()
        forced_N = (position < self._length_B[sentence_N]).to(logits_NV.device)
        _leave_only(logits_NV, forced_N, self._prefix_BT[sentence_N, position].to(logits_NV.device))


class NoRepeatedNgram:
    """No run of ``size`` pieces comes twice in a translation (Paulus et al. 2018)."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor) -> None:
        if tokens_Nt.shape[1] <= self._size:  # SOS is no part of it
            return
        windows_NWn = tokens_Nt[:, 1:].unfold(1, self._size, 1)
        last_Nn = tokens_Nt[:, tokens_Nt.shape[1] - self._size + 1 :]
        seen_NW = (windows_NWn[:, :, :-1] == last_Nn[:, None]).all(2)
        row, window = seen_NW.nonzero(as_tuple=True)
        logits_NV[row, windows_NWn[row, window, -1]] = FORBIDDEN


class NeverPhrases:
    """Given runs of pieces never appear.

    Args:
        phrases: their pieces, one or more each.
    """

    def __init__(self, phrases: Sequence[Sequence[int]]) -> None:
        self._phrases = phrases

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor) -> None:
        for phrase in self._phrases:
            *beginning, last = phrase
            if len(beginning) >= tokens_Nt.shape[1]:
                continue
            tail = tokens_Nt[:, tokens_Nt.shape[1] - len(beginning) :]
            begun_N = (tail == torch.tensor(beginning, dtype=torch.long, device=tail.device)).all(1)
            logits_NV[begun_N, last] = FORBIDDEN


def _leave_only(logits_NV: Tensor, where_N: Tensor, token: int | Tensor) -> None:
    """Forbid all but one token (an id, or one for each row) in some rows."""
    rows = where_N.nonzero()[:, 0]
    if not len(rows):
        return
    chosen = token[rows] if isinstance(token, Tensor) else torch.full_like(rows, token)
    kept = logits_NV[rows, chosen]
    logits_NV[rows] = FORBIDDEN
    logits_NV[rows, chosen] = kept
