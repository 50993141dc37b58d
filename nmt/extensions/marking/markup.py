"""Marks in HTML, as the element ``mark``, and in OpenDocument 1.3, as a background and annotations."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import count

from nmt.extensions.documents.elements import Element, add, append, clear
from nmt.extensions.documents.office import DC, FO, OFFICE, STYLE, TEXT
from nmt.extensions.documents.xml import Archive
from nmt.extensions.marking.doubts import AUTHOR, FIRST, LAST, MARK, MARK_BYTES, SECOND, Doubt, divided

COLOUR = "#ffff66"
_PARAGRAPHS = (f"{TEXT}p", f"{TEXT}h")
_INLINE = {f"{TEXT}{name}" for name in ("span", "a", "ruby", "ruby-base", "meta", "meta-field")}
"""Elements whose text is that of the paragraph; the text of others is a field's, a note's, or of another paragraph."""
MARKED = "nmt_doubt"
"""Name of the style of marked text."""
_NAMES = ("title", "option", "textarea", "script", "style")
_WITHOUT_MARKUP = "|".join(rf"<(?i:{name})\b.*?(?=</(?i:{name})|\Z)" for name in _NAMES)
"""Elements that can't have an element in their text, and their text."""
_TAG = re.compile(rf"""(<!--.*?(?:-->|\Z)|{_WITHOUT_MARKUP}|<[!/?A-Za-z](?:"[^"]*"|'[^']*'|[^<>"'])*>)""", re.DOTALL)


def mark_html(data: bytes, doubts: Sequence[Doubt]) -> bytes:
    """Surrounds the marked sentences of a page by ``mark``, whose title has the reasons."""
    for character in (FIRST, SECOND, LAST):  # of an encoding that lacks them
        data = data.replace(f"&#{ord(character)};".encode(), character.encode())
    doubt: Doubt | None = None
    result = list[str]()
    for number, piece in enumerate(_TAG.split(data.decode("utf-8", "surrogateescape"))):
        if number % 2:
            result.append(MARK.sub("", piece))
            continue
        parts = divided(piece, doubts, doubt)
        for doubt, part in parts:
            if doubt is not None and part.strip():
                title = escape(doubt.comment).encode("ascii", "xmlcharrefreplace").decode()  # for any encoding
                result.append(f'<mark title="{title}">{part}</mark>')
            else:
                result.append(part)
    return "".join(result).encode("utf-8", "surrogateescape")


def mark_open_document(data: bytes, doubts: Sequence[Doubt]) -> bytes:
    """Gives the marked sentences of an ODT file a background and, but for headers, footers and comments, a comment."""
    archive = Archive(data, "an OpenDocument text")
    for name in ("content.xml", "styles.xml"):
        if FIRST.encode() in archive.parts.get(name, b""):
            root, numbers = archive.tree(name), count(1)
            for paragraph in [each for each in root.iter(*_PARAGRAPHS) if FIRST in "".join(each.itertext())]:
                is_noted = next(paragraph.iterancestors(f"{OFFICE}annotation"), None) is not None
                _Writer(doubts, name == "content.xml" and not is_noted, numbers).mark(paragraph)
            styles = root.find(f"{OFFICE}automatic-styles")
            if styles is None:
                styles = add(root, f"{OFFICE}automatic-styles", before=(f"{OFFICE}body", f"{OFFICE}master-styles"))
            style = add(styles, f"{STYLE}style", {f"{STYLE}name": MARKED, f"{STYLE}family": "text"})
            add(style, f"{STYLE}text-properties", {f"{FO}background-color": COLOUR})
    return archive.written(without=MARK_BYTES)


class _Writer:
    """Marks the text of a paragraph without the paragraphs in it, such as those of notes; ``numbers`` name comments."""

    def __init__(self, doubts: Sequence[Doubt], has_annotations: bool, numbers: Iterator[int]) -> None:
        self._doubts, self._has_annotations, self._numbers = doubts, has_annotations, numbers
        self._doubt: Doubt | None = None
        self._name = ""

    def mark(self, element: Element) -> None:
        content = self._marked(element, element.text)
        for child in element:
            if child.tag in _INLINE:
                self.mark(child)
            content += [child, *self._marked(element, child.tail)]
        clear(element)
        for item in content:
            append(element, item)

    def _marked(self, parent: Element, text: str | None) -> list[str | Element]:
        """Returns text with elements for its marks."""
        found: list[str | Element] = []
        for number, (doubt, piece) in enumerate(divided(text or "", self._doubts, self._doubt)):
            if number and self._has_annotations and self._doubt is not None:
                found.append(parent.makeelement(f"{OFFICE}annotation-end", {f"{OFFICE}name": self._name}))
            if number and self._has_annotations and doubt is not None:
                self._name = f"{MARKED}_{next(self._numbers)}"
                note = parent.makeelement(f"{OFFICE}annotation", {f"{OFFICE}name": self._name})
                add(note, f"{DC}creator", text=AUTHOR)
                add(note, f"{TEXT}p", text=doubt.comment)
                found.append(note)
            self._doubt = doubt
            if doubt is not None and piece:
                span = parent.makeelement(f"{TEXT}span", {f"{TEXT}style-name": MARKED})
                span.text = piece
                found.append(span)
            else:
                found.append(piece)
        return found
