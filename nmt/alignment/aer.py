"""Alignment error rate: predicted links against a gold of sure and possible links.

Och & Ney 2003, "A Systematic Comparison of Various Statistical Alignment Models", section 6.1. With the
predicted links A, the sure links S and the possible links P, where S is a subset of P:

    precision = |A ∩ P| / |A|
    recall    = |A ∩ S| / |S|
    AER       = 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|)

so that a possible link may be predicted or left out at no cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.alignment.links import Links, read_pharaoh
from nmt.core.console import warn
from nmt.core.errors import UserError

MIN_LINES = 5
"""With fewer lines that have links, the first number of words can't be told."""


@dataclass(frozen=True)
class AlignmentScore:
    """Figures of a whole test set, from the counts of links in all sentences."""

    precision: float  # 0 to 1; 0 where nothing is predicted
    recall: float  # 0 to 1; 0 where there is no sure link
    aer: float  # 0 (perfect) to 1
    num_links: int  # |A|, the predicted links
    num_sure: int  # |S|
    num_possible: int  # |P|, sure links included
    num_sentences: int  # sentence pairs


def score_links(predicted: Sequence[Links], sure: Sequence[Links], possible: Sequence[Links]) -> AlignmentScore:
    """Precision, recall and AER of the predicted links, summed over the sentences.

    Args:
        predicted, sure, possible: a set of (source, target) for each sentence pair. Sure links count as
            possible whether or not ``possible`` repeats them.

    Raises:
        ValueError: the three have different lengths.
    """
    allowed = [sure_links | links for sure_links, links in zip(sure, possible, strict=True)]
    num_links, num_sure, num_possible = (sum(map(len, links)) for links in (predicted, sure, allowed))
    hits_sure = sum(len(links & correct) for links, correct in zip(predicted, sure, strict=True))
    hits_possible = sum(len(links & correct) for links, correct in zip(predicted, allowed, strict=True))
    total = num_links + num_sure
    return AlignmentScore(
        precision=hits_possible / num_links if num_links else 0.0,
        recall=hits_sure / num_sure if num_sure else 0.0,
        aer=1 - (hits_sure + hits_possible) / total if total else 0.0,
        num_links=num_links,
        num_sure=num_sure,
        num_possible=num_possible,
        num_sentences=len(predicted),
    )


def score_files(links_path: Path, gold_path: Path, possible_path: Path | None = None) -> AlignmentScore:
    """Score a Pharaoh file of predicted links against a gold, with a warning where a file counts words from 1.

    Args:
        links_path: the predicted links, however they are marked.
        gold_path: a Pharaoh file whose ``i-j`` are sure and whose ``i?j`` are possible.
        possible_path: a second Pharaoh file; all its links are possible.

    Raises:
        UserError: a file is bad, the files differ in length, or there is no sure link to score against.
    """
    paths = (links_path, gold_path, *([possible_path] if possible_path is not None else []))
    files = {path: read_pharaoh(path) for path in paths}
    for path in paths:
        if len(files[path]) != len(files[gold_path]):
            raise UserError(
                f"{path} has {len(files[path]):,} lines, {gold_path} has {len(files[gold_path]):,}.",
                "Both need a line for each sentence pair, in the same order; a pair without links is an empty line.",
            )
    sure = [links for links, _ in files[gold_path]]
    if not any(sure):
        raise UserError(
            f"the gold alignment {gold_path} holds no sure link",
            "Give a Pharaoh file with a line for each sentence pair and links such as 0-0 1-2.",
        )
    marked = {path: [links | possible for links, possible in lines] for path, lines in files.items()}
    _warn_of_numbers(marked)
    allowed = [known.union(*more) for known, *more in zip(*(marked[path] for path in paths[1:]), strict=True)]
    return score_links(marked[links_path], sure, allowed)


def _warn_of_numbers(files: Mapping[Path, Sequence[Links]]) -> None:
    """Warn where a file has no word 0 on either side and another has it on both: some tools count words from 1."""
    has_zero = {}
    for path, lines in files.items():
        if sum(map(bool, lines)) >= MIN_LINES:
            has_zero[path] = [any(link[side] == 0 for links in lines for link in links) for side in (0, 1)]
    from_one = [path for path, sides in has_zero.items() if not any(sides)]
    if from_one and any(all(sides) for sides in has_zero.values()):
        names = " and ".join(map(str, from_one))
        warn(f"{names} seems to count words from 1, not from 0: no link has a word 0. Subtract 1 from its numbers.")
