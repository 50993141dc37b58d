"""Formats that are text: plain text, HTML, SubRip and gettext catalogues."""

import re
import textwrap
from bisect import bisect_left
from codecs import BOM_UTF8, lookup
from collections.abc import Sequence
from gettext import c2py
from html import unescape
from typing import Any

from nmt.extensions.documents.elements import ENTITY, TranslateBlocks, entities_in, translate_page
from nmt.extensions.documents.formats import DocumentFormat, damaged, decoded
from nmt.extensions.documents.rest import parse_message, write_message
from nmt.extensions.documents.segmentation import has_letters
from nmt.extensions.documents.tags import Content, ContentBuilder, text_of

_INSIDE = "\ue000"
"""Stands for a space in a tag, at which no line ends."""
_TAG = re.compile(r"(</?[A-Za-z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\})")
_MESSAGE = re.compile(r"^msg.*", re.MULTILINE)
_SPEECH = re.compile(r"((?:^|\n)[ \t]*[-–—][ \t]*)")
_CHARSET = re.compile(rb"""<meta[^<>]{1,1000}charset=["']?([\w-]{1,40})""", re.IGNORECASE)
_CODECS = re.compile(r"utf-8|ascii|(iso8859|cp|koi8|mac|gb|big5|euc|shift_jis|windows).*")
"""Encodings that HTML may name. Python has others that aren't encodings of text, such as ``idna``."""
_READ_AS = {"ascii": "cp1252", "iso8859-1": "cp1252"}  # by browsers: with quotation marks for control characters
_TIME = r"\s*(?:\d{1,3}:)?\d\d:\d\d[,.]\d{1,3}"
_TIMES = re.compile(rf"{_TIME}\s*-->{_TIME}(?:\s.*)?")


class PlainText(DocumentFormat):
    """Text, line by line."""

    def translate(self, data: bytes, run: TranslateBlocks, target: str) -> bytes:
        lines = decoded(data).split("\n")
        wanted = [number for number, line in enumerate(lines) if has_letters(line)]
        for number, content in zip(wanted, run([[lines[number]] for number in wanted]), strict=True):
            lines[number] = text_of(content)
        return "\n".join(lines).encode()


class Html(DocumentFormat):
    """HTML, read and written in the encoding of its ``meta charset``, otherwise UTF-8."""

    def translate(self, data: bytes, run: TranslateBlocks, target: str) -> bytes:
        encoding = "utf-8" if data.startswith(BOM_UTF8) else _encoding(data[:2048])
        try:
            text = data.decode(encoding).removeprefix("\ufeff")
        except UnicodeError:
            encoding, text = "utf-8", decoded(data)
        leave = None if self.report is None else self.leave
        return translate_page(text, run, target, leave).encode(encoding, "xmlcharrefreplace")


def _encoding(head: bytes) -> str:
    """Returns the encoding that HTML declares, if it is one that has ASCII characters as ASCII."""
    name = found.group(1).decode() if (found := _CHARSET.search(head)) else "utf-8"
    try:
        name = _READ_AS.get(lookup(name).name, name)
        return name if _CODECS.fullmatch(lookup(name).name) and "<".encode(name) == b"<" else "utf-8"
    except (LookupError, UnicodeError):
        return "utf-8"


class Subtitles(DocumentFormat):
    """Subtitles. A cue is its times, and lines of text.

    The text of SubRip ends at an empty line before the number or the times of the next cue, that of WebVTT, which has
    also notes and style sheets between cues, at the first empty line.

    Everything but the text is kept as it is. The lines of a cue are one text, unless each is the speech of another
    person.
    """

    def translate(self, data: bytes, run: TranslateBlocks, target: str) -> bytes:
        text, is_web = decoded(data), self.ending == ".vtt"
        lines = text.replace("\r\n", "\n").split("\n")
        ranges = _cue_ranges(lines, is_web)
        parts = [_SPEECH.split("\n".join(lines[begin:end])) for begin, end in ranges]
        sources = (part for cue in parts for part in cue[::2])
        contents = iter(run([parse_tags(" ".join(part.split()) if "\n" in part else part) for part in sources]))
        written, done = [], 0
        for (begin, end), cue in zip(ranges, parts, strict=True):
            for number in range(0, len(cue), 2):
                entities = entities_in(cue[number]) | ({ord("&"): "&amp;", ord("<"): "&lt;"} if is_web else {})
                cue[number] = _in_lines(as_text(next(contents), entities), cue[number].strip("\n").count("\n") + 1)
            written += [*lines[done:begin], *["".join(cue)] * (begin < end)]
            done = end
        result = "\n".join([*written, *lines[done:]])
        return (result.replace("\n", "\r\n") if "\r\n" in text else result).encode()


