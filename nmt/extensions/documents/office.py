"""Office files and e-books: ZIP archives of XML parts, whose text is in paragraphs, other elements and attributes.

Office Open XML (ECMA-376: DOCX, PPTX, XLSX), OpenDocument 1.3 (ODT, ODP, ODS) and EPUB 3. A format is a row of
:data:`PACKAGES`, and an element or attribute with text a row of :data:`TEXTS` or :data:`ATTRIBUTES`, whatever the
format: a chart has the same paragraphs in a letter and in a workbook. Macros are copied and never executed.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from html import unescape

from nmt.core.errors import UserError
from nmt.extensions.documents.elements import (
    FORBIDDEN,
    XHTML,
    Element,
    Kind,
    TranslateBlocks,
    Unit,
    attributes_of,
    blocks_of,
    declare_language,
    html_blocks,
    left_alone,
    primary,
    public_code,
    units_of,
)
from nmt.extensions.documents.formats import DocumentFormat, check_number, damaged
from nmt.extensions.documents.runs import DRAWING, SHEET, WORD, A, Dialect, Paragraph, W, X
from nmt.extensions.documents.segmentation import has_letters
from nmt.extensions.documents.selection import reason_to_leave
from nmt.extensions.documents.tags import Content, Node, text_of
from nmt.extensions.documents.xml import Archive, local_name, parse_xml
from nmt.translation.languages import NAMES

C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
DC = "{http://purl.org/dc/elements/1.1/}"
NCX = "{http://www.daisy.org/z3986/2005/ncx/}"
TEXT, TABLE, OFFICE, FORM, PRESENTATION, SVG, STYLE, FO = (
    f"{{urn:oasis:names:tc:opendocument:xmlns:{name}:1.0}}"
    for name in ["text", "table", "office", "form", "presentation", "svg-compatible", "style", "xsl-fo-compatible"]
)
_ODF = re.compile(r"(?:Object [^/]+/)?(?:content|styles)\.xml")
PACKAGES = {
    ".docx": ("a Word document", re.compile(r"word/(?!theme/|media/).*\.xml")),
    ".pptx": ("a presentation", re.compile(r"ppt/(?!theme/|media/).*\.xml")),
    ".xlsx": ("a workbook", re.compile(r"xl/(?!theme/|media/|styles|pivot).*\.xml")),
    ".odt": ("an OpenDocument text", _ODF),
    ".odp": ("an OpenDocument presentation", _ODF),
    ".ods": ("an OpenDocument spreadsheet", _ODF),
    ".epub": ("an EPUB book", re.compile(r".*\.(?:xhtml|html?|opf|ncx)")),
}
"""The kind of each format, and the names of its parts with text, beside :data:`_PROPERTIES`."""
_WITH_CELLS = (".xlsx", ".ods")
"""Formats whose texts are cells, some of which are names for programs."""
_PROPERTIES = re.compile(r"docProps/core\.xml|meta\.xml")
_PROGRAM, _APPLICATION = "docProps/app.xml", re.compile(rb"(<Application>)[^<]*")
_EMBEDDED = re.compile(r".*/embeddings/[^/]+(\.docx|\.pptx|\.xlsx)")
"""Documents in documents, such as the numbers of a chart."""
_ENTITY = re.compile(rb"&(?!(?:lt|gt|amp|quot|apos);)[A-Za-z]\w{1,30};")
_LITERAL = re.compile(r'"((?:[^"]|"")*)"|\[([^\[\]"]+)\]')
"""Text in a formula, and the name of a column of a table."""
_CODE = re.compile(r'(&(?:"[^"]*"|K[\dA-Fa-f]{6}|\d{1,3}|.))', re.DOTALL)
"""Codes in headers and footers of a workbook, ECMA-376 18.3.1.46."""
_ESCAPED = re.compile(r"_x([\dA-Fa-f]{4})_")
"""A character in XML of Office, ECMA-376 22.9.2.19."""
_RETURN = re.compile(rb"(?<!_x005F)_x000D_")
_TAGS = {"zh": "zh-CN", "zt": "zh-TW"}
"""Language tags of office programs, where they aren't those of web pages."""
_EAST_ASIAN = ("zh", "ja", "ko")
_LANGUAGES = {
    **dict.fromkeys((f"{W}lang", f"{W}themeFontLang"), (f"{W}val", f"{W}eastAsia")),
    **dict.fromkeys((f"{A}rPr", f"{A}endParaRPr", f"{A}defRPr"), ("lang", "lang")),
    f"{STYLE}text-properties": (f"{FO}language", f"{STYLE}language-asian"),
}
"""Attributes with the language of text by the name of their element: that of East Asian text is the second one."""
_FORMULAS = [
    *(f"{X}{name}" for name in ("f", "formula", "formula1", "formula2", "calculatedColumnFormula", "definedName")),
    "{http://schemas.microsoft.com/office/excel/2006/main}f",
]
_ODF_FORMULAS = [f"{TABLE}{name}" for name in ("formula", "condition", "expression")]


