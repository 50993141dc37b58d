"""What a model directory learns about alignment from parallel text, without a gold: the heads to read, a lexicon."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from nmt.alignment.forced import ForcedAligner
from nmt.alignment.heads import FILE_NAME as HEADS
from nmt.alignment.heads import AlignmentHeads, short_name
from nmt.alignment.lexicon import FILE_NAME as LEXICON
from nmt.alignment.lexicon import Lexicon
from nmt.alignment.links import WordAlignment
from nmt.alignment.words import Words
from nmt.errors import UserError
from nmt.models.interfaces import Decoder

NUM_PAIRS_FOR_HEADS = 500
"""Sentence pairs that heads are chosen on; agreement hardly changes with more."""


@dataclass(frozen=True)
class Learned:
    """What was written to the model directory."""

    heads: AlignmentHeads
    agreement: dict[str, float] | None
    """Of each head with the mean of all heads; None where heads were not chosen: there is one, or they were known."""
    lexicon: Lexicon
    num_pairs: int


def learn(
    aligner: ForcedAligner,
    decoder: Decoder,
    pairs: Iterable[tuple[Words, Words]],
    directory: Path,
    on_progress: Callable[[], None] = lambda: None,
) -> Learned:
    """Choose heads, unless ``alignment.json`` names them already, then learn the lexicon; both are written.

    Args:
        aligner: without a lexicon.
        decoder: that of its model.
        pairs: in words, punctuation apart.
        directory: the model directory.
        on_progress: called after each pair.

    Raises:
        UserError: there is no pair to learn from, or a file can't be written.
    """
    pairs = iter(pairs)
    first = [pair for pair in islice(pairs, NUM_PAIRS_FOR_HEADS) if all(side.words for side in pair)]
    if not first:
        raise UserError("There is no sentence pair to learn from.", "Give the two sides of the training text.")
    agreement = None
    if len(decoder.head_names) > 1 and not (directory / HEADS).is_file():
        aligner.heads, found = aligner.choose_heads(first)
        agreement = {short_name(name): share for name, share in zip(decoder.head_names, found, strict=True)}
        aligner.heads.save(directory, decoder)
    num_pairs = 0

    def counted(alignments: Iterable[WordAlignment]) -> Iterator[WordAlignment]:
        nonlocal num_pairs
        for alignment in alignments:
            num_pairs += 1
            on_progress()
            yield alignment

    lexicon = Lexicon.learn(counted(aligner(chain(first, pairs))))
    lexicon.save(directory / LEXICON)
    return Learned(aligner.heads, agreement, lexicon, num_pairs)
