"""HTML and XML as content with inline elements, and back.

Documents are parsed by lxml; XML without entities, DTDs and network access.
"""

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, Literal

from nmt.core.errors import UserError
from nmt.extensions.documents.markup import Translate, translate_content
from nmt.extensions.documents.segmentation import has_letters
from nmt.extensions.documents.selection import reason_to_leave
from nmt.extensions.documents.tags import KEPT, Content, Node, text_of
from nmt.translation.languages import NAMES

PUBLIC_CODES = {"pb": "pt-BR", "zh": "zh-Hans", "zt": "zh-Hant"}
"""Language tags (BCP 47) of the codes that are none, or that clients of LibreTranslate see under another name."""

RIGHT_TO_LEFT = frozenset(("ar", "fa", "he", "ps", "ur", "yi"))
"""Codes of :data:`NAMES` whose script is written from right to left."""
Element = Any
"""An element, comment or processing instruction of lxml."""
Kind = Literal["block", "inline", "unique", "kept", "break", "opaque", "skipped"]
"""Role of an element in the text around it:

``block``: text of its own; ``inline``: part of the text, may be divided; ``unique``: part of the text, not divided;
``kept``: part of the text, not translated; ``break``: white space; ``opaque``: no text, but a place in the text;
``skipped``: a block that is not translated.
"""
KindOf = Callable[[Element], Kind]
Block = tuple[Element, list[Content | Element]]
"""An element with its parts: content, and blocks within it."""
TranslateBlocks = Callable[..., list[Content]]
""":func:`nmt.extensions.documents.markup.translate_content` with its translator; takes blocks and ``kept``."""
Leave = Callable[[str, str, str], None]
"""Records a text that is not translated: its place, itself and the reason."""
XHTML = "{http://www.w3.org/1999/xhtml}"
XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


_BLOCKS = _names(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li main menu nav noscript ol optgroup option p "
    "pre search section select summary table tbody td tfoot th thead title tr ul"
)
_SKIPPED = _names("hr noscript pre script style template")
_OPAQUE = _names(
    "area audio base canvas col colgroup embed frame frameset iframe img input link map math meta object param picture "
    "rp rt source svg textarea track video wbr"
)
_VOID = ("wbr", "source", "track")
"""Elements without content and end tag that the parser doesn't know as such."""
_EMPTY = "\U000ffffd"
"""The text of such an element until the page is written, which tells its end tag from one in a script."""
_KEPT = _names("code kbd samp var")
_TOLD = _names("alt aria-label placeholder title")
"""Attributes that readers see or hear."""
_UNIQUE = _names("a abbr button data dfn label q ruby time")