# The texts of a part


def _runs(dialect: Dialect, element: Element) -> Unit:
    paragraph = Paragraph(element, dialect)
    others = [*paragraph.starts, *paragraph.ends]
    return Unit(element, [paragraph.content], lambda contents: paragraph.write(next(contents)), others=others)


def _slide_text(element: Element) -> Unit:
    unit = _runs(DRAWING, element)
    if local_name(element.getroottree().getroot()) in ("sldLayout", "sldMaster", "notesMaster", "handoutMaster"):
        shape = next(element.iterancestors(f"{P}sp"), None)
        unit.reason = "prompt of a placeholder" if shape is not None and shape.find(f".//{P}ph") is not None else ""
    return unit


def _paragraph(element: Element) -> Unit:
    """Returns a paragraph of OpenDocument; that of a cell may show the value of a formula or a number."""
    for space in list(element.iter(f"{TEXT}s")):
        _unfold(space)
    units = units_of(blocks_of(element, _odf_kind, {f"{TEXT}tab": "\t"}, collapse=True), {})
    [unit] = units or [Unit(element, [], lambda contents: None)]  # all letters may be in elements within it
    cell = element.getparent()
    if cell is not None and cell.get(f"{OFFICE}value-type", "string") != "string":
        unit.reason = "number"
    elif next(element.iterancestors(f"{TEXT}deletion"), None) is not None:
        unit.reason = "deleted text"
    return unit


def _unfold(space: Element) -> None:
    """Writes the first space of an element of spaces as text, which LibreOffice doesn't behind fields and links."""
    parent, previous, number = space.getparent(), space.getprevious(), space.get(f"{TEXT}c", "1")
    before = (parent.text if previous is None else previous.tail) or ""
    if not before.endswith(" ") and (before or previous is not None) and number.isdecimal():
        text = f"{before} "
        if int(number) > 1:
            space.set(f"{TEXT}c", str(int(number) - 1))
        else:
            text += space.tail or ""
            parent.remove(space)
        if previous is None:
            parent.text = text
        else:
            previous.tail = text


def _odf_kind(element: Element) -> Kind:
    name = element.tag.removeprefix(TEXT) if str(element.tag).startswith(TEXT) else ""
    if name in ("span", "meta", "a", "ruby", "ruby-base"):
        return "inline" if name in ("span", "meta") else "unique"
    if name in ("tab", "line-break"):
        return "break"
    return "kept" if element.text and not len(element) and name not in ("", "ruby-text") else "opaque"  # fields


def _page_margin(element: Element) -> Unit:
    """Returns a header or footer of a workbook, whose left, middle and right parts are texts of their own."""
    contents: list[Content] = [[]]
    for number, piece in enumerate(_CODE.split(element.text or "")):
        if number % 2 and piece in ("&L", "&C", "&R"):
            contents += [[Node(piece, is_kept=True)], []]
        elif piece == "&&":
            contents[-1].append("&")
        elif number % 2:
            contents[-1].append(Node(piece, [piece] if piece[1] in "PNDTFAZ" else [], is_kept=True))
        elif piece:
            contents[-1].append(piece)

    def write(translated: Iterator[Content]) -> None:
        element.text = "".join(_coded(next(translated)) for _ in contents)

    return Unit(element, contents, write, limit=255)


