"""Sentences that are translated in parts, because they are too long for a model, or by two models in turn."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, product

from nmt.alignment.lexicon import EDGES
from nmt.data.words import Words
from nmt.extensions.documents.target import words_within
from nmt.translation.examination import merged_fields
from nmt.translation.glossary import Glossary
from nmt.translation.patterns import side_by_side
from nmt.translation.request import Request
from nmt.translation.results import Candidate, Translation
from nmt.translation.translator import Translator

HUGE_PIECE = 64
"""Bytes of text that aren't in one piece, on average of a sentence."""


def unchanged(text: str) -> Translation:
    """Returns text as its own translation."""
    words = text.split()
    return Translation(text, text, 0.0, words, [Candidate(text, 0.0, words)], tuple((i, i) for i in range(len(words))))


def chained(first: Translation, second: Translation) -> Translation:
    """Returns the translation of a translation; the links of its words are composed of both alignments."""
    links = None
    if first.alignment is not None and second.alignment is not None:
        links = tuple(sorted({(i, k) for i, j in first.alignment for same, k in second.alignment if j == same}))
    return replace(
        second,
        source=first.source,
        score=first.score + second.score,
        n_best=[replace(each, score=first.score + each.score) for each in second.n_best],
        alignment=links,
        fields=dict(second.fields) | merged_fields([first, second]),
    )


def handed_on(request: Request, before: Translation) -> Request:
    """Returns the request to the last of several models: its terms are the words that the others have for them.

    Without the alignment of ``before`` the translations of the terms may stand anywhere.
    """
    glossary, text = Glossary(request.terms), before.text
    if before.source == text:
        return request
    if before.alignment is None:
        phrases = (*request.must_contain, *(term[1] for term in glossary.terms_in(before.source)))
        return replace(request, source=text, must_contain=phrases, terms={})
    divide = Words.split_punctuation if before.with_punctuation else Words.split
    source, target, terms = divide(before.source).spans, divide(text).spans, dict[str, str]()
    for term, (begin, end) in glossary.occurrences(before.source):
        words = [t for s, t in before.alignment if source[s][0] < end and source[s][1] > begin]
        if words:
            terms[EDGES.sub(r"\1", text[target[min(words)][0] : target[max(words)][1]])] = term[1]
    return replace(request, source=text, terms=terms)


def in_parts(request: Request, model: Translator) -> list[Request]:
    """Returns a sentence that the model can read as it is, and a longer one in parts, divided between words."""
    text, num_bytes = request.source, len(request.source.encode())
    is_huge = num_bytes > HUGE_PIECE * model.max_pieces  # so the pieces needn't be counted at each division
    begin = model.vocabularies.source.after_tags(text)
    fits = num_bytes <= model.max_pieces or (not is_huge and len(model.encode_source(text)) <= model.max_pieces)
    if fits or len(text) - begin < 4:
        return [request]
    middle = text.rfind(" ", begin + 1, (begin + len(text)) // 2)
    middle = middle if middle > 0 else (begin + len(text)) // 2
    rest = f"{text[:begin]} {text[middle:].lstrip()}" if begin else text[middle:].lstrip()
    halves = replace(request, source=text[:middle]), Request(rest, terms=request.terms)
    return [part for half in halves for part in in_parts(half, model)]


def joined(source: str, parts: Sequence[Translation], model: Translator) -> Translation:
    """Returns the translation of a sentence from those of its parts, of which the links are made links of the whole."""
    first, *others = parts
    if not others:  # an empty part stands for a source that isn't translated, but examined
        return first if first.source else replace(unchanged(source), alignment=first.alignment, fields=first.fields)
    divide = Words.split_punctuation if first.with_punctuation else Words.split
    links, text, tags = list[tuple[int, int]](), "", model.vocabularies.source.tags_of(source)
    position = prefix = 0
    for part in parts:
        # A part may begin within a word; all but the first begin with the tags of the sentence.
        begin = max(source.find(part.source[prefix:], position), position) - prefix
        text = side_by_side((text, part.text))
        spans, targets, offset = divide(part.source).spans, divide(part.text).spans, len(text) - len(part.text)
        for s, t in part.alignment or ():
            at = spans[s][0] if spans[s][0] < prefix else begin + spans[s][0]
            links.append((at, offset + targets[t][0]))
        position, prefix = begin + len(part.source), tags[-1].end + 1 if tags else 0
    score, tokens = sum(part.score for part in parts), [token for part in parts for token in part.tokens]
    best = Candidate(text, score, tokens, sum(part.candidates[0].log_probability for part in parts))
    words, targets = divide(source).spans, divide(text).spans  # without spaces, words of two parts may be one
    found = (product(words_within(words, s, s + 1), words_within(targets, t, t + 1)) for s, t in links)
    alignment = None if any(part.alignment is None for part in parts) else tuple(dict.fromkeys(chain(*found)))
    return Translation(source, text, score, tokens, [best], alignment, first.with_punctuation, merged_fields(parts))
