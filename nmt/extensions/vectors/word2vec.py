"""Word vectors learned from text by word2vec (Mikolov et al. 2013), as the library gensim computes it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from nmt.core.errors import UserError, extra
from nmt.core.output import open_output
from nmt.core.text import read_lines
from nmt.data.sources import check_repeatable
from nmt.data.vocabulary.base import SPACE
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe.options import Options


class Word2VecOptions(Options):
    """Options of word2vec."""

    model: Literal["skip-gram", "cbow"] = Field(
        "skip-gram", description="predict the neighbours of a word (skip-gram) or the word from their mean (cbow)"
    )
    size: int = Field(256, ge=1, le=10_000, description="numbers of a vector: model.embedding_size of the recipe")
    window: int = Field(5, ge=1, le=1000, description="distance up to which words are neighbours")
    negative: int = Field(5, ge=1, le=1000, description="negative sampling: words drawn for each real neighbour")
    min_count: int = Field(2, ge=1, description="rarer words get no vector")
    epochs: int = Field(20, ge=1, le=100_000, description="how often the text is read")
    seed: int = Field(1, ge=0, description="the same seed gives the same vectors")


class _Sentences:
    """The words of each line, split as word vocabularies split them; can be iterated over repeatedly."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __iter__(self) -> Iterator[list[str]]:
        for file in self.files:
            for line in read_lines(file):
                yield [word.removeprefix(SPACE) for word, _, _ in WordVocabulary.split(line)]


def learn_vectors(files: Sequence[Path], output: Path, options: Word2VecOptions) -> int:
    """Learn word vectors, and write them in the text format of word2vec, the most frequent word first.

    With negative sampling the loss of a word with vector v and a neighbour with output vector u, in skip-gram, is
    -log σ(u·v) - Σ_k log σ(-u_k·v) over words k drawn by their frequency to the power of 0.75. In CBOW v is the mean
    over the neighbours, and u belongs to the word between them.

    Args:
        files: text, a sentence on each line, plain or compressed; each is read ``epochs`` + 1 times.

    Returns:
        The number of words.

    Raises:
        UserError: gensim isn't installed, a file can't be read or written, or no word is frequent enough.
    """
    with extra("vectors"):
        from gensim.models import Word2Vec

    check_repeatable(*files)
    sentences = _Sentences(files)
    with open_output(output, *files) as file:
        model = Word2Vec(
            vector_size=options.size,
            sg=int(options.model == "skip-gram"),
            window=options.window,
            negative=options.negative,
            min_count=options.min_count,
            seed=options.seed,
            workers=1,  # several threads give other vectors in each run
        )
        model.build_vocab(sentences)
        if not len(model.wv):
            names = ", ".join(map(str, files))
            raise UserError(f"{names}: no word occurs {options.min_count} times.", "Give more text, or --min-count 1.")
        model.train(sentences, total_examples=model.corpus_count, epochs=options.epochs)
        file.write(f"{len(model.wv)} {options.size}\n")
        for word in model.wv.index_to_key:
            file.write(f"{word} {' '.join(f'{x:.6g}' for x in model.wv[word])}\n")
    return len(model.wv)
