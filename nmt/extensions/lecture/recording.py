"""A recorder of beam search: the tree of all continuations that were considered, with the result of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from nmt.decoding.beam import top_continuations
from nmt.decoding.hypotheses import BeamStep

Fate = Literal["kept", "finished", "dropped", "pruned", "stopped"]
"""Result of a step for a continuation: ``kept`` in the beam, ``finished`` by EOS, ``dropped`` because others were more
probable, ``pruned`` by the threshold ``prune``, or ``stopped`` because the sentence had enough finished ones."""


@dataclass(frozen=True)
class Node:
    """A continuation of a hypothesis by a token."""

    parent: int
    """Index of the node that is continued; -1 for one that follows SOS."""
    step: int
    """Number of the step, from 0 on: the token's position in the translation."""
    token: int
    log_probability: float
    """Log-probability of the whole hypothesis."""
    fate: Fate
    score: float | None = None
    """Log-probability under the length and coverage penalties; of finished hypotheses alone."""


@dataclass
class SearchTree:
    """All continuations of a sentence that a beam search considered, step by step, the most probable first."""

    nodes: list[Node] = field(default_factory=list)
    beam: dict[int, int] = field(default_factory=dict)
    """Node of each hypothesis (index into K) that is continued."""
    num_steps: int = 0

    def tokens(self, node: int) -> list[int]:
        """Returns the tokens from the first one to that of a node."""
        tokens = []
        while node >= 0:
            tokens.append(self.nodes[node].token)
            node = self.nodes[node].parent
        return tokens[::-1]


class BeamRecorder:
    """An observer of beam search that records the tree of each sentence.

    The continuations of a step are the 2K best, from which plain beam search chooses, and those that beam groups or
    constraints have chosen beyond these.

    Attributes:
        trees: those of the sentences by number.
    """

    def __init__(self, eos: int) -> None:
        self._eos = eos
        self.trees: dict[int, SearchTree] = {}

    def __call__(self, numbers: Sequence[int], step: BeamStep) -> None:
        found = top_continuations(step.logits_LV, step.offset_BK, 2 * step.offset_BK.shape[1], step.live_L)
        considered = zip(*(part.tolist() for part in found), strict=True)
        for row, (number, of_sentence) in enumerate(zip(numbers, considered, strict=True)):
            tree = self.trees.setdefault(number, SearchTree())
            _record(tree, step, row, self._eos, zip(*of_sentence, strict=True))


def _record(tree: SearchTree, step: BeamStep, row: int, eos: int, considered: Iterable[tuple[float, int, int]]) -> None:
    """Adds a step of one sentence to its tree.

    Args:
        row: the sentence (index into B).
        considered: log-probability, hypothesis (index into K) and token of the best continuations.
    """
    choice, number = step.choice, tree.num_steps
    places: dict[tuple[int, int], Node] = {}

    def add(parent: int, token: int, log_p: float, fate: Fate, score: float | None = None) -> None:
        if log_p > -inf:
            places[parent, token] = Node(tree.beam.get(parent, -1), number, token, log_p, fate, score)

    for log_p, parent, token in considered:
        add(parent, token, log_p, "dropped")
    ending = choice.ending_BK[row], choice.ending_parent_BK[row], step.ending_score_BK[row]
    for log_p, parent, score in zip(*(part.tolist() for part in ending), strict=True):
        add(parent, eos, log_p, "finished", score)
    kept = [part[row].tolist() for part in (choice.open_BK, choice.parent_BK, choice.token_BK, step.open_BK)]
    is_done = bool(step.done_B[row])
    for log_p, parent, token, after in zip(*kept, strict=True):
        add(parent, token, log_p, "kept" if after > -inf else "stopped" if is_done else "pruned")

    ranked = sorted(places, key=lambda place: -places[place].log_probability)
    index_of = {place: len(tree.nodes) + rank for rank, place in enumerate(ranked)}
    tree.nodes += [places[place] for place in ranked]
    tree.beam = {k: index_of[place] for k, place in enumerate(zip(kept[1], kept[2], strict=True)) if kept[3][k] > -inf}
    tree.num_steps += 1