def _coded(content: Content) -> str:
    text = ""
    for item in content:
        piece = item.replace("&", "&&") if isinstance(item, str) else item.tag
        text += " " * (text[-1:].isdigit() and piece[:1].isdigit()) + piece  # behind a size
    return FORBIDDEN.sub("", text)


TEXTS: dict[str, Callable[[Element], Unit]] = {
    f"{W}p": partial(_runs, WORD),
    f"{A}p": _slide_text,
    **{f"{X}{name}": partial(_runs, SHEET) for name in ("si", "is", "text")},
    **{f"{X}{side}{what}": _page_margin for side in ("odd", "even", "first") for what in ("Header", "Footer")},
    f"{P}text": Unit.of_value,  # of a comment
    "{http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments}text": Unit.of_value,
    f"{C}v": Unit.of_value,
    f"{TEXT}p": _paragraph,
    f"{TEXT}h": _paragraph,
    **{f"{TEXT}{name}": Unit.of_value for name in ("index-title-template", "index-entry-span")},
    **{f"{PRESENTATION}{name}-decl": Unit.of_value for name in ("header", "footer")},
    **{f"{SVG}{name}": Unit.of_value for name in ("title", "desc")},
    **{f"{DC}{name}": Unit.of_value for name in ("title", "subject", "description")},
    f"{NCX}text": Unit.of_value,
}
"""What makes a text of an element, by its name."""
_SHEET_NAME = "name of a sheet, to which formulas refer"
ATTRIBUTES: dict[str, dict[str, tuple[str, int | None]]] = {
    "{*}docPr": {"descr": ("", None), "title": ("", None)},
    "{*}cNvPr": {"descr": ("", None), "title": ("", None)},
    f"{A}hlinkClick": {"tooltip": ("", None)},
    f"{W}hyperlink": {f"{W}tooltip": ("", 260)},
    f"{W}listItem": {f"{W}displayText": ("", None)},
    **{f"{W}tbl{name}": {f"{W}val": ("", None)} for name in ("Caption", "Description")},
    f"{X}hyperlink": {"tooltip": ("", 255), "display": ("", None)},
    f"{X}dataValidation": {"promptTitle": ("", 32), "prompt": ("", 255), "errorTitle": ("", 32), "error": ("", 225)},
    f"{X}tableColumn": {"name": ("", 255), "totalsRowLabel": ("", None)},
    f"{X}sheet": {"name": (_SHEET_NAME, None)},
    f"{TABLE}table": {f"{TABLE}name": (_SHEET_NAME, None)},
    f"{TABLE}table-cell": {f"{OFFICE}string-value": ("", None)},
    f"{TEXT}a": {f"{OFFICE}title": ("", None)},
    f"{FORM}*": {f"{FORM}label": ("", None), f"{FORM}title": ("", None)},
}  # fmt: skip
"""Attributes with text by the name of their element: why they stay as they are, if so, and their largest length."""


def _units_in(root: Element) -> Iterator[Unit]:
    """Yields the texts of a part. Attributes come first: writing a text can copy its elements."""
    for name, attributes in ATTRIBUTES.items():
        for element in root.iter(name):
            for key in attributes.keys() & element.keys():
                reason, limit = attributes[key]
                yield Unit.of_value(element, key, reason, limit)
    if root.tag == f"{XHTML}html":
        yield from attributes_of(root) + units_of(html_blocks(root), {})
    else:
        for element in root.iter(*TEXTS):
            if has_letters("".join(element.itertext())):  # most elements of large files are empty
                yield TEXTS[element.tag](element)


