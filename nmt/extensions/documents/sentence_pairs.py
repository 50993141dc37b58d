"""Pairs of sentences from training lines that have several."""

from math import sqrt

from nmt.autotrain.texts import Pairs, Texts
from nmt.extensions.documents.segmentation import split_sentences

MIN_SHARE = 0.1
"""Fewest pairs, as a share of the lines, that are worth the time in which they are trained on."""
VARIANCE, MAX_DEVIATION = 6.8, 3.0
"""Variance of the length of a translation for each character of its source (Gale & Church 1993, "A program for aligning
sentences in bilingual corpora"), and standard deviations beyond which two sentences are no translations."""


def sentence_pairs(texts: Texts) -> Pairs:
    """Returns the pairs of sentences of training lines that have as many on both sides, whose lengths fit.

    They are none of the lines. A model of paragraphs alone translates single sentences badly, and learns slowly.
    """
    assert texts.languages is not None
    (source, target), found = texts.languages, dict[tuple[str, str], None]()
    for pair in texts.train:
        if len(sources := _sentences(pair[0], source)) > 1:  # else the other side needn't be divided
            targets = _sentences(pair[1], target)
            if len(sources) == len(targets) and _fit(sentences := [*zip(sources, targets, strict=True)]):
                found |= dict.fromkeys(sentences)
    lines = set(texts.train)
    pairs = [pair for pair in found if pair not in lines]
    return pairs if len(pairs) >= MIN_SHARE * len(texts.train) else []


def _sentences(text: str, language: str) -> list[str]:
    return [part.text for part in split_sentences(text, language) if part.is_sentence]


def _fit(sentences: Pairs) -> bool:
    """Returns whether each target is about as long as its source and the lengths of both texts lead to expect."""
    lengths = [(len(source), len(target)) for source, target in sentences]
    sources, targets = map(sum, zip(*lengths, strict=True))
    return all(abs(t - s * targets / sources) <= MAX_DEVIATION * sqrt(VARIANCE * s) for s, t in lengths)
