"""From attention between words to links: competition, the choice of each word, and both directions made one.

Symmetrization: Och & Ney 2003, section 4 (intersection, union, refined); Koehn, Och & Marcu 2003; Koehn et al. 2005,
"Edinburgh System Description for the 2005 IWSLT Speech Translation Evaluation" (grow-diag and its endings).
Intersection ⊆ grow-diag ⊆ grow-diag-final and grow-diag-final-and ⊆ union.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from nmt.alignment.links import Link, Links, Weights
from nmt.errors import UserError

LinkMethod = Literal["argmax", "threshold"]
Symmetrization = Literal["intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
SYMMETRIZATIONS: tuple[str, ...] = get_args(Symmetrization)

_NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True)
class LinkOptions:
    """How links are chosen by attention weights."""

    method: LinkMethod = "argmax"
    """See :func:`extract_links`; ``argmax`` applies to the weights after :func:`balance`."""
    threshold: float = 0.3
    """Least weight of a link of the method ``threshold``."""
    symmetrize: Symmetrization | Literal["none"] = "grow-diag"
    """How the choices of target and of source words become one alignment; ``none`` keeps those of target words."""


def balance(weights: npt.NDArray[np.floating]) -> Weights:
    """Attention [T_words, S_words] after one round of competition.

    Some source words (articles, the end of the sentence) have attention from all target words. So first the weights of
    each source word are normalised over the target words, and then those of each target word over the source words:
    one iteration of the balancing of Sinkhorn & Knopp 1967. Words without attention keep none.
    """
    balanced = np.asarray(weights, dtype=np.float64)
    for axis in (0, 1):
        total = balanced.sum(axis=axis, keepdims=True)
        balanced = np.divide(balanced, total, out=np.zeros_like(balanced), where=total > 0)
    return balanced.astype(np.float32)


def word_links(weights: Weights, options: LinkOptions, backward: Weights | None = None) -> tuple[Link, ...]:
    """Links between words, sorted.

    With two directions the words choose by the geometric mean of the two, as Liang et al. 2006 multiply the posteriors
    of two models: a cell with one high and one low weight loses to one with two medium weights.

    Args:
        weights: attention [T_words, S_words].
        options: how links are chosen.
        backward: attention [S_words, T_words] of a model of the other direction.

    Raises:
        UserError: an option is unknown or out of range.
    """
    prepare = balance if options.method == "argmax" else np.asarray
    compared = prepare(weights)
    if backward is not None:
        compared = np.sqrt(compared * prepare(backward).T)
    forward = extract_links(compared, options.method, options.threshold)
    if options.symmetrize == "none":
        return forward
    chosen = extract_links(compared.T, options.method, options.threshold)
    return symmetrize(forward, [(source, target) for target, source in chosen], options.symmetrize)


def extract_links(
    weights: npt.NDArray[np.floating], method: LinkMethod = "argmax", threshold: float = 0.3
) -> tuple[Link, ...]:
    """Links of the attention [T_words, S_words], sorted.

    Args:
        weights: as in :class:`nmt.alignment.links.WordAlignment`.
        method: ``argmax`` links each target word that has attention with the source word of the highest weight (the
            first of equals); ``threshold`` takes all cells of at least ``threshold``, so that a word may have several
            links or none.
        threshold: above 0, at most 1.

    Raises:
        UserError: the method is unknown or the threshold out of range.
    """
    if method == "threshold":
        if not 0 < threshold <= 1:
            raise UserError(
                f"alignment threshold {threshold} is not above 0 and at most 1",
                "Choose a share of the attention, for example 0.3.",
            )
        targets, sources = np.nonzero(weights >= threshold)
    elif method == "argmax":
        targets = np.flatnonzero(np.any(weights > 0, axis=1))
        sources = weights[targets].argmax(axis=1) if len(targets) else targets
    else:
        raise UserError(f"unknown alignment method '{method}'", "Choose argmax or threshold.")
    return tuple(sorted(zip(sources.tolist(), targets.tolist(), strict=True)))


def symmetrize(forward: Iterable[Link], backward: Iterable[Link], how: Symmetrization) -> tuple[Link, ...]:
    """The links of two directions as one alignment, sorted.

    Args:
        forward: links that each target word chose.
        backward: links that each source word chose, as (source, target) too.
        how: ``intersection`` and ``union`` as in set theory. ``grow-diag`` starts from the intersection and takes
            in neighbours, diagonal ones too, that are in the union and give a word its first link.
            ``grow-diag-final`` adds the rest of the union, forward links first, wherever one of the two words has
            no link yet; ``grow-diag-final-and`` only where both have none.

    Raises:
        UserError: ``how`` is unknown.
    """
    first, second = frozenset(forward), frozenset(backward)
    if how == "intersection":
        return tuple(sorted(first & second))
    if how == "union":
        return tuple(sorted(first | second))
    if how not in SYMMETRIZATIONS:
        raise UserError(f"unknown symmetrization '{how}'", f"Choose {', '.join(SYMMETRIZATIONS)}.")
    grown = _Growing(first & second)
    grown.grow(first | second)
    if how != "grow-diag":
        wanted = all if how == "grow-diag-final-and" else any
        grown.add_last(first, wanted)
        grown.add_last(second, wanted)
    return tuple(sorted(grown.links))


class _Growing:
    """A growing set of links, with the words that have a link."""

    def __init__(self, links: Links) -> None:
        self.links = set(links)
        self._sources = {source for source, _ in links}
        self._targets = {target for _, target in links}

    def _is_free(self, link: Link) -> tuple[bool, bool]:
        return link[0] not in self._sources, link[1] not in self._targets

    def _add(self, link: Link) -> None:
        self.links.add(link)
        self._sources.add(link[0])
        self._targets.add(link[1])

    def grow(self, union: Links) -> None:
        """Pass over the links by target word and then by source word, until a pass adds nothing."""
        order = sorted(union, key=lambda link: (link[1], link[0]))
        before = -1
        while before != len(self.links):
            before = len(self.links)
            for source, target in order:
                if (source, target) not in self.links:
                    continue
                for step_target, step_source in _NEIGHBOURS:
                    link = source + step_source, target + step_target
                    if link in union and link not in self.links and any(self._is_free(link)):
                        self._add(link)

    def add_last(self, links: Links, wanted: Callable[[Iterable[bool]], bool]) -> None:
        for link in sorted(links, key=lambda link: (link[1], link[0])):
            if link not in self.links and wanted(self._is_free(link)):
                self._add(link)
