"""The doubtful sentences of a document: their reasons, and characters around them until the document is written.

A sentence is marked by noncharacters of Unicode, which are for the internal use of programs and are in no text. They
are written into the document with the sentence, where its paragraphs and elements may divide it, and are then replaced
by what a format has for highlighting.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nmt.core.console import say
from nmt.core.errors import shortened
from nmt.extensions.documents.job import Revision
from nmt.extensions.documents.markup import AROUND
from nmt.extensions.documents.tags import KEPT
from nmt.extensions.quality.check import END as SENTENCE_END
from nmt.extensions.quality.check import lost_texts, severity
from nmt.metrics.degenerate import DESCRIPTIONS
from nmt.recipe.registry import object_at
from nmt.translation.results import Translation

FIRST, SECOND, LAST = "\U0001fffe", "\U0001ffff", "\U0002fffe"
"""What surrounds the number of a doubt before its sentence, and what ends the sentence."""
MARK = re.compile(f"{FIRST}(\\d{{1,9}}){SECOND}|{LAST}")
MARK_BYTES = re.compile(MARK.pattern.encode())
"""The same in UTF-8, to take out what is left in attributes and other places that show no marks."""
AUTHOR = "nmt"
"""Of the comments."""
NUM_SHOWN = 5
"""Sentences of the summary."""
WRITERS = {
    ".docx": "office_open:mark_document",
    ".odt": "markup:mark_open_document",
    ".html": "markup:mark_html",
    ".htm": "markup:mark_html",
    ".xlsx": "office_open:mark_workbook",
}
"""The functions that replace the characters in a file; each takes its content and the doubts."""
_DEGENERATE = {kind: of_one for kind, (of_one, _) in DESCRIPTIONS.items()} | {"copy": "copies the source"}
_NAMES = {"numbers": "number", "urls": "address", "tags": "tag", "placeholders": "placeholder", "code": "code"}


@dataclass(frozen=True)
class Doubt:
    """A doubtful sentence."""

    source: str
    text: str
    comment: str
    """The reasons."""
    order: tuple[float, ...]
    """Sorts those first that a person should read first."""


class Marks(Revision):
    """Marks the doubtful sentences of a document, and says which to read first.

    Args:
        limit: confidence below which a sentence is doubtful.
    """

    def __init__(self, limit: float) -> None:
        self._limit, self._numbers, self.doubts = limit, dict[str, int](), list[Doubt]()

    def sentence(self, translation: Translation) -> Translation:
        comment = "; ".join(dict.fromkeys(reasons_of(translation, self._limit)))
        if not comment:
            return translation
        number = self._numbers.setdefault(translation.source, len(self.doubts))
        if number == len(self.doubts):
            num_texts, num_words = severity(translation.fields.get("problems") or {})
            order = (-num_texts, translation.fields.get("confidence", 1.0), -num_words)
            self.doubts.append(Doubt(translation.source, translation.text, comment, order))
        return replace(translation, fields={**translation.fields, AROUND: (f"{FIRST}{number}{SECOND}", LAST)})

    def document(self, content: bytes, ending: str) -> bytes:
        content = object_at(f"nmt.extensions.marking.{WRITERS[ending]}")(content, self.doubts)
        if not self.doubts:
            say("No sentence is marked.")
            return content
        are_marked = "sentence is marked" if len(self.doubts) == 1 else "sentences are marked"
        say(f"{len(self.doubts):,} {are_marked}. Read first:")
        for doubt in sorted(self.doubts, key=lambda each: each.order)[:NUM_SHOWN]:
            source, text = shortened(doubt.source, 300), shortened(doubt.text, 300)
            say(f"\n  {doubt.comment}\n  source:      {source}\n  translation: {text}")
        return content


def divided(text: str, doubts: Sequence[Doubt], before: Doubt | None = None) -> list[tuple[Doubt | None, str]]:
    """Returns the pieces of a text between the marks, each with the doubt about it; ``before`` is that of the first."""
    first, *others = MARK.split(text)
    found = [(before, first)]
    for number, piece in zip(others[::2], others[1::2], strict=True):
        is_doubtful = number is not None and int(number) < len(doubts)
        found.append((doubts[int(number)] if is_doubtful else None, piece))
    return found


def reasons_of(translation: Translation, limit: float) -> Iterator[str]:
    """Yields why a translation is doubtful; nothing if it isn't, or if a person has made it for the memory.

    Args:
        translation: with the fields ``problems`` and ``confidence``, as far as they are known.
        limit: confidence below which it is doubtful.
    """
    if (translation.fields.get("memory") or {}).get("similarity") == 1:
        return
    yield from _problems(translation.source, translation.fields.get("problems") or {})
    confidence = translation.fields.get("confidence")
    if confidence is not None and confidence < limit:
        yield f"confidence {confidence:.2f}"


def _problems(source: str, found: Mapping[str, Any]) -> Iterator[str]:
    kept = {match.group() for match in KEPT.finditer(source)}  # which a document has where the model has none
    for name, value in found.items():
        if name in _NAMES:
            for text in lost_texts(source, {name: value}):
                is_added = any(text in each for each in kept)
                yield f"the place of {text} is guessed" if is_added else f"{_NAMES[name]} {text} missing"
            yield from (f"{_NAMES[name]} {text} added" for text in value["added"])
        elif name == "uncovered":
            yield from (f"‘{word}’ not translated" for word in value)
        elif name == "unsupported":
            yield from ("the end is unexpected" if word == SENTENCE_END else f"‘{word}’ unexpected" for word in value)
        elif name == "sentences":
            yield "a sentence is missing" if value == 1 else f"{value} sentences are missing"
        elif name == "degenerate":
            yield _DEGENERATE[value]
        elif name == "script":
            yield f"letters of another script: {value}"
        else:
            yield f"{name}: {', '.join(map(str, value))}"
