"""Subword regularisation: training reads a sentence in other pieces each time it comes round.

A unigram vocabulary draws a segmentation in proportion to its probability raised to the power alpha (Kudo 2018);
a BPE vocabulary leaves out each merge with probability alpha (BPE-dropout, Provilkov et al. 2020). Validation and
translation read the likeliest pieces.
"""

import tempfile
from collections.abc import Iterable
from itertools import groupby

import numpy as np

from nmt.data.encoded_corpus import EncodedSide, Sentences, Sides, map_ids
from nmt.data.vocabulary import SentencePieceVocabulary, Vocabularies
from nmt.errors import UserError

CHUNK = 10_000
"""So many sentences are held in memory at once."""


class SubwordSampler:
    """Other segmentations of a corpus.

    Args:
        vocabularies: of both sides, unigram or BPE.
        alpha: in (0, 1]; for unigram the smoothing, where less varies more, for BPE the share of merges left out.
        num_epochs: after so many the pieces are those of the corpus, as translation reads them; None for never.

    Raises:
        UserError: a vocabulary knows one segmentation only.
    """

    def __init__(self, vocabularies: Vocabularies, alpha: float, num_epochs: int | None = None) -> None:
        sides = (vocabularies.source, vocabularies.target)
        self._vocabularies = [side for side in sides if isinstance(side, SentencePieceVocabulary) and side.can_sample]
        if len(self._vocabularies) < len(sides):
            raise UserError(
                "training.subword_sampling varies subwords, but a word or a character has no other pieces.",
                "Set vocabulary.type to unigram or bpe, or leave training.subword_sampling out.",
            )
        self._alpha, self._num_epochs = alpha, num_epochs

    def __call__(self, sides: Sides, seed: int, epoch: int) -> Sides:
        """Source and target as an epoch, from 0, reads them; the same for the same seed.

        Raises:
            UserError: the ids, which are kept in a temporary file, find no room on the disk.
        """
        if self._num_epochs is not None and epoch >= self._num_epochs:
            return sides
        (source, target), (of_source, of_target) = sides, self._vocabularies
        return self._vary(source, of_source, seed, epoch, 0), self._vary(target, of_target, seed, epoch, 1)

    def _vary(self, side: Sentences, vocabulary: SentencePieceVocabulary, *seed: int) -> EncodedSide:
        offsets = np.zeros(len(side) + 1, dtype=np.int64)
        try:
            with tempfile.TemporaryFile() as file:
                for start in range(0, len(side), CHUNK):
                    rows = range(start, min(start + CHUNK, len(side)))
                    chunk_seed = np.random.SeedSequence((*seed, start)).generate_state(1)[0]
                    varied = _resegment([side[row] for row in rows], vocabulary, self._alpha, int(chunk_seed))
                    offsets[rows.start + 1 : rows.stop + 1] = [len(ids) for ids in varied]
                    file.write(b"".join(np.array(ids, dtype=side.dtype).tobytes() for ids in varied))
                file.flush()
                np.cumsum(offsets, out=offsets)
                return EncodedSide(map_ids(file, side.dtype, int(offsets[-1])), offsets)
        except OSError as error:
            raise UserError(
                f"The sampled subwords can't be written to {tempfile.gettempdir()}: {error.strerror or error}.",
                "Free some space, or point the environment variable TMPDIR at another folder.",
            ) from None


def _resegment(
    sentences: Iterable[Iterable[int]], vocabulary: SentencePieceVocabulary, alpha: float, seed: int
) -> list[list[int]]:
    """Sentences in other pieces. The turns of a dialogue vary, and the separators between them stay."""
    # Pieces of a turn with an UNK stay as they are, too: the text that it stood for is lost.
    fixed = {vocabulary.unk, vocabulary.separator}

    def is_separator(index: int) -> bool:
        return index == vocabulary.separator

    runs = [[[int(i) for i in run] for _, run in groupby(ids, is_separator)] for ids in sentences]
    varied = [run for sentence in runs for run in sentence if fixed.isdisjoint(run)]
    sampled = iter(vocabulary.sample([vocabulary.decode(run) for run in varied], alpha, seed))
    return [[i for run in turns for i in (next(sampled) if fixed.isdisjoint(run) else run)] for turns in runs]
