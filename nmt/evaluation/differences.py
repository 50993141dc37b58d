"""Where two texts differ, word by word, in a form that every kind of output can show."""

import re
from difflib import SequenceMatcher
from typing import NamedTuple

# Scripts without spaces differ character by character.
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+(?:['’\-]\w+)*|[^\w\s]")


class Span(NamedTuple):
    """A stretch of a text. ``same`` is False where the other text has something else, or nothing, in its place."""

    text: str
    same: bool


def word_differences(text: str, other: str) -> list[Span]:
    """A text cut where it begins and ends to agree with another one; put together, the spans are the text.

    Words and punctuation marks are compared, cased; white space is not.
    """
    words, others = list(_WORD.finditer(text)), _WORD.findall(other)
    matcher = SequenceMatcher(None, [match[0] for match in words], others, autojunk=False)
    same = [False] * len(words)
    for block in matcher.get_matching_blocks():
        same[block.a : block.a + block.size] = [True] * block.size
    spans: list[Span] = []
    position = 0
    for match, is_same in zip(words, same, strict=True):
        between, position = text[position : match.start()], match.end()
        if spans and spans[-1].same == is_same:
            spans[-1] = Span(spans[-1].text + between + match[0], is_same)
        elif between:
            spans += [Span(between, True), Span(match[0], is_same)]
        else:
            spans.append(Span(match[0], is_same))
    if text[position:]:
        spans.append(Span(text[position:], True))
    return _merged(spans)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1].same == span.same:
            merged[-1] = Span(merged[-1].text + span.text, span.same)
        else:
            merged.append(span)
    return merged
