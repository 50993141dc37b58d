"""The posterior of word links, given attention and the words, and the lexicon that is learned by it.

Attention is computed before the decoder chooses a word, so it can't tell which of two likely source words that word
translates. Once the words y_1 … y_T are known, the source words x_{a_1} … x_{a_T} that they translate have the
posterior of a hidden Markov model (Vogel et al. 1996) whose emissions are weighed with the attention A:

    p(a | x, y, A) ∝ Π_t A(t, a_t) · p(y_t | x_{a_t}) · j(a_t - a_{t-1}),    j(d) ∝ (1 + |d - 1|)^(-0.75)

p(y_t | x_s) is the lexicon. Words that follow one another often translate words that do, so the jump d is mostly 1.
The prior j is fixed and flat, because attention knows the order of words already. The lexicon is learned by
expectation-maximisation: from expected counts under attention alone, then under the posterior of the lexicon before.
No gold alignment is used.
"""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import numpy.typing as npt

from nmt.alignment.extract import balance
from nmt.alignment.lexicon import LEAST_SHARE, Lexicon
from nmt.alignment.links import Weights, WordAlignment

JUMP_DECAY = 0.75
NUM_ITERATIONS = 4
"""Of expectation-maximisation, after the counts under attention alone."""

Attended = tuple[tuple[str, ...], tuple[str, ...], Weights]
"""Source words, target words, and balanced attention. [T_words, S_words]"""
Probabilities = npt.NDArray[np.float64]


def posterior(source: Sequence[str], target: Sequence[str], weights: Weights, lexicon: Lexicon) -> Weights:
    """The probability that each target word translates each source word. [T_words, S_words]

    Source words without any attention, such as tags, have probability 0; where no word has any, all are 0.
    """
    return _posterior(source, target, balance(weights), lexicon)


def _posterior(source: Sequence[str], target: Sequence[str], balanced: Weights, lexicon: Lexicon) -> Weights:
    is_read = balanced.any(axis=0)
    if not is_read.any():
        return np.zeros_like(balanced)
    emissions = np.maximum(balanced, LEAST_SHARE) * lexicon.probability(source, target) * is_read
    return _forward_backward(emissions.astype(np.float64), _transitions(len(source))).astype(np.float32)


def learn_lexicon(alignments: Iterable[WordAlignment]) -> Lexicon:
    """Learn p(target word | source word) from sentence pairs with attention; their links aren't used.

    Memory doesn't grow with the number of pairs: their attention is in a temporary file, which each iteration reads.
    """
    with TemporaryFile() as file:
        lexicon = Lexicon.count(_kept(alignments, file))
        size = file.tell()
        for _ in range(NUM_ITERATIONS):
            lexicon = Lexicon.count((pair[0], pair[1], _posterior(*pair, lexicon)) for pair in _read(file, size))
    return lexicon


@lru_cache(64)
def _transitions(num_words: int) -> Probabilities:
    """p(a_t = column | a_{t-1} = row). [S, S]"""
    word = np.arange(num_words)
    jumps = (1.0 + np.abs(word[None] - word[:, None] - 1)) ** -JUMP_DECAY
    shares: Probabilities = jumps / jumps.sum(axis=1, keepdims=True)
    return shares


def _forward_backward(emissions_TS: Probabilities, transitions_SS: Probabilities) -> Probabilities:
    """Posteriors of the states of a hidden Markov model whose first state is uniform (Rabiner 1989). [T, S]"""
    emissions_TS = emissions_TS / emissions_TS.sum(axis=1, keepdims=True)  # a factor of a row changes nothing
    posteriors = emissions_TS.copy()
    for t in range(1, len(posteriors)):
        posteriors[t] *= posteriors[t - 1] @ transitions_SS
        posteriors[t] /= posteriors[t].sum()
    backward_S = np.ones(len(transitions_SS))
    for t in range(len(posteriors) - 2, -1, -1):
        backward_S = transitions_SS @ (emissions_TS[t + 1] * backward_S)
        backward_S /= backward_S.max()
        posteriors[t] *= backward_S
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    return posteriors


def _kept(alignments: Iterable[WordAlignment], file: IO[bytes]) -> Iterator[Attended]:
    for alignment in alignments:
        pair = alignment.source, alignment.target, balance(alignment.weights)
        pickle.dump(pair, file)
        yield pair


def _read(file: IO[bytes], size: int) -> Iterator[Attended]:
    file.seek(0)
    while file.tell() < size:
        yield pickle.load(file)
