"""Two directions of links made into one: the heuristics of phrase-based translation.

Och & Ney 2003, section 4 (intersection, union, refined); Koehn, Och & Marcu 2003, and Koehn et al. 2005,
"Edinburgh System Description for the 2005 IWSLT Speech Translation Evaluation" (grow-diag and its endings).
Both directions are given as (source, target). Intersection ⊆ grow-diag ⊆ grow-diag-final and
grow-diag-final-and ⊆ union.
"""

from collections.abc import Callable, Iterable
from typing import Literal, get_args

from nmt.alignment.links import Link, Links
from nmt.errors import UserError

Symmetrization = Literal["intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
SYMMETRIZATIONS: tuple[str, ...] = get_args(Symmetrization)

_NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def symmetrize(forward: Iterable[Link], backward: Iterable[Link], how: Symmetrization) -> tuple[Link, ...]:
    """The links of two directions as one alignment, sorted.

    Args:
        forward: links that each target word chose.
        backward: links that each source word chose, as (source, target) too.
        how: ``intersection`` and ``union`` as in set theory. ``grow-diag`` starts from the intersection and takes
            in neighbours, diagonal ones too, that are in the union and give a word its first link.
            ``grow-diag-final`` adds what is left of the union, forward links first, wherever one of the two
            words has no link yet; ``grow-diag-final-and`` only where both have none.

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
    """A set of links that knows which words have one."""

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
        """Passes over the target words, and for each over the source words, until one adds nothing."""
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
