"""Text of any length as sentences, which models translate, and the text between them, which is kept.

Sentence boundaries are found by sentencex (Wikimedia Foundation): rules and lists of abbreviations for more than 200
languages, which need no download. A line break always ends a sentence.
"""

# ``nmt export --to onnx`` copies this file and patterns.py, so they import the standard library and sentencex alone.

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from nmt.translation.patterns import ends_narrow

_LINES = re.compile(r"([\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+)")
_INSIDE = re.compile(r"[^\w\s,()\"'/-].*\S")
"""A mark before the end, without which a line is one sentence; sentencex takes 0.2 ms for each mark of Danish."""


@dataclass(frozen=True)
class Segment:
    """A part of a text: a sentence without the white space around it, or the text between sentences."""

    text: str
    is_sentence: bool


def has_letters(text: str) -> bool:
    """Returns whether there is anything to translate: letters or digits, not only emojis, marks and white space."""
    return any(character.isalnum() for character in text)


def split_sentences(text: str, language: str = "en") -> list[Segment]:
    """Returns the segments of a text in order; joined, they are the text.

    Args:
        text: any number of lines. Tabs end a sentence, too: they separate columns, and turns of dialogues.
        language: code of the language; for an unknown one the rules of a related language or of English hold.
    """
    from sentencex import segment

    segments = []
    for number, line in enumerate(_LINES.split(text)):
        if number % 2 or not has_letters(line):
            segments.append(Segment(line, False))
            continue
        sentences = [""]
        for part in segment(language, line) if _INSIDE.search(line) else [line]:
            edge = sentences[-1][-1:] + part[:1]
            if edge[:1].isspace() or not edge.isascii():  # other marks than those of a name, such as ASP.NET
                sentences.append("")
            sentences[-1] += part
        # The guarantee of the library; without it white space could be lost.
        for sentence in sentences if "".join(sentences) == line else [line]:
            bare = sentence.strip()
            begin = sentence.index(bare)
            pieces = sentence[:begin], bare, sentence[begin + len(bare) :]
            segments += [Segment(piece, has_letters(piece)) for piece in pieces]
    return [each for each in segments if each.text]


def sentences_of_line(line: str, language: str, after_tags: Callable[[str], int]) -> list[str]:
    """Returns the sentences of a line with :func:`with_tags`, or the line as it is if it is one; none of mere marks."""
    if line.strip() and not has_letters(line):
        return []  # an emoji, for example, in whose place a model writes any word
    texts = [""]
    for segment in split_sentences(line, language):
        if segment.is_sentence and has_letters(texts[-1]):
            texts.append("")
        texts[-1] += segment.text
    return with_tags((text.strip() for text in texts), after_tags) if len(texts) > 1 else [line]


def translated(segments: Sequence[Segment], translations: Iterator[str]) -> list[str]:
    """The text of each segment in the translation. The space between sentences is that of the script before it."""
    texts, edge = list[str](), Segment("", False)
    for before, segment, after in zip((edge, *segments), segments, (*segments[1:], edge), strict=False):
        text = next(translations) if segment.is_sentence else segment.text
        if before.is_sentence and segment.is_sentence and ends_narrow(texts[-1]):
            text = f" {text}"
        elif before.is_sentence and after.is_sentence and not (text.strip(" ") or ends_narrow(texts[-1])):
            text = "" if ends_narrow(before.text) else text
        texts.append(text)
    return texts


def with_tags(sentences: Iterable[str], after_tags: Callable[[str], int]) -> list[str]:
    """Sentences of one text in which the tags in front of one, found by ``after_tags``, hold until others come."""
    tagged, prefix = [], ""
    for sentence in sentences:
        if begin := after_tags(sentence):
            prefix = f"{sentence[:begin]} "
        tagged.append(sentence if begin else prefix + sentence)
    return tagged