def _literals_in(root: Element) -> Iterator[str]:
    """Yields the texts with which formulas and lists of allowed values compare cells, in lower case.

    The name of a column of a table with an escaped character, such as a line break, is one, too.
    """
    for name in (each.get("name") or "" for each in root.iter(f"{X}tableColumn")):
        if _ESCAPED.search(name):
            yield from (name.casefold(), _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name).casefold())
    yield from (each.get("val", "").casefold() for each in root.iter(f"{X}filter", f"{X}customFilter"))
    yield from (each.get(f"{TABLE}value", "").casefold() for each in root.iter(f"{TABLE}filter-condition"))
    formulas = [element.text or "" for element in root.iter(*_FORMULAS)]
    if root.tag.startswith(OFFICE):
        formulas += [each.get(name) or "" for each in root.iter(f"{TABLE}*") for name in _ODF_FORMULAS]
        formulas += [value for each in root.iter("{*}condition", "{*}map") for value in each.values()]
    for match in (match for formula in formulas for match in _LITERAL.finditer(formula)):
        text = (match[1] or match[2] or "").replace('""', '"')
        yield from (part.strip().lstrip("@").casefold() for part in (text, *text.split(",")))


# The archive


class _Archive(Archive):
    """The parts of a file, with the texts in them and the documents embedded in it."""

    def __init__(self, data: bytes, ending: str, form: DocumentFormat, target: str, limit: int | None = None) -> None:
        what, text_parts = PACKAGES[ending]
        super().__init__(data, what, limit)
        self.has_cells, is_book = ending in _WITH_CELLS, ending == ".epub"
        self.literals, num_texts = set[str](), 0
        self.units: list[tuple[str, Unit]] = []
        """Each with the name of its part."""
        self.embedded: dict[str, _Archive] = {}
        if not any(map(text_parts.fullmatch, self.parts)):
            raise damaged(what, "it has no text part")
        for name, content in self.parts.items():
            if b"purl.oclc.org/ooxml" in content and name.endswith(".xml"):
                raise UserError("The file is Strict Open XML.", f"Save it as an ordinary {ending} file.")
            if match := _EMBEDDED.fullmatch(name) if limit is None else None:
                try:
                    inner = _Archive(content, match[1], form, target, self._limit - self.num_bytes)
                except UserError:
                    form.leave(name, name.rpartition("/")[2], "embedded file that can't be read")
                    continue
                self.embedded[name] = inner
                self.num_bytes += inner.num_bytes
                self.units += [(f"{name}/{part}", unit) for part, unit in inner.units]
                self.literals |= inner.literals
            elif text_parts.fullmatch(name) or _PROPERTIES.fullmatch(name):
                content = _RETURN.sub(b"&#13;", content) if self.has_cells else content  # of lines from Windows
                root = parse_xml(_ENTITY.sub(_numeric, content) if is_book else content, may_have_type=is_book)
                if self.has_cells:  # Writer doesn't compute the formulas of its tables again
                    _compute_again(root)
                is_changed = _name_language(root, form.source, target)
                num_before = len(self.units)
                for unit in _units_in(root):
                    self.units.append((name, unit))
                    num_texts += any(map(text_of, unit.contents))
                    check_number(num_texts)
                self.literals.update(_literals_in(root))
                if is_book:
                    declare_language(root, target)
                    for language in root.iter(f"{DC}language") if target else ():
                        language.text = public_code(target)
                if is_changed or len(self.units) > num_before or is_book:
                    self.trees[name] = root


def _compute_again(root: Element) -> None:
    """Has Excel compute the results of formulas again, and LibreOffice those that are texts of an ODS file."""
    for settings in root.iter(f"{X}calcPr"):
        settings.set("fullCalcOnLoad", "1")
    for cell in root.iter(f"{TABLE}table-cell"):
        if cell.get(f"{TABLE}formula") and cell.get(f"{OFFICE}value-type", "string") == "string":
            for name in ("value-type", "string-value"):
                cell.attrib.pop(f"{OFFICE}{name}", None)
            for paragraph in cell.findall(f"{TEXT}p"):
                cell.remove(paragraph)


