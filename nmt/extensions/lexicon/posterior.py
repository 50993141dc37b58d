"""The posterior of word links, given attention, the words and a lexicon.

Attention is computed before the decoder chooses a word, so it can't tell which of two likely source words that word
translates. Once the words y_1 … y_T are known, the source words x_{a_1} … x_{a_T} that they translate have the
posterior of a hidden Markov model (Vogel et al. 1996) whose emissions are weighed with the attention A:

    p(a | x, y, A) ∝ Π_t A(t, a_t) · p(y_t | x_{a_t}) · j(a_t - a_{t-1}),    j(d) ∝ (1 + |d - 1|)^(-0.75)

p(y_t | x_s) is the lexicon. Words that follow one another often translate words that do, so the jump d is mostly 1.
The prior j is fixed and flat, because attention knows the order of words already.

The same model of the other direction, with p(x_s | y_t) by the same counts and with the same attention, errs elsewhere:
a source word that attracts every target word in one direction chooses one of them in the other. Links are chosen by the
mean of both posteriors.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from nmt.alignment.extract import balance
from nmt.alignment.lexicon import Lexicon, Probabilities
from nmt.alignment.links import Weights
from nmt.core.text import in_windows

JUMP_DECAY = 0.75
LEAST_SHARE = 0.01
"""Links with a lower posterior aren't counted; attention below it is raised to it."""

WINDOW = 1024
"""Sentence pairs that are read at a time."""
NUM_CELLS = 1 << 20
"""Pairs of words that are computed at a time."""
MAX_WORDS = 2048
"""Longest sentence with a table of jumps between words; the table takes 34 MB."""

Attended = tuple[Sequence[str], Sequence[str], Weights]
"""Source words, target words, and balanced attention. [T_words, S_words]"""


def posteriors(pairs: Iterable[Attended], lexicon: Lexicon) -> Iterator[tuple[Weights, Weights]]:
    """For each pair, the probabilities that each target word translates each source word. [T_words, S_words]

    The first are those of the target words' choice, whose rows sum to 1, the second are their mean with those of the
    source words' choice, which links are chosen by. Source words without any attention, such as tags, have probability
    0; where no word has any, all are 0. Beyond :data:`MAX_WORDS` words to choose from, each chooses independently.
    """
    for window in in_windows(pairs, WINDOW):
        forward = _of_direction(window, lexicon)
        turned = [(target, source, balance(balanced.T)) for source, target, balanced in window]
        backward = _of_direction(turned, lexicon.reversed)
        for (_, _, balanced), forward_TS, backward_ST in zip(window, forward, backward, strict=True):
            yield forward_TS, (forward_TS + backward_ST.T * balanced.any(axis=0)) / np.float32(2)


def _of_direction(pairs: Sequence[Attended], lexicon: Lexicon) -> list[Weights]:
    """The posterior of each pair, by the choices of its target words."""
    found = [np.zeros_like(balanced) for _, _, balanced in pairs]
    for rows in _batches([balanced for _, _, balanced in pairs]):
        for row, posterior_TS in zip(rows, _posteriors([pairs[row] for row in rows], lexicon), strict=True):
            found[row] = posterior_TS[: len(found[row])]
    return found


def _batches(weights: Sequence[Weights]) -> Iterator[list[int]]:
    """Indices of pairs with the same number of source words, on which transitions depend, and with any weight."""
    rows = sorted((row for row, found in enumerate(weights) if found.any()), key=lambda row: weights[row].shape[::-1])
    for size, group in groupby(rows, lambda row: len(weights[row][0])):
        left = list(group)
        while left:
            most = max(1, NUM_CELLS // (size * len(weights[left[-1]])))  # the last one has the most target words
            yield left[-most:]
            del left[-most:]


def _posteriors(pairs: Sequence[Attended], lexicon: Lexicon) -> Weights:
    """Posteriors of pairs with the same number of source words. [B, T, S]"""
    num_targets_B, num_source = np.array([len(target) for _, target, _ in pairs]), len(pairs[0][0])
    shape = len(pairs), num_targets_B.max()
    target_BT, balanced_BTS = np.zeros(shape, dtype=np.int64), np.zeros((*shape, num_source))
    for b, (_, target, balanced) in enumerate(pairs):
        target_BT[b, : len(target)], balanced_BTS[b, : len(target)] = lexicon.target_ids(target), balanced
    source_BS = np.stack([lexicon.source_ids(source) for source, _, _ in pairs])
    is_read_B1S = balanced_BTS.any(axis=1, keepdims=True)
    p_BTS = lexicon.probability_of_ids(source_BS[:, None], target_BT[:, :, None])
    emissions_BTS: Probabilities = np.maximum(balanced_BTS, LEAST_SHARE) * p_BTS * is_read_B1S
    if num_source > MAX_WORDS:
        independent_BTS: Weights = (emissions_BTS / emissions_BTS.sum(axis=2, keepdims=True)).astype(np.float32)
        return independent_BTS
    word = np.arange(num_source)
    jumps_SS = (1.0 + np.abs(word[None] - word[:, None] - 1)) ** -JUMP_DECAY  # from row to column
    transitions_SS: Probabilities = jumps_SS / jumps_SS.sum(axis=1, keepdims=True)
    return _forward_backward(emissions_BTS, num_targets_B, transitions_SS).astype(np.float32)


def _forward_backward(
    emissions_BTS: Probabilities, num_steps_B: npt.NDArray[np.int64], transitions_SS: Probabilities
) -> Probabilities:
    """Posteriors of the states of a hidden Markov model whose first state is uniform (Rabiner 1989). [B, T, S]

    Rows of a sentence beyond its number of steps mean nothing.
    """
    emissions_BTS = emissions_BTS / emissions_BTS.sum(axis=2, keepdims=True)  # a factor of a row changes nothing
    posteriors_BTS = emissions_BTS.copy()
    num_steps = emissions_BTS.shape[1]
    for t in range(1, num_steps):
        posteriors_BTS[:, t] *= posteriors_BTS[:, t - 1] @ transitions_SS
        posteriors_BTS[:, t] /= posteriors_BTS[:, t].sum(axis=1, keepdims=True)
    backward_BS = np.ones_like(emissions_BTS[:, 0])
    for t in range(num_steps - 2, -1, -1):
        backward_BS = (emissions_BTS[:, t + 1] * backward_BS) @ transitions_SS.T
        backward_BS /= backward_BS.max(axis=1, keepdims=True)
        backward_BS[num_steps_B <= t + 1] = 1.0
        posteriors_BTS[:, t] *= backward_BS
    posteriors_BTS /= posteriors_BTS.sum(axis=2, keepdims=True)
    return posteriors_BTS
