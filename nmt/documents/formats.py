"""Documents in and out: the text of a file is translated, its structure and formatting are kept.

Untrusted files are safe to read: sizes are limited before and after unpacking, XML has no entities or DTD, and nothing
is loaded from elsewhere or executed.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import PurePosixPath

from nmt.core.errors import UserError, shortened
from nmt.documents.docx import translate_paragraphs
from nmt.documents.elements import Block, Element, Kind, Run, blocks_of, translate_blocks, translate_htmls
from nmt.documents.markdown import translate_markdown
from nmt.documents.markup import translate_content
from nmt.documents.segmentation import Translate
from nmt.documents.tags import Content, Nesting, text_of

MAX_BYTES = 10 << 20
"""Of a file."""
MAX_UNPACKED = 50 << 20
"""Of the contents of a packed file."""
MAX_MEMBERS = 2_000
"""Files in a packed file."""

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_DOCX_TEXT = re.compile(r"word/(?:document|header\d*|footer\d*|footnotes|endnotes)\.xml")
_TAG = re.compile(r"(</?[A-Za-z][^<>]*>|\{\\[^{}]*\})")
_SPEECH = re.compile(r"((?:^|\n)[ \t]*[-–—][ \t]*)")
_BREAK = re.compile(r"\s*\n\s*")
_CHARSET = re.compile(rb"""<meta[^>]+charset=["']?([\w-]+)""", re.IGNORECASE)


def translate_document(name: str, data: bytes, translate: Translate, source: str = "en", target: str = "") -> bytes:
    """Translate a file.

    Args:
        name: its name; the ending tells the format, one of :data:`FORMATS`.
        data: its content.
        translate: translates sentences.
        source: language of the text.
        target: language that is written into formats that have a place for it.

    Raises:
        UserError: the format is unknown, the file is too large, damaged, or would be dangerous to read.
    """
    form = FORMATS[check_name(name)]
    if len(data) > MAX_BYTES:
        raise UserError(f"The file has {len(data):,} bytes, more than {MAX_BYTES:,}.", "Divide it.")
    return form(data, partial(translate_content, translate=translate, language=source), target)


def check_name(name: str) -> str:
    """The ending of a file name.

    Raises:
        UserError: the name is a path, or the ending is none of :data:`FORMATS`.
    """
    if not name.isprintable() or {"/", "\\"} & set(name) or name.startswith("."):
        raise UserError(f"{shortened(name)!r} is not a plain file name.", "Give a name without a folder.")
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"Files {shortened(suffix)!r} can't be translated.", f"Give one of {', '.join(FORMATS)}.")
    return suffix


def _damaged(what: str, error: object) -> UserError:
    return UserError(f"The file is not {what}: {shortened(str(error), 200)}.", "Save it again, or check its ending.")


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"The file is not UTF-8 (byte {error.start + 1:,} is 0x{data[error.start]:02x}).",
            "Save it as UTF-8, for example with `iconv -f LATIN1 -t UTF-8`.",
        ) from None


# Plain formats


def _txt(data: bytes, run: Run, target: str) -> bytes:
    mark, text = data[:3] == b"\xef\xbb\xbf", _decoded(data)
    lines = text.removeprefix("\ufeff").split("\n")
    return ("\ufeff" * mark + "\n".join(map(text_of, run([[line] for line in lines])))).encode()


def _md(data: bytes, run: Run, target: str) -> bytes:
    return translate_markdown(_decoded(data), run).encode()


def _html(data: bytes, run: Run, target: str) -> bytes:
    charset = _CHARSET.search(data[:2048])
    encoding = charset.group(1).decode() if charset else "utf-8"
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        encoding, text = "utf-8", _decoded(data)
    return translate_htmls([text.removeprefix("\ufeff")], run)[0].encode(encoding, "xmlcharrefreplace")


def _srt(data: bytes, run: Run, target: str) -> bytes:
    import srt

    try:
        cues = list(srt.parse(_decoded(data).removeprefix("\ufeff")))
    except (srt.SRTParseError, ValueError, OverflowError) as error:
        raise _damaged("a SubRip file", error) from None
    # Lines of a cue are one text, unless each is what somebody says.
    lines = [_SPEECH.split(cue.content) for cue in cues]
    contents = iter(run([tag_soup(_BREAK.sub(" ", text)) for of_cue in lines for text in of_cue[::2]]))
    for cue, of_cue in zip(cues, lines, strict=True):
        for number in range(0, len(of_cue), 2):
            of_cue[number] = _in_lines(_as_text(next(contents)), of_cue[number].strip("\n").count("\n") + 1)
        cue.content = "".join(of_cue)
    return str(srt.compose(cues, reindex=False)).encode()