def _cue_ranges(lines: Sequence[str], is_web: bool) -> list[tuple[int, int]]:
    """Returns the first line of the text of each cue, and the line behind its last one.

    Raises:
        UserError: there is text before the first cue, or not the header of WebVTT.
    """
    times = [number for number, line in enumerate(lines) if "-->" in line and _TIMES.fullmatch(line)]
    if is_web:
        if not lines[0].startswith("WEBVTT"):
            raise damaged("a WebVTT file", f"expected WEBVTT, not {lines[0][:80]!r}")
        ends = sorted({*times, *(number for number, line in enumerate(lines) if not line.strip()), len(lines)})
        return [(n + 1, ends[bisect_left(ends, n + 1)]) for n in times]
    heads = [n - 1 if n and lines[n - 1].strip().isdecimal() else n for n in times]
    first = heads[0] if heads else len(lines)
    if strange := next((line for line in lines[:first] if line.strip()), ""):
        raise damaged("a SubRip file", f"expected a number and times, not {strange[:80]!r}")
    ranges = []
    for begin, end in zip(times, [*heads, len(lines)][1:], strict=True):
        while end > begin + 1 and not lines[end - 1].strip():
            end -= 1
        ranges.append((begin + 1, end))
    return ranges


def _in_lines(text: str, num_lines: int) -> str:
    """Wraps text into at most ``num_lines`` lines of about equal length."""
    if num_lines < 2:
        return text
    text = _TAG.sub(lambda tag: tag[0].replace(" ", _INSIDE), text)

    def wrapped(width: int) -> list[str]:
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)

    shortest = max(-(-len(text) // num_lines), 1)
    widths = range(shortest, len(text) + 1)
    width = bisect_left(widths, True, key=lambda width: len(wrapped(width)) <= num_lines) + shortest
    return "\n".join(wrapped(width)).replace(_INSIDE, " ")


class Gettext(DocumentFormat):
    """Catalogues (PO): entries without a translation, whose text may be reStructuredText; they become fuzzy ones."""

    def translate(self, data: bytes, run: TranslateBlocks, target: str) -> bytes:
        catalogue = parse_catalogue(text := decoded(data))
        waiting = catalogue.untranslated_entries()
        for entry in (e for e in catalogue if e.translated() or e.obsolete or "fuzzy" in e.flags):
            for message in (entry.msgid, entry.msgid_plural):
                self.leave(f"line {entry.linenum}", message, "has a translation, or is obsolete")
        sources = [parse_message(text) for e in waiting for text in (e.msgid, e.msgid_plural) if text]
        messages = map(write_message, run(sources), sources)
        for entry in waiting:
            first = next(messages)
            if entry.msgid_plural:
                plural, forms = next(messages), entry.msgstr_plural or {0: "", 1: ""}
                singular = singular_form(catalogue) if len(forms) > 1 else None
                entry.msgstr_plural = {n: text or (first if n == singular else plural) for n, text in forms.items()}
            else:
                entry.msgstr = first
            entry.flags.insert(0, "fuzzy")  # gettext's mark of a translation that a person has to check
        if "Content-Type" in catalogue.metadata:
            catalogue.metadata["Content-Type"] = "text/plain; charset=UTF-8"  # which it is now, if not before
        written = str(catalogue)
        # polib writes a comment and a header also where there were none.
        if not catalogue.header and text.split(maxsplit=1)[0] != "#":
            written = written.removeprefix("#\n")
        if not catalogue.metadata:
            written = written.removeprefix('msgid ""\nmsgstr ""\n\n')
        return (written.replace("\n", "\r\n") if "\r\n" in text else written).encode()


def parse_catalogue(text: str, name: str = "The file") -> Any:
    """Returns the ``polib.POFile`` of a catalogue. Raises a UserError about ``name`` if it is damaged."""
    import polib

    if "msgid" not in text or "\0" in text:
        raise damaged("a PO file", "it has no msgid", name)
    try:  # text that ends with a line end is never taken for a path
        return polib.pofile(text + "\n", wrapwidth=max(78, *map(len, _MESSAGE.findall(text))))
    except (OSError, ValueError, IndexError, AttributeError, KeyError) as error:
        raise damaged("a PO file", error, name) from None


def singular_form(catalogue: Any) -> int:
    """Returns the number of the form of plural messages that is for one thing: for Arabic, form 0 is for none."""
    try:
        return c2py(re.findall(r"\bplural\s*=\s*([^;]+)", catalogue.metadata.get("Plural-Forms", ""))[0])(1)
    except (IndexError, ValueError, ZeroDivisionError):  # no rule, or the EXPRESSION of a template
        return 0


def parse_tags(text: str) -> Content:
    """Returns text with tags as content, without entities; a tag without its partner becomes a place in the text."""
    nesting, parts = ContentBuilder(), _TAG.split(text)
    parts[::2] = [ENTITY.sub(lambda entity: unescape(entity[0]), part) for part in parts[::2]]
    for number, part in enumerate(parts):
        (nesting.tag if number % 2 else nesting.add)(part)
    return nesting.content()


def as_text(content: Content, entities: dict[int, str]) -> str:
    """Inverse of :func:`parse_tags`; ``entities`` are those of its text."""
    return "".join(
        item.translate(entities) if isinstance(item, str) else as_text(item.content, entities).join(item.tag)
        for item in content
    )
