"""Subword regularisation: training reads a sentence in other pieces each time it comes round.

A unigram vocabulary draws a segmentation in proportion to its probability raised to the power alpha (Kudo 2018);
a BPE vocabulary leaves out each merge with probability alpha (BPE-dropout, Provilkov et al. 2020). Validation and
translation read the likeliest pieces.
"""

import tempfile
from collections.abc import Iterable
from itertools import groupby

import numpy as np
from pydantic import Field

from nmt import config
from nmt.config import Recipe
from nmt.data.encoded_corpus import EncodedSide, Sentences, Sides, map_ids
from nmt.data.vocabulary import SentencePieceVocabulary, Vocabularies
from nmt.errors import UserError
from nmt.training.techniques.base import Technique, epochs_of

CHUNK = 10_000
"""So many sentences are held in memory at once."""


class SubwordSampling(Technique):
    """Other segmentations of the training text in each epoch."""

    class Options(config.Options):
        alpha: float = Field(
            gt=0,
            le=1,
            description="smoothing of a unigram vocabulary (0.3; less varies more), or share of BPE merges left out "
            "(0.1)",
        )
        fraction: float = Field(
            1.0, gt=0, le=1, description="of max_epochs, the first ones, that read other pieces; 1: all epochs do"
        )

    options: Options

    def __init__(self, options: Options, recipe: Recipe) -> None:
        super().__init__(options, recipe)
        key = "training.techniques.subword_sampling.fraction"
        self._num_epochs = epochs_of(options.fraction, recipe, key) if options.fraction < 1 else None

    def setup_data(self, vocabularies: Vocabularies) -> None:
        sides = (vocabularies.source, vocabularies.target)
        self._vocabularies = [side for side in sides if isinstance(side, SentencePieceVocabulary) and side.can_sample]
        if len(self._vocabularies) < len(sides):
            raise UserError(
                "training.techniques.subword_sampling varies subwords, but a word or a character has no other pieces.",
                "Set vocabulary.type to unigram or bpe, or leave subword_sampling out.",
            )

    def read_epoch(self, sides: Sides, seed: int, epoch: int) -> Sides:
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
                    varied = _resegment([side[row] for row in rows], vocabulary, self.options.alpha, int(chunk_seed))
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
