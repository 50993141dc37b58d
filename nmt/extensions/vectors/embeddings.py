"""Pretrained word vectors as initial embeddings, in the text formats of word2vec and GloVe.

That of word2vec (Mikolov et al. 2013) begins with a line of counts; that of GloVe (Pennington et al. 2014) doesn't.
"""

from collections.abc import Container, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.core.console import progress_bar, say
from nmt.core.errors import UserError
from nmt.core.text import MAX_RECORD_BYTES, read_lines
from nmt.data.sources import check_repeatable
from nmt.data.vocabulary.base import SPACE, Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.contracts import Decoder, Encoder
from nmt.models.layers import Embedding
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import ModelOptions, VectorOptions

Vector = npt.NDArray[np.float32]


def use_vectors(model: Seq2Seq, options: ModelOptions, vocabularies: Vocabularies, trained: VectorOptions) -> None:
    """Initialises embeddings from word vectors and freezes them, as the recipe says.

    Args:
        trained: the files with which the weights of the model began, which has trained them.
    """
    sides: dict[str, tuple[Path | None, Encoder | Decoder, Vocabulary]] = {
        "source": (options.vectors.source, model.encoder, vocabularies.source),
        "target": (options.vectors.target, model.decoder, vocabularies.target),
    }
    for side, (path, module, vocabulary) in sides.items():
        if path is None:
            continue
        embedding = module.embedding
        if path != getattr(trained, side):
            with progress_bar(f"reading {path.name}", None):
                ids, vectors, num_words = read_vectors(path, vocabulary, options.embedding_size)
            set_vectors(embedding, torch.from_numpy(ids), torch.from_numpy(vectors))
            words = f"{len(ids):,} of {num_words:,} words ({len(ids) / num_words:.0%})"
            say(f"{side} embeddings: {path.name} has {words}")
        embedding.weight.requires_grad_(not options.vectors.freeze)


@torch.no_grad()
def set_vectors(embedding: Embedding, ids: Tensor, vectors: Tensor) -> None:
    """Gives some ids vectors made elsewhere. The others stay random, but become as large as these."""
    others = torch.ones(len(embedding.weight), dtype=torch.bool)
    others[ids] = others[embedding.pad] = False
    if others.any():
        embedding.weight[others] *= vectors.std() / embedding.scale / embedding.weight[others].std()
    embedding.weight[ids] = vectors.to(embedding.weight) / embedding.scale


def read_vectors(path: Path, vocabulary: Vocabulary, size: int) -> tuple[npt.NDArray[np.int64], Vector, int]:
    """Reads the vectors of the words in a vocabulary; only those are held in memory.

    A piece is looked up as written, then in lower case. Pieces that don't begin a word get no vector. Returns the
    pieces that have a vector, their vectors (pieces, size), and how many pieces are whole words. Raises UserError if
    the file can't be read, a line is not a vector of this size, or no word is in the vocabulary.
    """
    words = words_of(vocabulary)
    ids_of: dict[str, list[int]] = {}
    for index, word in words.items():
        for written in {word, word.lower()}:
            ids_of.setdefault(written, []).append(index)
    vectors: dict[int, Vector] = {}
    exact = set[int]()  # pieces that have the vector of the word as written
    for word, vector in _rows(path, size, ids_of):
        exact.update(index for index in ids_of[word] if words[index] == word)
        vectors |= {index: vector for index in ids_of[word] if words[index] == word or index not in exact}
    if not vectors:
        raise UserError(
            f"{path} has no vector for any of the {len(words):,} words of the vocabulary.",
            "Check its language; word vectors need vocabulary.type: word.",
        )
    ids = sorted(vectors)
    return np.array(ids), np.stack([vectors[i] for i in ids]), len(words)


def words_of(vocabulary: Vocabulary) -> dict[int, str]:
    """Returns the words of a vocabulary by their ids: the pieces that begin a word."""
    tokens = {index: vocabulary.token(index) for index in range(len(vocabulary))}
    return {index: token[1:] for index, token in tokens.items() if token.startswith(SPACE) and len(token) > 1}


def read_all_vectors(path: Path) -> tuple[list[str], Vector]:
    """Returns all words of a file, and their vectors (words, size); the first vector determines the size. Raises
    UserError if the file can't be read, has no vectors, or a line is not a vector of this size."""
    check_repeatable(path)
    first = islice(read_lines(path, max_bytes=MAX_RECORD_BYTES), 2)
    size = max((line.rstrip().count(" ") for line in first), default=0)
    rows = list(_rows(path, size)) if size > 1 else []
    if not rows:
        raise UserError(f"{path} has no word vectors.", "Each line must have a word and its numbers.")
    words, vectors = zip(*rows, strict=True)
    return list(words), np.stack(vectors)


def _rows(path: Path, size: int, wanted: Container[str] | None = None) -> Iterator[tuple[str, Vector]]:
    """Yields the word and the vector of each line but the counts of word2vec; with ``wanted`` those of these words."""
    for number, line in enumerate(read_lines(path, max_bytes=MAX_RECORD_BYTES), start=1):
        # Split from the right, because a few words of GloVe's largest file contain spaces.
        word, *numbers = line.rstrip().rsplit(" ", size)
        num_numbers = line.rstrip().count(" ")
        if number == 1 and num_numbers == 1 and word.isdecimal() and numbers[0].isdecimal():
            continue
        if number <= 2 and num_numbers != size:
            raise UserError(
                f"{path}, line {number}: {line.split(' ')[0]!r} has {num_numbers} numbers, not {size} "
                "(model.embedding_size).",
                f"Set model.embedding_size to {num_numbers}, or use vectors of {size} numbers.",
            )
        if wanted is None or word in wanted:
            yield word, _vector(f"{path}, line {number}: {word!r}", numbers, size)


MAX_NUMBER = 1e15  # sums of squares of larger numbers overflow


def _vector(word: str, numbers: list[str], size: int) -> Vector:
    try:
        vector = np.array(numbers, dtype=np.float64)
    except ValueError:
        raise UserError(f"{word} is not followed by numbers.", "Each line must have a word and its numbers.") from None
    if len(vector) != size:
        raise UserError(f"{word} has {len(vector)} numbers, not {size}.", "Correct or remove the line.")
    if not (np.abs(vector) < MAX_NUMBER).all():
        raise UserError(f"{word} has a number that isn't finite, or not below {MAX_NUMBER:g}.", "Correct the line.")
    return vector.astype(np.float32)
