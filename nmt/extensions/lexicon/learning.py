"""Learns from parallel text how a model aligns: the attention heads, and a lexicon.

Heads are chosen by agreement. The lexicon is learned by expectation-maximisation: from expected counts under attention
alone, then under the mean of both posteriors (``posterior.py``) by the lexicon before, so that the
directions agree (Liang et al. 2006 take their product). No gold alignment is used.
"""

import pickle
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, tee
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO

import numpy as np
import numpy.typing as npt

from nmt.alignment.aligner import AttentionAligner, WordPair
from nmt.alignment.extract import LinkOptions, balance, word_links
from nmt.alignment.heads import AlignmentHeads
from nmt.alignment.lexicon import Lexicon, word_key
from nmt.alignment.links import Link, WordAlignment
from nmt.core.errors import UserError
from nmt.core.output import open_output
from nmt.extensions.lexicon.posterior import LEAST_SHARE, Attended, posteriors

NUM_ITERATIONS = 4
"""Iterations of expectation-maximisation, after the counts under attention alone."""
LEAST_COUNT = 0.05
"""Pairs of words with an expected count below this aren't written."""
NUM_PAIRS_FOR_HEADS = 500
"""Sentence pairs that heads are chosen on; agreement hardly changes with more."""

HeadWeights = npt.NDArray[np.float32]
"""[H, T_words, S_words]: how much each target word attends to each source word, head by head."""


@dataclass(frozen=True)
class Learned:
    """Results of :func:`learn`, which it has written to the model directory."""

    heads: AlignmentHeads
    agreement: dict[str, float] | None
    """Agreement of each head with the mean of all; None if no heads were chosen, as there is one or they were known."""
    lexicon: Lexicon
    num_pairs: int


def learn(aligner: AttentionAligner, pairs: Iterable[WordPair]) -> Learned:
    """Choose heads, unless the model directory names them already, then learn the lexicon; both are written.

    Args:
        aligner: of a model directory.
        pairs: in words, punctuation apart.

    Raises:
        UserError: there is no pair to learn from, or the directory can't be written, or another process does.
    """
    files = aligner.files
    assert files is not None
    with files.writing():
        decoder, num_pairs, pairs = aligner.model.decoder, 0, iter(pairs)
        first = [pair for pair in islice(pairs, NUM_PAIRS_FOR_HEADS) if all(side.words for side in pair)]
        if not first:
            raise UserError("There is no sentence pair to learn from.", "Give the two sides of the training text.")
        agreement = None
        if len(decoder.heads) > 1 and not files.alignment.is_file():
            weights = [np.stack(list(a.head_weights or ())) for a in aligner.attended(first, all_heads=True)]
            chosen, shares = choose_heads(weights)
            aligner.heads = AlignmentHeads(chosen, aligner.heads.attention)
            agreement = {head.short_name: share for head, share in zip(decoder.heads, shares, strict=True)}
            aligner.heads.save(files.alignment, decoder)

        def counted() -> Iterator[WordAlignment]:
            nonlocal num_pairs
            for alignment in aligner.attended(chain(first, pairs)):
                num_pairs += 1
                yield alignment

        aligner.lexicon = learn_lexicon(counted())
        write_lexicon(aligner.lexicon, files.lexicon)
    return Learned(aligner.heads, agreement, aligner.lexicon, num_pairs)


def choose_heads(weights: Sequence[HeadWeights]) -> tuple[tuple[int, ...], list[float]]:
    """Choose heads by agreement, without a gold alignment.

    Links that most heads agree on are likely right, so heads are ranked by the agreement of their links with those of
    the mean of all heads (F1). Of that ranking as many heads are taken as make a mean whose two directions, the choices
    of the target and of the source words, agree most.

    Returns:
        The chosen heads, the best first, and the agreement of every head with the mean, 0 to 1.
    """
    num_heads = len(weights[0])
    consensus = [word_links(balance(weights_HTS.mean(axis=0)), LinkOptions()) for weights_HTS in weights]
    agreement = [
        _f1([word_links(balance(weights_HTS[head]), LinkOptions()) for weights_HTS in weights], consensus)
        for head in range(num_heads)
    ]
    ranked = sorted(range(num_heads), key=lambda head: -agreement[head])
    best = max(range(1, num_heads + 1), key=lambda size: _self_agreement(weights, ranked[:size]))
    return tuple(ranked[:best]), agreement


def _self_agreement(weights: Sequence[HeadWeights], heads: Sequence[int]) -> float:
    """Agreement of the links that target words choose with those that source words choose: |both| / |either|."""
    means = [balance(weights_HTS[heads].mean(axis=0)) for weights_HTS in weights]
    both = sum(len(word_links(mean, LinkOptions(symmetrize="intersection"))) for mean in means)
    either = sum(len(word_links(mean, LinkOptions(symmetrize="union"))) for mean in means)
    return both / max(either, 1)


def _f1(found: Sequence[tuple[Link, ...]], expected: Sequence[tuple[Link, ...]]) -> float:
    shared = sum(len(set(a) & set(b)) for a, b in zip(found, expected, strict=True))
    return 2 * shared / max(sum(map(len, found)) + sum(map(len, expected)), 1)


def learn_lexicon(alignments: Iterable[WordAlignment]) -> Lexicon:
    """Learn p(target word | source word) from sentence pairs with attention; their links aren't used.

    Memory doesn't grow with the number of pairs: their attention is in a temporary file, which each iteration reads.

    Raises:
        UserError: the temporary file can't be written.
    """
    try:
        with TemporaryFile() as file:
            lexicon = counted(_kept(alignments, file))
            size = file.tell()
            for _ in range(NUM_ITERATIONS):
                pairs, again = tee(_read(file, size))
                agreed = (both_TS for _, both_TS in posteriors(again, lexicon))
                lexicon = counted((*pair[:2], both_TS) for pair, both_TS in zip(pairs, agreed, strict=True))
    except OSError as error:
        raise UserError(
            f"The attention can't be kept in {gettempdir()}: {error.strerror or error}.",
            "Free some space, or point the environment variable TMPDIR at another folder.",
        ) from error
    return lexicon


def counted(linked: Iterable[Attended]) -> Lexicon:
    """Returns the expected counts of translations over sentence pairs, given the probabilities of their links."""
    counts: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for source_words, target_words, share in linked:
        source, target = [*map(word_key, source_words)], [*map(word_key, target_words)]
        for t, s in zip(*np.nonzero(share >= LEAST_SHARE), strict=True):
            counts[source[s]][target[t]] += float(share[t, s])
    return Lexicon({source: dict(targets) for source, targets in counts.items()})


def write_lexicon(lexicon: Lexicon, path: Path) -> None:
    """Writes lines of source word, target word and expected count, the most frequent translation first.

    Raises:
        UserError: the file can't be written.
    """
    with open_output(path) as file:
        for source, targets in sorted(lexicon.items()):
            for target, count in sorted(targets.items(), key=lambda item: (-item[1], item[0])):
                if count >= LEAST_COUNT:
                    file.write(f"{source}\t{target}\t{count:.4g}\n")


def _kept(alignments: Iterable[WordAlignment], file: IO[bytes]) -> Iterator[Attended]:
    for alignment in alignments:
        pair = alignment.source, alignment.target, balance(alignment.weights)
        pickle.dump(pair, file)
        yield pair


def _read(file: IO[bytes], size: int) -> Iterator[Attended]:
    file.seek(0)
    while file.tell() < size:
        yield pickle.load(file)