_SPACE = re.compile(r"[ \t\r\n\f]+")
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
ENTITY = re.compile(r"&(?:\w{1,31}|#\d{1,7}|#[xX][\da-fA-F]{1,6});")
_MANY_ATTRIBUTES = re.compile(
    r"""<[a-zA-Z][^\s<>]*+(?:\s++[^\s=>"']++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"']++))?+){1001}"""
)
_PAGE = re.compile(r"<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_KEPT_IN_HTML = re.compile(rf"{KEPT.pattern}|[&<>\u00a0\u200b-\u200f\u2007\u202f©®™°§¶†‡•←-⇿×÷±≠≤≥≈∞]", re.VERBOSE)


def translate_html(text: str, translate: Translate, language: str = "en", target: str = "") -> str:
    """Translate a fragment or a page of HTML as :func:`translate_page` does; ``language`` is the code of the source."""
    return translate_page(text, partial(translate_content, translate=translate, language=language), target)


def translate_page(text: str, run: TranslateBlocks, target: str = "", leave: Leave | None = None) -> str:
    """Translate a fragment or a page of HTML, and attributes that readers see or hear, with one call of ``run``.

    Block elements separate sentences; inline elements stay around their words. ``script``, ``style``, ``pre`` and what
    has ``translate="no"`` or the class ``notranslate`` are left as they are; so is ``code`` in a sentence.

    Args:
        target: code of the target language. Where a page declares its language, the attributes ``lang`` and
            ``xml:lang`` of the page, and of the translated elements that declare the same language, get this one, and
            ``dir`` of a page its direction. A code of an unknown language changes nothing.
        leave: called with the place, the text and the reason of what is not translated.

    Raises:
        UserError: elements are nested too deeply.
    """
    import lxml.html

    root, is_page = _parse_html(text)
    spellings = entities_in(text)
    # Entities are spelled as in the source: a private character stands for each one until the text is written.
    private = {c: chr(0xF0000 + n) for n, c in enumerate(spellings) if c > 0x7F}
    units = attributes_of(root) + units_of(html_blocks(root), private)
    if leave is not None:
        for element, left, _ in left_alone(root, units):
            name = _html_name(element) or _html_name(element.getparent())  # of text behind a comment
            leave(f"line {element.sourceline}, {name}", left, "code or not to be translated")
    translate_units(units, lambda contents: run(contents, kept=_KEPT_IN_HTML))
    written = partial(lxml.html.tostring, include_meta_content_type=True, encoding="unicode")
    if is_page:
        declare_language(root, target)
        result = str(written(root.getroottree())) + "\n" * text.endswith("\n")
    else:
        result = html.escape(root.text or "", quote=False) + "".join(map(written, root))
    for character, stand_in in private.items():
        result = result.replace(stand_in, spellings[character])
    for name in _VOID:
        result = result.replace(f"{_EMPTY}</{name}>", "")
    return result


def entities_in(text: str) -> dict[int, str]:
    """Returns the characters that a text spells as entities of HTML, each with its entity."""
    return {ord(c): entity for entity in ENTITY.findall(text) if len(c := html.unescape(entity)) == 1}


def _parse_html(text: str) -> tuple[Element, bool]:
    """Returns the root element, and whether this is a page rather than a fragment."""
    import lxml.etree
    import lxml.html

    text, is_page = FORBIDDEN.sub("", text), _PAGE.search(text) is not None
    if _MANY_ATTRIBUTES.search(text):  # the parser compares each with all before it
        raise UserError("An element of the HTML has more than 1,000 attributes.", "Remove those that have no use.")
    parser = lxml.html.HTMLParser(encoding="utf-8", default_doctype=False)
    parse = lxml.html.document_fromstring if is_page else partial(lxml.html.fragment_fromstring, create_parent="div")
    try:
        root = parse(text.encode(), parser=parser)
    except (lxml.etree.LxmlError, ValueError):
        raise UserError("The text can't be parsed as HTML.", "Send it as plain text.") from None
    if any("depth" in error.message for error in parser.error_log):
        raise UserError("The HTML has too many elements inside one another.", "Use at most 250 levels.")
    for element in reversed(list(root.iter(*_VOID))):
        for child in reversed(element):
            element.addnext(child)
        element.tail, element.text = (element.text or "") + (element.tail or ""), _EMPTY
    return root, is_page


def public_code(code: str) -> str:
    """Returns the code as documents and clients of LibreTranslate have it."""
    return PUBLIC_CODES.get(code, code)


def declare_language(page: Element, target: str) -> None:
    """Changes the attributes of a page that tell its language; see :func:`translate_page`."""
    language = primary(target)
    if language not in NAMES:
        return
    before = primary(page.get("lang") or page.get("xml:lang") or page.get(XML_LANGUAGE) or "")
    for element in page.iter() if before else ():
        for name in ("lang", "xml:lang", XML_LANGUAGE):
            is_same = primary(element.get(name) or "") == before
            if is_same and not any(map(is_left, [element, *element.iterancestors()])):
                element.set(name, public_code(target.lower()))
    if language in RIGHT_TO_LEFT or "dir" in page.attrib:
        page.set("dir", "rtl" if language in RIGHT_TO_LEFT else "ltr")


def primary(tag: str) -> str:
    """Returns the language of a tag, which may have a script, a region and so on, too."""
    return re.split("[-_]", tag.strip().lower())[0]


def is_left(element: Element) -> bool:
    """Returns whether the text of an element must not be translated."""
    is_marked = element.get("translate") == "no" or element.get("translatable") == "false"  # Android has the latter
    return is_marked or "notranslate" in element.get("class", "").split()


def html_blocks(root: Element) -> list[Block]:
    """Returns the blocks of HTML, or of XHTML, whose names have a namespace."""
    outer: set[Element] = set()
    for element in root.iter():
        if _html_name(element) in _BLOCKS:
            outer.update(takewhile(lambda each: each not in outer, element.iterancestors()))

    def kind_of(element: Element) -> Kind:
        tag = _html_name(element)
        if not tag or tag[0] == "{" or tag in _OPAQUE:
            return "opaque"
        is_block = tag in _BLOCKS or element in outer
        if tag in _SKIPPED:
            return "skipped"
        if is_left(element):
            return "skipped" if is_block else "kept"
        if is_block:
            return "block"
        if tag in _KEPT or tag == "br":
            return "kept" if tag in _KEPT else "break"
        return "unique" if tag in _UNIQUE or element.get("id") else "inline"

    return list(blocks_of(root, kind_of, collapse=True))


def _html_name(element: Element) -> str:
    """Returns the name of an element; empty for a comment, which has a function as its tag."""
    return element.tag.removeprefix(XHTML) if isinstance(element.tag, str) else ""


def blocks_of(
    root: Element, kind_of: KindOf, breaks: dict[str, str] | None = None, collapse: bool = False
) -> Iterator[Block]:
    """Returns an element and all blocks in it.

    Args:
        root: taken as a block.
        kind_of: of its descendants.
        breaks: the white space that elements of kind ``break`` stand for; otherwise a line break.
        collapse: white space in text is a single space.
    """
    waiting = [root]
    while waiting:
        element = waiting.pop()
        inner_blocks = []

        def content_of(text: str | None) -> Content:
            return [_SPACE.sub(" ", text) if collapse else text] if text else []

        def node(child: Element, kind: Kind) -> Node:
            if kind == "opaque":
                return Node(child, is_kept=True)
            if kind == "break":
                return Node(child, [(breaks or {}).get(child.tag, "\n")], is_kept=True)
            if kind == "kept":
                return Node(child, ["".join(child.itertext())], is_kept=True)
            content = content_of(child.text)
            for inner in child:
                content += [node(inner, kind_of(inner)), *content_of(inner.tail)]
            return Node(child, content, is_unique=kind == "unique")

        parts: list[Content | Element] = [content_of(element.text)]
        for child in element:
            kind = kind_of(child)
            if kind in ("block", "skipped"):
                parts += [child, []]
            else:
                parts[-1].append(node(child, kind))
            if kind == "block":
                inner_blocks.append(child)
            parts[-1] += content_of(child.tail)
        waiting += reversed(inner_blocks)
        yield element, parts


@dataclass(eq=False)
class Unit:
    """A text of a document, or several in one element, whose translations are written together."""

    element: Element
    contents: list[Content]
    write: Callable[[Iterator[Content]], object]
    """Writes the next translations in the place of the contents."""
    reason: str = ""
    """Why it must not be translated."""
    limit: int | None = None
    """The most characters of the translation that programs read."""
    others: Sequence[Element] = ()
    """The elements in it that aren't in the contents."""
    attribute: str = ""
    """The name of the attribute of the element that it is, if it is one."""

    @classmethod
    def of_value(cls, element: Element, attribute: str = "", reason: str = "", limit: int | None = None) -> "Unit":
        """Returns the text of an attribute, or of an element without markup."""

        def write(contents: Iterator[Content]) -> None:
            text = FORBIDDEN.sub("", text_of(next(contents)))
            if attribute:
                element.set(attribute, text)
            else:
                element.text = text

        text = element.get(attribute) if attribute else element.text or ""
        return cls(element, [[text]], write, reason, limit, attribute=attribute)


def attributes_of(root: Element) -> list[Unit]:
    """Returns the attributes of HTML that readers see or hear, but those of what must stay, and names of files."""
    units, left = list[Unit](), set[Element]()
    for element in root.iter("*"):
        if element.getparent() in left or is_left(element) or _html_name(element) in _SKIPPED | {"link"}:
            left.add(element)
            continue
        names = [name for name in element.attrib if name in _TOLD]
        units += [Unit.of_value(element, n) for n in names if not reason_to_leave(element.get(n), is_value=True)]
    return units


def units_of(blocks: Iterable[Block], table: dict[int, str]) -> list[Unit]:
    """Returns those blocks of any number of documents that have text; ``table`` replaces characters."""
    used: set[Element] = set()

    def write(element: Element, parts: list[Content | Element], contents: Iterator[Content]) -> None:
        clear(element)
        for part in parts:
            if isinstance(part, list):
                _write(element, next(contents), used, table)
            else:
                append(element, part)

    units = []
    for element, parts in blocks:
        contents = [part for part in parts if isinstance(part, list)]
        if any(has_letters(text_of(content)) for content in contents):
            others = [part for part in parts if not isinstance(part, list)]
            units.append(Unit(element, contents, partial(write, element, parts), others=others))
    return units


def translate_units(units: Sequence[Unit], run: TranslateBlocks) -> None:
    """Translates units in place."""
    contents = iter(run([content for unit in units for content in unit.contents]))
    for unit in units:
        unit.write(contents)


def left_alone(root: Element, units: Iterable[Unit]) -> Iterator[tuple[Element, str, bool]]:
    """Yields each text of a tree that its units lack or keep: its element, itself, and whether it is kept.

    Call it before the units are written.
    """
    roots, kept = set[Element](), set[Element]()
    for unit in (unit for unit in units if not unit.attribute):
        roots.add(unit.element)
        kept.update(unit.others, *(_kept_elements(content) for content in unit.contents))
    states = dict[Element, str]()
    for element in root.iter():
        outer = states.get(element.getparent(), "")
        states[element] = own = "translated" if element in roots else "kept" if element in kept else outer
        inner = element.text if isinstance(element.tag, str) else None
        for text, state in ((inner, own), (element.tail, outer)):
            if text and state != "translated" and any(map(str.isalpha, text)):
                yield element, text, state == "kept"


def _kept_elements(content: Content) -> Iterator[Element]:
    for item in content:
        if isinstance(item, str):
            continue
        if item.is_kept:
            yield from item.tag if isinstance(item.tag, list) else [item.tag]
        elif isinstance(item.tag, tuple):
            yield from (element for elements in item.tag for element in elements)
        yield from _kept_elements(item.content)


def _write(element: Element, content: Content, used: set[Element], table: dict[int, str]) -> None:
    text = ""
    for item in [*content, None]:
        if isinstance(item, str):
            text += item
            continue
        if written := FORBIDDEN.sub("", text).translate(table):  # once for many texts: the tree copies what it has
            append(element, written)
        text = ""
        if item is not None and isinstance(item.tag, tuple):  # the elements before its content and behind it
            first, last = item.tag
            for each in first:
                append(element, each)
            _write(element, item.content, used, table)
            for each in last:
                append(element, each)
        elif item is not None:
            child = item.tag
            if child in used:
                child = deepcopy(child)  # HTML has names of elements that makeelement() refuses
                child.attrib.pop("id", None)
            used.add(child)
            append(element, child)
            if not item.is_kept:
                clear(child)
                _write(child, item.content, used, table)


def append(element: Element, item: str | Element) -> None:
    """Appends a text, or an element without the text behind it."""
    last = next(element.iterchildren(reversed=True), None)  # len() of an element takes linear time
    if not isinstance(item, str):
        item.tail = None
        element.append(item)
    elif last is not None:
        last.tail = (last.tail or "") + item
    else:
        element.text = (element.text or "") + item


def clear(element: Element) -> None:
    """Takes out text and children; attributes stay."""
    element.text = None
    del element[:]


def add(
    parent: Element, name: str, attributes: Mapping[str, str] = {}, text: str | None = None, before: Sequence[str] = ()
) -> Element:
    """Adds a new element before the first one that has one of some names, or else at the end, and returns it."""
    child = parent.makeelement(name, dict(attributes))
    child.text = text
    following = next(parent.iterchildren(*before), None) if before else None
    if following is None:
        parent.append(child)
    else:
        following.addprevious(child)
    return child
