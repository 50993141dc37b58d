"""A model that translates word by word and backwards, with a mark at the end in its place."""

from collections.abc import Sequence

from nmt.translation.results import Translation

WORDS = {
    "der": "the", "hund": "dog", "katze": "cat", "sieht": "sees", "und": "and", "schnell": "quickly", "ruft": "calls",
}  # fmt: skip


def translate(sentences: Sequence[str]) -> list[Translation]:
    return [translated(sentence) for sentence in sentences]


def translated(sentence: str) -> Translation:
    end = sentence[-1] if sentence[-1:] in ".!?:…" else ""
    words = sentence.removesuffix(end).split()
    target = [WORDS.get(word.lower(), word) for word in reversed(words)]
    links = tuple((len(words) - 1 - t, t) for t in range(len(words)))
    return Translation(sentence, " ".join(target) + end, 0.0, target, alignment=links)