def _in_lines(text: str, num_lines: int) -> str:
    """Text in so many lines of about equal length, if it has as many words."""
    import textwrap

    width = -(-len(text) // num_lines)
    while num_lines > 1:
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        if len(lines) <= num_lines:
            return "\n".join(lines)
        width += 1
    return text


def _po(data: bytes, run: Run, target: str) -> bytes:
    import polib

    text = _decoded(data)
    if "msgid" not in text or "\0" in text:
        raise _damaged("a PO file", "it has no msgid")
    try:
        catalogue = polib.pofile("\n" + text)  # text that begins so is never taken for a path
    except (OSError, ValueError, IndexError, AttributeError, KeyError) as error:
        raise _damaged("a PO file", error) from None
    waiting = [e for e in catalogue if not e.obsolete and not e.translated() and "fuzzy" not in e.flags]
    contents = iter(run([tag_soup(text) for e in waiting for text in (e.msgid, e.msgid_plural) if text]))
    for entry in waiting:
        first = _as_text(next(contents))
        if entry.msgid_plural:
            plural = _as_text(next(contents))
            numbers = sorted(entry.msgstr_plural) or [0, 1]
            entry.msgstr_plural = {n: plural if n else first for n in numbers}
        else:
            entry.msgstr = first
    return str(catalogue).encode()


def tag_soup(text: str) -> Content:
    """Text with tags that may be incomplete as content; whatever has no partner is a place in the text."""
    nesting = Nesting()
    for number, part in enumerate(_TAG.split(text)):
        if number % 2:
            nesting.tag(part)
        else:
            nesting.add(part)
    return nesting.content()


def _as_text(content: Content) -> str:
    """What :func:`tag_soup` read, as text again."""
    parts = []
    for item in content:
        if isinstance(item, str):
            parts.append(item)
        else:
            first, last = item.tag
            parts += [first, _as_text(item.content), last]
    return "".join(parts)


# XML


def parse_xml(data: bytes) -> Element:
    """The root of an XML document without a document type.

    Raises:
        UserError: it is not well-formed, or has a document type, which could define entities.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError) as error:
        raise _damaged("well-formed XML", error) from None
    if root.getroottree().docinfo.doctype:
        raise UserError("The XML has a document type, which could load other files.", "Remove the DOCTYPE.")
    return root


def _write_xml(root: Element) -> bytes:
    from lxml import etree

    return bytes(etree.tostring(root.getroottree(), xml_declaration=True, encoding="UTF-8"))


def _xliff(data: bytes, run: Run, target: str) -> bytes:
    root = parse_xml(data)
    namespace = root.tag.rpartition("}")[0] + "}" if "}" in root.tag else ""
    if not root.tag.endswith("xliff"):
        raise _damaged("XLIFF", f"its root is {shortened(root.tag)}")
    is_2 = root.get("version", "").startswith("2")
    targets = []
    for unit in root.iter(f"{namespace}segment" if is_2 else f"{namespace}trans-unit"):
        source, existing = unit.find(f"{namespace}source"), unit.find(f"{namespace}target")
        if source is None or unit.get("translate") == "no" or (existing is not None and "".join(existing.itertext())):
            continue
        if existing is not None:
            unit.remove(existing)
        made = deepcopy(source)
        made.tag, made.tail = f"{namespace}target", source.tail
        made.attrib.pop("{http://www.w3.org/XML/1998/namespace}lang", None)
        source.addnext(made)
        (unit if is_2 else made).set("state", "translated" if is_2 else "needs-review-translation")
        targets.append(made)
    places = [root] if is_2 else list(root.iter(f"{namespace}file"))
    for place in places if target else ():
        place.set("trgLang" if is_2 else "target-language", target)
    pairs = [pair for made in targets for pair in _join_pairs(made)]
    translate_blocks([block for made in targets for block in blocks_of(made, _xliff_kind)], run, {})
    for wrapper, first, last in reversed(pairs):
        _divide_pair(wrapper, first, last)
    return _write_xml(root)


def _xliff_kind(element: Element) -> Kind:
    name = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    if name == "mrk" and "no" in (element.get("translate"), {"protected": "no"}.get(element.get("mtype"))):
        return "kept"
    return "unique" if name in ("g", "mrk", "pc", "pair") else "opaque"


def _join_pairs(parent: Element) -> Iterator[tuple[Element, Element, Element]]:
    """Put what is between ``bx`` and ``ex``, ``bpt`` and ``ept``, ``sc`` and ``ec`` into an element."""
    ends = {"bx": "ex", "bpt": "ept", "sc": "ec"}
    for first in list(parent):
        name = first.tag.rpartition("}")[2] if isinstance(first.tag, str) else ""
        key = first.get("rid") or first.get("id")
        if name in ends and first.getparent() is parent:
            for last in first.itersiblings():
                other = last.get("startRef") or last.get("rid") or last.get("id") if isinstance(last.tag, str) else None
                if other == key and str(last.tag).rpartition("}")[2] == ends[name]:
                    wrapper = parent.makeelement("pair")
                    first.addprevious(wrapper)
                    wrapper.text, wrapper.tail = first.tail, last.tail
                    for between in list(first.itersiblings()):
                        if between is last:
                            break
                        wrapper.append(between)
                    parent.remove(first)
                    parent.remove(last)
                    yield wrapper, first, last
                    break
    for child in parent:
        yield from _join_pairs(child)


def _divide_pair(wrapper: Element, first: Element, last: Element) -> None:
    first.tail, last.tail = wrapper.text, None
    for element in [first, *wrapper, last]:
        wrapper.addprevious(element)
    last.tail, wrapper.tail = wrapper.tail, None
    wrapper.getparent().remove(wrapper)


# Packed formats


def _odt(data: bytes, run: Run, target: str) -> bytes:
    def change(root: Element) -> None:
        paragraphs = list(root.iter(f"{_OFFICE}p", f"{_OFFICE}h"))
        breaks = {f"{_OFFICE}tab": "\t"}
        blocks: list[Block] = [b for p in paragraphs for b in blocks_of(p, _odt_kind, breaks, collapse=True)]
        translate_blocks(blocks, run, {})

    return _repacked(data, re.compile(r"(?:content|styles)\.xml"), change, "an OpenDocument text")


def _odt_kind(element: Element) -> Kind:
    name = element.tag.rpartition("}")[2] if str(element.tag).startswith(_OFFICE) else ""
    if name in ("span", "meta", "a"):
        return "unique" if name == "a" else "inline"
    if name in ("tab", "line-break"):
        return "break"
    return "kept" if element.text and not len(element) and name else "opaque"  # fields, such as a page number


def _docx(data: bytes, run: Run, target: str) -> bytes:
    return _repacked(data, _DOCX_TEXT, lambda root: translate_paragraphs(root, run), "a Word document")


def _repacked(data: bytes, wanted: re.Pattern[str], change: Callable[[Element], None], what: str) -> bytes:
    """A ZIP file with changes to the XML files whose names match.

    Raises:
        UserError: it is no such file, is encrypted, has too many or too large members, or paths out of its folder.
    """
    written, unpacked, num_changed = io.BytesIO(), 0, 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed, zipfile.ZipFile(written, "w") as result:
            members = packed.infolist()
            if len(members) > MAX_MEMBERS:
                raise UserError(f"The file contains {len(members):,} files.", f"At most {MAX_MEMBERS:,} are read.")
            for member in members:
                parts = PurePosixPath(member.filename.replace("\\", "/"))
                if parts.is_absolute() or ".." in parts.parts:
                    raise UserError(f"The file contains the path {shortened(member.filename)!r}.", "Save it again.")
                with packed.open(member) as file:
                    content = file.read(MAX_UNPACKED - unpacked + 1)
                unpacked += len(content)
                if unpacked > MAX_UNPACKED:
                    raise UserError(f"The file has more than {MAX_UNPACKED:,} bytes when unpacked.", "Divide it.")
                if wanted.fullmatch(member.filename):
                    root = parse_xml(content)
                    change(root)
                    content, num_changed = _write_xml(root), num_changed + 1
                result.writestr(member, content, member.compress_type)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise _damaged(what, error) from None
    if not num_changed:
        raise _damaged(what, "it has no text part")
    return written.getvalue()


FORMATS: dict[str, Callable[[bytes, Run, str], bytes]] = {
    ".txt": _txt, ".html": _html, ".htm": _html, ".srt": _srt, ".docx": _docx, ".odt": _odt, ".po": _po,
    ".xliff": _xliff, ".xlf": _xliff, ".md": _md,
}  # fmt: skip
"""Readers and writers by the ending of the file name."""
