"""Changed copies of training sentences, drawn anew for each epoch, so that a model can read what people write.

The changes are those of OpusTrainer (Bogoychev et al. 2023). A sentence that is drawn is decoded, changed as text and
encoded again; all others keep their pieces.
"""

import re
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from nmt.config import Modifier
from nmt.data.batching import Ids
from nmt.data.encoded_corpus import Sentences, Sides
from nmt.data.vocabulary import Vocabularies, Vocabulary

_SYMBOLS = re.compile(r"(?:<[^<>\s]+>\s*)+")
"""Tags of vocabularies that were made elsewhere, in which they are text."""
_STREAM = 2
"""Tells these random numbers from others of the same seed and epoch."""
TYPO = 0.15
"""Probability of a typing error in a word of four letters or more."""

Change = Callable[[str, np.random.Generator], str]


def _title(text: str, rng: np.random.Generator) -> str:
    return re.sub(r"\S+", lambda word: word[0][:1].upper() + word[0][1:], text)


def _typos(text: str, rng: np.random.Generator) -> str:
    """Leave a letter out of some words, double one, or exchange two."""

    def mistyped(word: re.Match[str]) -> str:
        if rng.random() >= TYPO:
            return word[0]
        at, kind = int(rng.integers(1, len(word[0]) - 1)), rng.integers(3)
        first, second, rest = word[0][at], word[0][at + 1], word[0][at + 2 :]
        return word[0][:at] + (second, first * 2 + second, second + first)[kind] + rest

    return re.sub(r"[^\W\d_]{4,}", mistyped, text)


MODIFIERS: Mapping[Modifier, tuple[Change, bool]] = {
    "upper_case": (lambda text, rng: text.upper(), True),
    "title_case": (_title, True),
    "no_end_punctuation": (lambda text, rng: re.sub(r"[\s.!?…。！？।]+$", "", text), True),
    "typos": (_typos, False),
}
"""What each does to a text, and whether it does so to the translation, too."""


class Modifiers:
    """Reads each epoch of a corpus with some sentences changed; at most one change for a sentence.

    Args:
        shares: of the sentences, by name of the modifier.
        vocabularies: of the corpus.
        max_length: a changed sentence with more pieces stays as it was.
    """

    def __init__(self, shares: Mapping[Modifier, float], vocabularies: Vocabularies, max_length: int) -> None:
        self._shares, self._vocabularies, self._max_length = shares, vocabularies, max_length

    def __call__(self, sides: Sides, seed: int, epoch: int) -> Sides:
        """Source and target as an epoch, counted from 0, reads them."""
        (source, target), names = sides, list(self._shares)
        rng = np.random.default_rng((seed, epoch, _STREAM))
        drawn_N = np.searchsorted(np.cumsum(list(self._shares.values())), rng.random(len(source)), side="right")
        changed: dict[int, tuple[Ids, Ids]] = {}
        for row in np.flatnonzero(drawn_N < len(names)).tolist():
            change, is_for_both = MODIFIERS[names[drawn_N[row]]]
            read = self._changed(source[row], self._vocabularies.source, change, rng)
            written = self._changed(target[row], self._vocabularies.target, change, rng) if is_for_both else target[row]
            if 0 < len(read) <= self._max_length and 0 < len(written) <= self._max_length:
                changed[row] = read, written
        return (
            Changed(source, {row: read for row, (read, _) in changed.items()}),
            Changed(target, {row: written for row, (_, written) in changed.items()}),
        )

    @staticmethod
    def _changed(ids: Ids, vocabulary: Vocabulary, change: Change, rng: np.random.Generator) -> Ids:
        """Other ids, with the same tags; none where words are unknown before or after, which no text stands for."""
        if vocabulary.unk in ids:
            return []
        tags = [int(i) for i in ids if i in vocabulary.tags.values()]
        text = vocabulary.decode([int(i) for i in ids])
        symbols = _SYMBOLS.match(text)
        begin = symbols.end() if symbols else 0
        encoded = vocabulary.encode(text[:begin] + change(text[begin:], rng))
        return tags + encoded if encoded and vocabulary.unk not in encoded else []


class Changed(Sentences):
    """A side of a text in which some sentences are others."""

    def __init__(self, side: Sentences, changed: Mapping[int, Ids]) -> None:
        self._side = side
        self._changed = {row: np.asarray(ids, dtype=side[0].dtype) for row, ids in changed.items()}
        self.lengths = side.lengths.copy()
        self.lengths[list(self._changed)] = [len(ids) for ids in self._changed.values()]

    def __getitem__(self, index: int) -> npt.NDArray[np.integer]:
        return self._changed[index] if index in self._changed else self._side[index]
