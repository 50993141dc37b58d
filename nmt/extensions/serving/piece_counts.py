"""Unigram language models of the source and the target text of a model, by which the server identifies languages."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.core.output import write_output
from nmt.core.text import read_lines
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies

if TYPE_CHECKING:
    from nmt.training.data import Data

FILE, MAX_BYTES = "pieces.tsv", 1 << 28
"""The file in a model directory, and its largest size."""
SMOOTHING = 0.1
"""Added to the count of each piece."""
UNKNOWN = -14.0
"""Log-probability of a character that is in no piece."""

Counts = npt.NDArray[np.int64]


class PieceModel:
    """Probabilities of texts of one language, by the frequency of each piece in training text."""

    def __init__(self, vocabulary: Vocabulary, counts_V: Counts) -> None:
        self._vocabulary = vocabulary
        smoothed = counts_V + SMOOTHING
        self._log_probability_V = np.log(smoothed / smoothed.sum())

    def log_probability(self, text: str) -> float:
        """Returns the log-probability of a text, without its tags."""
        pieces = [piece for piece in self._vocabulary.pieces(text) if piece.id not in self._vocabulary.tags.values()]
        unknown = sum(piece.end - piece.begin for piece in pieces if piece.id == self._vocabulary.unk)
        known = [piece.id for piece in pieces if piece.id != self._vocabulary.unk]
        return float(self._log_probability_V[known].sum()) + UNKNOWN * unknown


def write_counts(directory: ModelDirectory, data: "Data") -> None:
    """Counts the pieces of the training text; a hook that training calls when the data is prepared."""
    source, target = data.vocabularies.source, data.vocabularies.target
    has_several = any(tag.startswith("<2") for tag in source.tags)  # languages on one side
    if "serving" not in data.task.refused and not has_several:
        of_source = [part.corpus.source.counts(len(source)) for part in data.train]
        of_target = [part.corpus.target.counts(len(target)) for part in data.train]
        save_counts(directory.file(FILE), [np.sum(of_source, axis=0), np.sum(of_target, axis=0)])


def copy_counts(directory: ModelDirectory, output: ModelDirectory) -> None:
    """Copies the counts to the directory of averaged weights; a hook that writing a model calls."""
    counts = directory.file(FILE, MAX_BYTES)
    if counts.is_file():
        shutil.copyfile(counts, output.file(FILE))


def save_counts(path: Path, sides: Sequence[Counts]) -> None:
    """Writes a line with the count in the source and in the target for each id.

    Raises:
        UserError: the file can't be written.
    """
    length = max(map(len, sides))
    columns = [np.pad(counts, (0, length - len(counts))) for counts in sides]
    write_output(path, (f"{source}\t{target}\n" for source, target in zip(*columns, strict=True)))


def load_models(path: Path, vocabularies: Vocabularies) -> tuple[PieceModel, PieceModel]:
    """Reads what :func:`save_counts` wrote, as models of the source and of the target language.

    Raises:
        UserError: the file can't be read, or isn't of these vocabularies.
    """
    both = (vocabularies.source, vocabularies.target)
    try:
        counts = np.array([[int(count) for count in line.split("\t")] for line in read_lines(path)], dtype=np.int64)
        if counts.shape != (max(map(len, both)), 2) or counts.min() < 0:
            raise ValueError
    except (ValueError, OverflowError):
        raise UserError(f"{path} doesn't have two counts for each piece.", "Delete it, or train again.") from None
    source, target = (PieceModel(v, counts[: len(v), side]) for side, v in enumerate(both))
    return source, target
