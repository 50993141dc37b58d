"""Words by their vectors, a model's embeddings or a file's: nearest neighbours, analogies, and a map.

Vectors are compared by their cosine. Of a model's pieces, those that begin a word are its words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from nmt.core.errors import UserError, nearest, shortened
from nmt.extensions.vectors.embeddings import words_of
from nmt.models.contracts import Decoder, Encoder
from nmt.plotting.style import COLOURS, Picture, curves_size, scaled, style, visible
from nmt.translation.translator import Translator

Found = list[tuple[str, float]]
"""Words and cosines, the most similar first."""
# Where the label of a point may stand: right or left of it, above or below, the preferred sides first.
SIDES = np.array([(1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1)])


@dataclass(frozen=True)
class WordVectors:
    """Words in the order of the vocabulary or file, and their vectors [words, D], each of length 1."""

    words: tuple[str, ...]
    unit_WD: npt.NDArray[np.float32]

    @classmethod
    def of(cls, words: Sequence[str], vectors_WD: npt.NDArray[np.float32]) -> Self:
        norm_W1 = np.linalg.norm(vectors_WD, axis=1, keepdims=True)
        return cls(tuple(words), vectors_WD / np.maximum(norm_W1, 1e-12))

    @classmethod
    def of_model(cls, translator: Translator, side: Literal["source", "target"]) -> Self:
        """A model's embeddings of the words of a side.

        Raises:
            UserError: the side has no embedding, or its vocabulary no words.
        """
        words = words_of(getattr(translator.vocabularies, side))
        module: Encoder | Decoder = getattr(translator.model, {"source": "encoder", "target": "decoder"}[side])
        if not words or not hasattr(module, "embedding"):
            raise UserError(f"The model has no embeddings of {side} words.", "Choose another --side, or another model.")
        return cls.of([*words.values()], module.embedding.weight.detach().float().cpu().numpy()[[*words]])

    def index(self, word: str) -> int:
        """The place of a word.

        Raises:
            UserError: it has no vector.
        """
        if word not in self.words:
            close = nearest(word, self.words)
            remedy = close if close.startswith("Did") else "Check its spelling and the side."
            raise UserError(f"{shortened(word)!r} is not among the {len(self.words):,} words.", remedy)
        return self.words.index(word)

    def neighbours(self, word: str, count: int) -> Found:
        """The words that are most similar to a word."""
        return self._nearest(self.unit_WD[self.index(word)], count, [word])

    def analogy(self, a: str, b: str, c: str, count: int) -> Found:
        """Returns the words most similar to b - a + c, without these: a is to b as c is to … (Mikolov et al. 2013)."""
        a_D, b_D, c_D = (self.unit_WD[self.index(word)] for word in (a, b, c))
        return self._nearest(b_D - a_D + c_D, count, [a, b, c])

    def _nearest(self, query_D: npt.NDArray[np.float32], count: int, left_out: Sequence[str]) -> Found:
        cosine_W = self.unit_WD @ (query_D / max(float(np.linalg.norm(query_D)), 1e-12))
        order = np.argsort(-cosine_W, kind="stable").tolist()
        found = [(self.words[i], float(cosine_W[i])) for i in order[: count + len(left_out)]]
        return [(word, cosine) for word, cosine in found if word not in left_out][:count]


def draw_words(vectors: WordVectors, words: Sequence[str]) -> Picture:
    """Draw words by the first two principal components of their unit vectors.

    Raises:
        UserError: there are fewer than three different words, or one has no vector.
    """
    shown = list(dict.fromkeys(words))
    if len(shown) < 3:
        raise UserError("A map needs three different words or more.", "Name more words, or none for the first ones.")
    unit_WD = vectors.unit_WD[[vectors.index(word) for word in shown]]
    left_WK, size_K, _ = np.linalg.svd(unit_WD - unit_WD.mean(axis=0), full_matrices=False)
    place_W2, share = left_WK[:, :2] * size_K[:2], float((size_K[:2] ** 2).sum() / max((size_K**2).sum(), 1e-12))
    labels = [visible(word) for word in shown]
    with style(labels):
        figure = Picture(figsize=curves_size(8, 6.5), layout="constrained")
        axes = figure.subplots()
        axes.scatter(place_W2[:, 0], place_W2[:, 1], s=scaled(6), color=COLOURS[0])
        axes.set(xlabel="first principal component", ylabel=f"second; both have {share:.0%} of the variance")
        figure.draw_without_rendering()  # only now it is known where the axes are
        _write_labels(axes, place_W2, labels)
    return figure


def _write_labels(axes: Axes, place_W2: npt.NDArray[np.floating], labels: Sequence[str]) -> None:
    """Writes a label beside each point, where it covers least of points and other labels, and is in the frame."""
    point_W2, pixels = axes.transData.transform(place_W2), axes.figure.dpi / 72
    taken = [(axes.bbox.min, axes.bbox.max), *((point_2 - 3 * pixels, point_2 + 3 * pixels) for point_2 in point_W2)]
    for point_2, place_2, label in zip(point_W2, place_W2, labels, strict=True):
        text = axes.annotate(label, place_2, (0, 0), textcoords="offset points", fontsize=scaled(8), va="bottom")
        size_2 = np.array(text.get_window_extent().size)
        low_P2 = point_2 + SIDES * 3 * pixels + (SIDES - 1) / 2 * size_2
        low_N2, high_N2 = np.transpose(taken, (1, 0, 2))
        sides_PN2 = np.minimum(low_P2[:, None] + size_2, high_N2) - np.maximum(low_P2[:, None], low_N2)
        frame_P, *covered_NP = np.maximum(sides_PN2, 0).prod(2).T
        best_2 = low_P2[np.argmin(np.sum(covered_NP, axis=0) - frame_P)]
        text.set_position((best_2 - point_2) / pixels)
        taken.append((best_2, best_2 + size_2))