def _name_language(root: Element, source: str, target: str) -> bool:
    """Names the target language where the source language is named, for spell checkers; returns whether it was."""
    tags = [_TAGS.get(code.lower(), public_code(code.lower())) for code in (source, target)]
    (own, new), is_named = map(primary, tags), False
    before, after = own in _EAST_ASIAN, new in _EAST_ASIAN
    for element in root.iter(f"{DC}language", *_LANGUAGES) if len({own, new} & NAMES.keys()) == 2 else ():
        names = _LANGUAGES.get(element.tag)
        if primary((element.get(names[before], "") if names else element.text) or "") != own:
            continue
        is_named = True
        if names is None:
            element.text = tags[1]
        elif element.tag != f"{STYLE}text-properties":
            element.set(names[after], tags[1])
        else:
            element.attrib.pop(f"{STYLE}rfc-language-tag", None)  # which goes before the others
            element.set(names[after], new)
            element.set(names[after].replace("language", "country"), tags[1].partition("-")[2] or "none")
    return is_named


def _numeric(match: re.Match[bytes]) -> bytes:
    """Returns a character of HTML as one that XML knows."""
    return "".join(f"&#{ord(c)};" for c in unescape(match[0].decode())).encode()


class Package(DocumentFormat):
    """A file of one of :data:`PACKAGES`."""

    def translate(self, data: bytes, run: TranslateBlocks, target: str) -> bytes:
        archive = _Archive(data, self.ending, self, target)
        if archive.has_cells and _PROGRAM in archive.parts:  # LibreOffice trusts results of Excel and its own
            archive.parts[_PROGRAM] = _APPLICATION.sub(rb"\1nmt", archive.parts[_PROGRAM])
        if self.report is not None:
            self._report(archive)
        wanted = []
        for part, unit in archive.units:
            text = "".join(map(text_of, unit.contents))
            reason = unit.reason or reason_to_leave(text, archive.has_cells)
            if not reason and text.strip().casefold() in archive.literals:
                reason = "a formula compares with it"
            if reason:
                self.leave(part, text, reason)
            else:
                wanted.append((part, unit))
        contents = run([content for _, unit in wanted for content in unit.contents])
        self._write(wanted, contents)
        archive.parts |= {name: inner.written() for name, inner in archive.embedded.items()}
        return archive.written()

    def _write(self, wanted: list[tuple[str, Unit]], contents: list[Content]) -> None:
        """Writes the translations, but those that programs would refuse."""
        sources = [text_of(content) for _, unit in wanted for content in unit.contents]
        by_source = dict(zip(sources, map(text_of, contents), strict=True))
        kept = set[str]()
        tables: dict[Element, dict[str, str]] = {}
        columns = [unit for _, unit in wanted if unit.element.tag == f"{X}tableColumn" and unit.attribute == "name"]
        translated_columns = {unit.element for unit in columns}
        for unit in columns:  # which differ in a table
            name, table = text_of(unit.contents[0]), unit.element.getparent()
            if table not in tables:
                others = (each.get("name") or "" for each in table if each not in translated_columns)
                tables[table] = {other.casefold(): other for other in others}
            other = tables[table].setdefault(by_source[name].casefold(), name)
            kept |= {name, other} if other != name else set()
        remaining = iter(contents)
        for part, unit in wanted:
            translated = [next(remaining) for _ in unit.contents]
            source, length = "".join(map(text_of, unit.contents)), sum(len(text_of(each)) for each in translated)
            if source in kept or (unit.limit is not None and length > unit.limit):
                self.leave(part, source, "two columns would have one name" if source in kept else "too long")
                if self.report is not None:
                    self.report.num_texts -= 1  # which counted it as translated
            else:
                unit.write(iter(translated))

    def _report(self, archive: _Archive) -> None:
        """Records the text outside of units."""
        for inner in archive.embedded.values():
            self._report(inner)
        for name, root in archive.trees.items():
            units = (unit for part, unit in archive.units if part == name)
            for element, text, is_kept in left_alone(root, units):
                if (own := local_name(element)) not in ("align", "posOffset"):  # whose text is no language
                    reason = "field or code" if is_kept else "property"
                    reason = "code or not to be translated" if XHTML in str(element.tag) else reason
                    self.leave(name, text, "formula" if "math" in str(element.tag) else _REASONS.get(own, reason))


_REASONS = {
    **dict.fromkeys(("f", "formula", "formula1", "formula2", "definedName"), "formula"), "v": "result of a formula",
    "delText": "deleted text", "instrText": "field", "creator": "name", "lastModifiedBy": "name",
}  # fmt: skip
