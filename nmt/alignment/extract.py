"""From attention between words to links: competition, the choice of each word, and both directions made one."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from nmt.alignment.links import Link, LinkMethod, Weights, extract_links
from nmt.alignment.symmetrize import Symmetrization, symmetrize


@dataclass(frozen=True)
class LinkOptions:
    """How links are taken from attention."""

    method: LinkMethod = "argmax"
    """See :func:`nmt.alignment.links.extract_links`; argmax is of the :func:`balance` of the attention."""
    threshold: float = 0.3
    """Least weight of a link of the method ``threshold``."""
    symmetrize: Symmetrization | Literal["none"] = "grow-diag"
    """How the choices of target and of source words become one alignment; ``none`` keeps those of target words."""


def balance(weights: npt.NDArray[np.floating]) -> Weights:
    """Attention [T_words, S_words] after one round of competition.

    Attention says where a target word looks, not which target word a source word belongs to, and some source words
    (articles, the end of the sentence) are looked at by all. So each source word first shares one unit out among the
    target words, and then each target word one unit among the source words: one round of the balancing of
    Sinkhorn & Knopp 1967. Words without attention keep none.
    """
    shared = _shares(np.asarray(weights, dtype=np.float64), axis=0)
    return _shares(shared, axis=1).astype(np.float32)


def _shares(weights: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    total = weights.sum(axis=axis, keepdims=True)
    shares: npt.NDArray[np.float64] = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return shares


def word_links(weights: Weights, options: LinkOptions, backward: Weights | None = None) -> tuple[Link, ...]:
    """Links between words, sorted.

    With two directions the words choose among what both agree on: the geometric mean of the two, as Liang et al. 2006
    multiply the posteriors of two models. A cell that one of them is sure of and the other hardly looks at gives way
    to one that both hold possible, which links that were chosen by each alone can't show.

    Args:
        weights: attention [T_words, S_words].
        options: how.
        backward: attention [S_words, T_words] of a model of the other direction.

    Raises:
        UserError: an option is unknown or out of range.
    """
    compared = _compared(weights, options)
    if backward is not None:
        compared = np.sqrt(compared * _compared(backward, options).T)
    forward = extract_links(compared, options.method, options.threshold)
    if options.symmetrize == "none":
        return forward
    chosen = extract_links(compared.T, options.method, options.threshold)
    return symmetrize(forward, [(source, target) for target, source in chosen], options.symmetrize)


def _compared(weights: Weights, options: LinkOptions) -> Weights:
    """What a word compares before it chooses."""
    return balance(weights) if options.method == "argmax" else weights
