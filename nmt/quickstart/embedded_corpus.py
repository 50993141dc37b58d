"""The embedded corpus: 25,000 English-German sentence pairs with their true word alignments.

The pairs are read from a compressed file of the package, which was generated from a grammar. Each English sentence
occurs once and has one German translation.
"""

import bz2
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

PATH = Path(__file__).with_name("embedded_corpus.tsv.bz2")
"""A line has four columns: English tokens, German tokens, links in Pharaoh format, and construction."""

NUM_HELD_OUT = 1_000
"""Neither sentence of the first pairs, which are for validation and test, occurs in any other pair."""


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """An English sentence, its German translation, and the words of one that translate words of the other.

    Tokens are words and punctuation marks.
    """

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    links: tuple[tuple[int, int], ...]  # sorted pairs of a source and a target token, counted from 0
    construction: str = ""
    """Type of sentence: ``plain``, ``fronted``, ``number``, ``yes_no``, ``wh_question``, ``reported``, ``reason``,
    ``condition``, ``relative``, ``coordinated`` or ``attribute``."""

    @property
    def source(self) -> str:
        """The English sentence as text."""
        return _detokenise(self.source_tokens)

    @property
    def target(self) -> str:
        """The German sentence as text."""
        return _detokenise(self.target_tokens)


def _detokenise(tokens: tuple[str, ...]) -> str:
    return "".join(token if token in ".,?!" else f" {token}" for token in tokens).lstrip()


def splits(train: int = 24_000, valid: int = 500, test: int = 500) -> dict[str, list[AlignedPair]]:
    """Read the splits ``train``, ``valid`` and ``test`` of the given sizes.

    No English and no German sentence of ``valid`` or ``test`` occurs in another split.

    Raises:
        ValueError: ``valid`` and ``test`` together have more than 1,000 pairs, or ``train`` more than are left.
    """
    held_out = test + valid
    last = held_out + train if held_out <= NUM_HELD_OUT else None  # to read all takes a second
    with bz2.open(PATH, "rt", encoding="utf-8") as file:
        rows = (line.rstrip("\n").split("\t") for line in islice(file, last))
        pairs = [
            AlignedPair(tuple(source.split(" ")), tuple(target.split(" ")), _links(links), construction)
            for source, target, links, construction in rows
        ]
    if held_out > NUM_HELD_OUT or held_out + train > len(pairs):
        raise ValueError(f"the embedded corpus has {len(pairs):,} pairs, {NUM_HELD_OUT:,} of them for valid and test")
    return {"train": pairs[held_out : held_out + train], "valid": pairs[test:held_out], "test": pairs[:test]}


def _links(text: str) -> tuple[tuple[int, int], ...]:
    return tuple((int(source), int(target)) for source, target in (link.split("-") for link in text.split(" ")))
