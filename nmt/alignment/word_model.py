"""Which words translate each other, learned from pairs of sentences without a network."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

NUM_ITERATIONS = 4
PRIOR = 1.0
"""Pseudo-counts of a source word, divided among the target words by their frequency."""
EMPTY = 0.08
"""Prior probability of the empty word, where links near the diagonal are preferred."""


class WordModel:
    """IBM Model 1 (Brown et al. 1993) of one direction, which scores pairs that it was trained on without themselves.

    Without that, words that occur once would explain each other, also in pairs that are no translations.

    Args:
        sources, targets: ids of the words of sentences; 0 is an unknown word, and also the empty source word.
        diagonal: λ of the preference for links near the diagonal (Dyer et al. 2013, equation 2); 0 for Model 1.
    """

    def __init__(self, sources: Sequence[Ids], targets: Sequence[Ids], num_targets: int, diagonal: float = 0.0) -> None:
        self._size = num_targets
        frequency = np.bincount(np.concatenate(targets), minlength=num_targets)
        self._share = np.maximum(frequency, 1) / max(frequency.sum(), 1)
        keys, lengths = _links(sources, targets, num_targets)
        self._keys, inverse = np.unique(keys, return_inverse=True)
        del keys
        of_source, of_target = np.divmod(self._keys, num_targets)
        shapes = [(len(words), len(other)) for words, other in zip(sources, targets, strict=True)]
        priors = {shape: _nearness(*shape, diagonal).ravel() for shape in set(shapes)} if diagonal else {}
        prior = np.concatenate([priors[shape] for shape in shapes]) if diagonal else 1.0
        probability = np.ones(len(self._keys))
        for _ in range(NUM_ITERATIONS):
            self._counted_by = probability  # what the contribution of a single pair to the counts is computed from
            posterior = _normalised(probability[inverse] * prior, lengths)
            self._counts = np.bincount(inverse, posterior, len(self._keys))
            self._totals = np.bincount(of_source, self._counts)
            smoothed = self._counts + PRIOR * self._share[of_target]
            probability = smoothed / (self._totals[of_source] + PRIOR)
        self._probability = probability

    def table(self, least: float) -> tuple[Ids, Ids, Floats]:
        """Returns the source and the target word of the pairs whose p(target | source) is no less, and this."""
        rows = np.flatnonzero(self._probability >= least)
        return *np.divmod(self._keys[rows], self._size), self._probability[rows]

    def explaining(self, source: Ids, target: Ids) -> list[int]:
        """Returns the place of the source word that explains each target word best, from 1; 0 is the empty word."""
        key = np.append(0, source) * self._size + target[:, None]
        at = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        places: list[int] = np.where(self._keys[at] == key, self._probability[at], 0.0).argmax(axis=1).tolist()
        return places

    def scores(self, sources: Sequence[Ids], targets: Sequence[Ids], counted: npt.NDArray[np.bool_]) -> Floats:
        """Mean pointwise mutual information of each target word and the source word that explains it best, in nats.

        Args:
            sources, targets: as in the constructor, each with a word at least.
            counted: whether a pair is one of those that the model was trained on.
        """
        key, lengths = _links(sources, targets, self._size)
        source, target = np.divmod(key, self._size)
        at = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        counts = np.where(self._keys[at] == key, self._counts[at], 0.0)
        totals = self._totals[np.minimum(source, len(self._totals) - 1)]
        own = _normalised(self._counted_by[at], lengths)
        own *= np.repeat(counted, [(len(s) + 1) * len(t) for s, t in zip(sources, targets, strict=True)])
        probability = np.maximum(counts - own, 0) + PRIOR * self._share[target]
        probability /= np.maximum(totals - own, 0) + PRIOR
        starts = _starts(lengths)
        information = np.log(np.maximum.reduceat(probability, starts) / self._share[target[starts]])
        num_words = np.array([len(words) for words in targets])
        means: Floats = np.add.reduceat(information, _starts(num_words)) / num_words
        return means


def _links(sources: Sequence[Ids], targets: Sequence[Ids], num_targets: int) -> tuple[Ids, Ids]:
    """Pairs of a source word, or the empty one, and a target word, in one number; how many each target word has."""
    pairs = [(np.append(0, s) * num_targets + t[:, None]).ravel() for s, t in zip(sources, targets, strict=True)]
    return np.concatenate(pairs), np.repeat([len(s) + 1 for s in sources], list(map(len, targets)))


def _starts(lengths: Ids) -> Ids:
    return np.append(0, np.cumsum(lengths)[:-1])


def _normalised(values: Floats, lengths: Ids) -> npt.NDArray[np.float64]:
    return np.asarray(values / np.repeat(np.add.reduceat(values, _starts(lengths)), lengths), np.float64)


def _nearness(num_sources: int, num_targets: int, diagonal: float) -> Floats:
    """Prior probabilities of the source words, of which the first is the empty one, for each target word. [T, S + 1]"""
    source, target = ((np.arange(size) + 0.5) / size for size in (num_sources, num_targets))
    near_TS = np.exp(-diagonal * np.abs(source - target[:, None]))
    near_TS *= (1 - EMPTY) / near_TS.sum(axis=1, keepdims=True)
    return np.concatenate([np.full((num_targets, 1), EMPTY), near_TS], axis=1)
