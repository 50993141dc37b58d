"""From attention between words to links: competition, the choice of each word, and both directions made one.

Symmetrization: Och & Ney 2003, section 4 (intersection, union, refined); Koehn, Och & Marcu 2003; Koehn et al. 2005,
"Edinburgh System Description for the 2005 IWSLT Speech Translation Evaluation" (grow-diag).
Intersection ⊆ grow-diag ⊆ union.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from nmt.alignment.link_options import ATTENTION, Symmetrization
from nmt.alignment.link_options import LinkOptions as LinkOptions
from nmt.alignment.links import Link, Weights

_NEIGHBOURS = ((0, -1), (-1, 0), (0, 1), (1, 0), (-1, -1), (1, -1), (-1, 1), (1, 1))


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

    With two directions the words choose by the mean of the two, in which a direction that is sure outvotes one that
    isn't.

    Args:
        weights: balanced attention or a posterior, which the words compare. [T_words, S_words]
        options: how links are chosen.
        backward: the same from a model of the other direction. [S_words, T_words]
    """
    if backward is not None:
        weights = (weights + backward.T) / np.float32(2)
    forward = extract_links(weights, options)
    if options.symmetrize == "none":
        return forward
    chosen = extract_links(weights.T, options)
    return symmetrize(forward, [(source, target) for target, source in chosen], options.symmetrize or "grow-diag")


def extract_links(weights: npt.NDArray[np.floating], options: LinkOptions) -> tuple[Link, ...]:
    """The links that target words choose from these weights, sorted. [T_words, S_words]"""
    if options.method == "threshold":
        targets, sources = np.nonzero(weights >= (options.threshold or ATTENTION))
    else:
        targets = np.flatnonzero(np.any(weights > 0, axis=1))
        sources = weights[targets].argmax(axis=1) if len(targets) else targets
    return tuple(sorted(zip(sources.tolist(), targets.tolist(), strict=True)))


def symmetrize(forward: Iterable[Link], backward: Iterable[Link], how: Symmetrization) -> tuple[Link, ...]:
    """The links of two directions as one alignment, sorted.

    Args:
        forward: links that each target word chose.
        backward: links that each source word chose, as (source, target) too.
        how: ``intersection`` and ``union`` as in set theory. ``grow-diag`` starts from the intersection and takes
            in neighbours, diagonal ones too, that are in the union and give a word its first link.
    """
    first, second = frozenset(forward), frozenset(backward)
    union, links = first | second, set(first & second)
    if how in ("intersection", "union"):
        return tuple(sorted(union if how == "union" else links))
    sources, targets = {source for source, _ in links}, {target for _, target in links}
    # Only links beside one that is in one direction alone can grow.
    beside = {(s + source, t + target) for s, t in union - links for source, target in _NEIGHBOURS} & union
    near = sorted(beside, key=lambda link: (link[1], link[0]))
    num_links = -1
    while num_links < len(links):  # passes over all links, new ones included, until a pass adds nothing
        num_links = len(links)
        for s, t in near:
            for source, target in _NEIGHBOURS if (s, t) in links else ():
                link = s + source, t + target
                if link in union and link not in links and (link[0] not in sources or link[1] not in targets):
                    links.add(link)
                    sources.add(link[0])
                    targets.add(link[1])
    return tuple(sorted(links))
