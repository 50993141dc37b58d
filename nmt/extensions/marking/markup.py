"""Marks in HTML, as the element ``mark``, and in OpenDocument 1.3, as a background and annotations."""

import re
from collections.abc import Sequence
from html import escape

from nmt.extensions.documents.elements import Element
from nmt.extensions.documents.office import DC, OFFICE, TEXT
from nmt.extensions.documents.xml import parse_xml, read_archive, write_archive, write_xml
from nmt.extensions.marking.doubts import AUTHOR, FIRST, LAST, MARK, MARK_BYTES, SECOND, Doubt, divided

STYLE, FO = (f"{{urn:oasis:names:tc:opendocument:xmlns:{name}:1.0}}" for name in ("style", "xsl-fo-compatible"))
COLOUR = "#ffff66"
_PARAGRAPHS = (f"{TEXT}p", f"{TEXT}h")
MARKED = "nmt_doubt"
"""Name of the style of marked text."""
_TAG = re.compile(r"""(<!--.*?-->|<[!/?A-Za-z](?:"[^"]*"|'[^']*'|[^>"'])*>)""", re.DOTALL)
_WITHOUT_MARKUP = re.compile(r"<(/?)(title|option|textarea|script|style)\b", re.IGNORECASE)
"""Elements that can't have an element in their text."""


def mark_html(data: bytes, doubts: Sequence[Doubt]) -> bytes:
    """Surrounds the marked sentences of a page by ``mark``, whose title has the reasons."""
    for character in (FIRST, SECOND, LAST):  # of an encoding that lacks them
        data = data.replace(f"&#{ord(character)};".encode(), character.encode())
    doubt: Doubt | None = None
    result, can_mark = list[str](), True
    for number, piece in enumerate(_TAG.split(data.decode("utf-8", "surrogateescape"))):
        if number % 2:
            if element := _WITHOUT_MARKUP.match(piece):
                can_mark = element[1] == "/"
            result.append(MARK.sub("", piece))
            continue
        for at, part in enumerate(divided(piece, doubts)):
            if at % 2:
                doubt = part if isinstance(part, Doubt) else None
            elif doubt is not None and can_mark and str(part).strip():
                result.append(f'<mark title="{_ascii(doubt.comment)}">{part}</mark>')
            else:
                result.append(str(part))
    return "".join(result).encode("utf-8", "surrogateescape")


def _ascii(text: str) -> str:
    """Returns text as an attribute of a page in any encoding."""
    return escape(text).encode("ascii", "xmlcharrefreplace").decode()


def mark_open_document(data: bytes, doubts: Sequence[Doubt]) -> bytes:
    """Gives the marked sentences of an ODT file a background and, but for headers, footers and comments, a comment."""
    result = []
    for member, content in read_archive(data, "an OpenDocument text"):
        if member.filename in ("content.xml", "styles.xml") and FIRST.encode() in content:
            root = parse_xml(content)
            writer = _Writer(doubts)
            for paragraph in [each for each in root.iter(*_PARAGRAPHS) if FIRST in "".join(each.itertext())]:
                is_noted = next(paragraph.iterancestors(f"{OFFICE}annotation"), None) is not None
                writer.mark(paragraph, member.filename == "content.xml" and not is_noted)
            _add_style(root)
            content = write_xml(root)
        result.append((member, MARK_BYTES.sub(b"", content)))
    return write_archive(result, "an OpenDocument text")


def _add_style(root: Element) -> None:
    styles = root.find(f"{OFFICE}automatic-styles")
    if styles is None:
        styles = root.makeelement(f"{OFFICE}automatic-styles")
        following = (f"{OFFICE}body", f"{OFFICE}master-styles")
        root.insert(next((n for n, each in enumerate(root) if each.tag in following), len(root)), styles)
    style = styles.makeelement(f"{STYLE}style", {f"{STYLE}name": MARKED, f"{STYLE}family": "text"})
    style.append(style.makeelement(f"{STYLE}text-properties", {f"{FO}background-color": COLOUR}))
    styles.append(style)


class _Writer:
    """Marks the text of paragraphs one after the other, without the paragraphs in them, such as those of notes."""

    def __init__(self, doubts: Sequence[Doubt]) -> None:
        self._doubts, self._has_annotations = doubts, False
        self._doubt: Doubt | None = None
        self._num_annotations = 0

    def mark(self, paragraph: Element, has_annotations: bool) -> None:
        self._doubt, self._has_annotations = None, has_annotations
        self._mark(paragraph)

    def _mark(self, element: Element) -> None:
        children = list(element)
        content = self._marked(element, element.text)
        for child in children:
            if child.tag not in _PARAGRAPHS and isinstance(child.tag, str):
                self._mark(child)
            content += [child, *self._marked(element, child.tail)]
        element.text = None
        for child in children:
            element.remove(child)
            child.tail = None
        for item in content:
            last = next(element.iterchildren(reversed=True), None)
            if not isinstance(item, str):
                element.append(item)
            elif last is None:
                element.text = (element.text or "") + item
            else:
                last.tail = (last.tail or "") + item

    def _marked(self, parent: Element, text: str | None) -> list[str | Element]:
        """Returns text with elements for its marks."""
        found: list[str | Element] = []
        for at, part in enumerate(divided(text or "", self._doubts)):
            if at % 2:
                found += self._ended(parent)
                self._doubt = part if isinstance(part, Doubt) else None
                found += self._begun(parent)
            elif self._doubt is not None and part:
                span = parent.makeelement(f"{TEXT}span", {f"{TEXT}style-name": MARKED})
                span.text = part
                found.append(span)
            else:
                found.append(part)
        return found

    def _begun(self, parent: Element) -> list[Element]:
        """Returns an annotation if a doubt has begun."""
        if self._doubt is None or not self._has_annotations:
            return []
        self._num_annotations += 1
        note = parent.makeelement(f"{OFFICE}annotation", {f"{OFFICE}name": self._name})
        for name, text in ((f"{DC}creator", AUTHOR), (f"{TEXT}p", self._doubt.comment)):
            note.append(note.makeelement(name))
            note[-1].text = text
        return [note]

    def _ended(self, parent: Element) -> list[Element]:
        if self._doubt is None or not self._has_annotations:
            return []
        return [parent.makeelement(f"{OFFICE}annotation-end", {f"{OFFICE}name": self._name})]

    @property
    def _name(self) -> str:
        return f"{MARKED}_{self._num_annotations}"
