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
    found = dict[tuple[str, str], None]()
    for pair in texts.train:
        both = zip(pair, texts.languages, strict=True)
        sides = [[part.text for part in split_sentences(*each) if part.is_sentence] for each in both]
        if 1 < len(sides[0]) == len(sides[1]) and _fit(sentences := [*zip(*sides, strict=True)]):
            found |= dict.fromkeys(sentences)
    lines = set(texts.train)
    pairs = [pair for pair in found if pair not in lines]
    return pairs if len(pairs) >= MIN_SHARE * len(texts.train) else []


def _fit(sentences: Pairs) -> bool:
    """Returns whether each target is about as long as its source and the lengths of both texts lead to expect."""
    lengths = [(len(source), len(target)) for source, target in sentences]
    sources, targets = map(sum, zip(*lengths, strict=True))
    return all(abs(t - s * targets / sources) <= MAX_DEVIATION * sqrt(VARIANCE * s) for s, t in lengths)
