"""The embedded corpus: 25,000 English-German sentence pairs with their true word alignments.

The pairs are read from a compressed file of the package, which ``tools/make_embedded_corpus.py`` generates from a
grammar. Each English sentence occurs once and has one German translation.
"""

import bz2
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PATH = Path(__file__).with_name("embedded_corpus.tsv.bz2")
"""A line has four columns: English tokens, German tokens, links in Pharaoh format, and construction."""

NUM_HELD_OUT = 1_000
"""Neither sentence of the first pairs, which are for validation and test, occurs in any other pair."""


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """An English sentence, its German translation, and the words of one that translate words of the other.

    Attributes:
        source_tokens: English words and punctuation marks.
        target_tokens: German words and punctuation marks.
        links: sorted pairs of a source and a target token, counted from 0.
        construction: type of sentence: ``plain``, ``fronted``, ``number``, ``yes_no``, ``wh_question``, ``reported``,
            ``reason``, ``condition``, ``relative``, ``coordinated`` or ``attribute``.
    """

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    links: tuple[tuple[int, int], ...]
    construction: str = ""

    @property
    def source(self) -> str:
        """The English sentence as text."""
        return detokenise(self.source_tokens)

    @property
    def target(self) -> str:
        """The German sentence as text."""
        return detokenise(self.target_tokens)


def detokenise(tokens: tuple[str, ...]) -> str:
    """Join tokens into text, with a space before every token except the first and punctuation marks."""
    return "".join(token if token in ".,?!" else f" {token}" for token in tokens).lstrip()


def splits(train: int = 24_000, valid: int = 500, test: int = 500) -> dict[str, list[AlignedPair]]:
    """Read the splits ``train``, ``valid`` and ``test`` of the given sizes.

    No English and no German sentence of ``valid`` or ``test`` occurs in another split.

    Raises:
        ValueError: ``valid`` and ``test`` together have more than 1,000 pairs, or ``train`` more than are left.
    """
    with bz2.open(PATH, "rt", encoding="utf-8") as file:
        pairs = [_parse(line) for line in file]
    held_out = test + valid
    if held_out > NUM_HELD_OUT or held_out + train > len(pairs):
        raise ValueError(f"the embedded corpus has {len(pairs):,} pairs, {NUM_HELD_OUT:,} of them for valid and test")
    return {"train": pairs[held_out : held_out + train], "valid": pairs[test:held_out], "test": pairs[:test]}


def write(pairs: Iterable[AlignedPair], path: Path) -> None:
    """Write pairs in the format of :data:`PATH`; equal pairs give equal bytes."""
    with bz2.open(path, "wt", encoding="utf-8", newline="\n") as file:
        for pair in pairs:
            links = " ".join(f"{source}-{target}" for source, target in pair.links)
            columns = (" ".join(pair.source_tokens), " ".join(pair.target_tokens), links, pair.construction)
            file.write("\t".join(columns) + "\n")


def _parse(line: str) -> AlignedPair:
    source, target, links, construction = line.rstrip("\n").split("\t")
    numbers = (link.split("-") for link in links.split(" "))
    return AlignedPair(
        tuple(source.split(" ")), tuple(target.split(" ")), tuple((int(s), int(t)) for s, t in numbers), construction
    )
