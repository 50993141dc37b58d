"""Marks in Office Open XML (ECMA-376): highlighted runs of a letter, filled cells of a workbook, and comments."""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import reduce
from itertools import count
from posixpath import dirname, join, normpath, relpath

from nmt.extensions.documents.elements import Element, add
from nmt.extensions.documents.runs import PRESERVED, W, X
from nmt.extensions.documents.xml import Archive, parse_xml, write_xml
from nmt.extensions.marking.doubts import AUTHOR, FIRST, MARK_BYTES, Doubt, divided

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
R = f"{{{OFFICE}/relationships}}"
TYPES, RELATIONS = (
    f"{{http://schemas.openxmlformats.org/package/2006/{name}}}" for name in ("content-types", "relationships")
)
CONTENT = "application/vnd.openxmlformats-officedocument"
COLOUR, _TYPES = "FFFFFF66", "[Content_Types].xml"
_AFTER_HIGHLIGHT = "u effect bdr shd fitText vertAlign rtl cs em lang eastAsianLayout specVanish oMath"
"""Properties of a run that stand behind its highlighting, ECMA-376 17.3.2.28."""
_AFTER_DRAWING = "legacyDrawingHF drawingHF picture oleObjects controls webPublishItems tableParts extLst"
"""Elements of a sheet that stand behind the drawing of its comments, ECMA-376 18.3.1.99."""
_TEXTS = "xl/sharedStrings.xml"
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_CELL = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_NAMESPACES = (
    'xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office" '
    'xmlns:x="urn:schemas-microsoft-com:office:excel"'
)
_DRAWING = (
    f'<xml {_NAMESPACES}><v:shapetype id="_x0000_t202" coordsize="21600,21600" o:spt="202" '
    'path="m,l,21600r21600,l21600,xe"/></xml>'
)
_SHAPE = (
    f'<v:shape {_NAMESPACES} type="#_x0000_t202" style="position:absolute;visibility:hidden" fillcolor="#ffffe1" '
    'o:insetmode="auto">'
    '<x:ClientData ObjectType="Note"><x:MoveWithCells/><x:SizeWithCells/><x:Anchor>{right},15,{row},2,{end},15,{below},'
    "4</x:Anchor><x:AutoFill>False</x:AutoFill><x:Row>{row}</x:Row><x:Column>{column}</x:Column></x:ClientData>"
    "</v:shape>"
)
"""The box of a comment, without which Excel has none. The drawing of another program may have other prefixes."""


class _Package(Archive):
    """The parts of a file, and the relations between them."""

    def related(self, part: str, kind: str, identifier: str = "") -> str | None:
        """Returns the name of a part to which another one has a relation of a kind, or with an identifier."""
        path = _relations_of(part)
        for relation in self.tree(path).findall(f"{RELATIONS}Relationship") if path in self.parts else ():
            is_meant = relation.get("Id") == identifier if identifier else relation.get("Type", "").endswith(f"/{kind}")
            if is_meant and relation.get("TargetMode") != "External":
                name = normpath(join("/", dirname(part), relation.get("Target", ""))).removeprefix("/")
                return name if name in self.parts else None
        return None

    def add(self, part: str, kind: str, pattern: str, content_type: str, content: bytes) -> tuple[str, str]:
        """Adds a part to which another one gets a relation, and returns its name and the identifier of the relation.

        ``pattern`` is of the name and has a place for a number.
        """
        name = next(name for number in count(1) if (name := pattern.format(number)) not in self.parts)
        self.parts[name] = content
        path = _relations_of(part)
        for root, place, namespace in (("Relationships", path, RELATIONS), ("Types", _TYPES, TYPES)):
            self.parts.setdefault(place, f'<{root} xmlns="{namespace[1:-1]}"/>'.encode())
        relations = self.tree(path)
        used = {each.get("Id") for each in relations}
        identifier = next(free for number in count(1) if (free := f"nmt{number}") not in used)
        target = {"Id": identifier, "Type": f"{OFFICE}/relationships/{kind}"}
        add(relations, f"{RELATIONS}Relationship", {**target, "Target": relpath(name, dirname(part))})
        add(self.tree(_TYPES), f"{TYPES}Override", {"PartName": f"/{name}", "ContentType": f"{CONTENT}.{content_type}"})
        return name, identifier


def _relations_of(part: str) -> str:
    return join(dirname(part), "_rels", f"{part.rpartition('/')[2]}.rels")


# Letters


def mark_document(data: bytes, doubts: Sequence[Doubt]) -> bytes:
    """Highlights the marked sentences of a DOCX file; those of the text itself, but not of its boxes, have comments."""
    package, main = _Package(data, "an archive"), "word/document.xml"
    old = package.related(main, "comments")
    comments = parse_xml(f'<w:comments xmlns:w="{W[1:-1]}"/>'.encode()) if old is None else package.tree(old)
    used = (each.get(f"{W}id", "") for each in comments.findall(f"{W}comment"))
    numbers = count(max((int(number) for number in used if number.isdecimal()), default=-1) + 1)

    def comment(doubt: Doubt) -> str:
        """Adds a comment, and returns its number."""
        identifier = str(next(numbers))
        names = {f"{W}id": identifier, f"{W}author": AUTHOR, f"{W}initials": AUTHOR}
        paragraph = add(add(comments, f"{W}comment", names), f"{W}p")
        add(add(paragraph, f"{W}r"), f"{W}t", text=doubt.comment)
        return identifier

    for name, content in list(package.parts.items()):
        if name.startswith("word/") and name.endswith(".xml") and FIRST.encode() in content:
            for paragraph in package.tree(name).iter(f"{W}p"):
                is_text = name == main and next(paragraph.iterancestors(f"{W}txbxContent"), None) is None
                _mark_paragraph(paragraph, doubts, comment if is_text else None)
    if old is None and len(comments):
        package.add(main, "comments", "word/comments{}.xml", "wordprocessingml.comments+xml", write_xml(comments))
    return package.written(without=MARK_BYTES)


def _mark_paragraph(paragraph: Element, doubts: Sequence[Doubt], comment: Callable[[Doubt], str] | None) -> None:
    """Divides the runs of a paragraph at the marks. A run with text has nothing else in it where there are marks.

    ``comment`` adds a comment and returns its number; None where there can be none.
    """
    doubt: Doubt | None = None
    identifier = ""
    for text in list(paragraph.iter(f"{W}t")):
        run, pieces = text.getparent(), divided(text.text or "", doubts, doubt)
        if next(text.iterancestors(f"{W}p")) is not paragraph or (doubt is None and len(pieces) == 1):
            continue
        if len(pieces) == 1:  # perhaps one of several texts of a field
            _highlight(run)
            continue
        for number, (following, piece) in enumerate(pieces):
            if number and comment is not None and doubt is not None:
                reference = run.makeelement(f"{W}r")
                add(reference, f"{W}commentReference", {f"{W}id": identifier})
                run.addprevious(run.makeelement(f"{W}commentRangeEnd", {f"{W}id": identifier}))
                run.addprevious(reference)
            if number and comment is not None and following is not None:
                identifier = comment(following)
                run.addprevious(run.makeelement(f"{W}commentRangeStart", {f"{W}id": identifier}))
            doubt = following
            if piece:
                copy = deepcopy(run)
                copy.tail, copy.find(f"{W}t").text = None, piece
                if doubt is not None:
                    _highlight(copy)
                run.addprevious(copy)
        run.getparent().remove(run)


def _highlight(run: Element) -> None:
    properties = run.find(f"{W}rPr")
    if properties is None:
        properties = run.makeelement(f"{W}rPr")
        run.insert(0, properties)
    for old in properties.findall(f"{W}highlight"):
        properties.remove(old)
    add(properties, f"{W}highlight", {f"{W}val": "yellow"}, before=[f"{W}{each}" for each in _AFTER_HIGHLIGHT.split()])


# Workbooks


def mark_workbook(data: bytes, doubts: Sequence[Doubt]) -> bytes:
    """Fills the cells of an XLSX file that have marked sentences, and gives them comments."""
    package = _Package(data, "an archive")
    texts = package.tree(_TEXTS).findall(f"{X}si") if _TEXTS in package.parts else []
    shared = {str(number): found for number, text in enumerate(texts) if (found := _doubts_in(text, doubts))}
    styles = _Fills(package.tree("xl/styles.xml")) if "xl/styles.xml" in package.parts else None
    for name in [name for name in package.parts if _SHEET.fullmatch(name)]:
        comments = dict[str, str]()
        for cell in package.tree(name).iter(f"{X}c"):
            is_shared, number = cell.get("t") == "s", cell.findtext(f"{X}v") or ""
            if found := shared.get(number, []) if is_shared else _doubts_in(cell.find(f"{X}is"), doubts):
                comments[cell.get("r", "")] = "\n".join(found)
                if styles is not None:
                    cell.set("s", styles.filled(cell.get("s", "0")))
        if comments := {place: text for place, text in comments.items() if _CELL.fullmatch(place)}:
            _comment_cells(package, name, comments)
    return package.written(without=MARK_BYTES)


def _doubts_in(text: Element | None, doubts: Sequence[Doubt]) -> list[str]:
    pieces = [] if text is None else divided("".join(text.itertext()), doubts)
    return list(dict.fromkeys(doubt.comment for doubt, _ in pieces if doubt is not None))


class _Fills:
    """The styles of a workbook, of which those of marked cells get copies with a fill."""

    def __init__(self, styles: Element) -> None:
        self._formats, self._fills = styles.find(f"{X}cellXfs"), styles.find(f"{X}fills")
        self._filled: dict[str, str] = {}
        self._fill = ""

    def filled(self, style: str) -> str:
        """Returns the number of a style with a fill; the style itself where the workbook has none."""
        number = int(style) if style.isdecimal() else 0
        if self._formats is None or self._fills is None or number >= len(self._formats):
            return style
        if not self._fill:
            self._fill = str(len(self._fills))
            pattern = add(add(self._fills, f"{X}fill"), f"{X}patternFill", {"patternType": "solid"})
            add(pattern, f"{X}fgColor", {"rgb": COLOUR})
            self._fills.set("count", str(len(self._fills)))
        if style not in self._filled:
            copy = deepcopy(self._formats[number])
            copy.set("fillId", self._fill)
            copy.set("applyFill", "1")
            self._filled[style] = str(len(self._formats))
            self._formats.append(copy)
            self._formats.set("count", str(len(self._formats)))
        return self._filled[style]


def _comment_cells(package: _Package, sheet: str, comments: Mapping[str, str]) -> None:
    """Adds comments to cells; one that a cell has already is continued."""
    name = package.related(sheet, "comments")
    if name is None:
        content = f'<comments xmlns="{X[1:-1]}"><authors/><commentList/></comments>'.encode()
        name, _ = package.add(sheet, "comments", "xl/nmtComments{}.xml", "spreadsheetml.comments+xml", content)
    root = package.tree(name)
    authors, listed = (root.find(f"{X}{part}") for part in ("authors", "commentList"))
    if authors is None or listed is None:
        return
    add(authors, f"{X}author").text = AUTHOR
    existing = {each.get("ref"): each.find(f"{X}text") for each in listed.findall(f"{X}comment")}
    shapes = list[str]()
    for place, comment in comments.items():
        text = existing.get(place)
        if text is None:
            text = add(add(listed, f"{X}comment", {"ref": place, "authorId": str(len(authors) - 1)}), f"{X}text")
            letters, digits = _CELL.fullmatch(place).groups()  # type: ignore[union-attr]
            column, row = reduce(lambda number, letter: 26 * number + ord(letter) - 64, letters, 0) - 1, int(digits) - 1
            shapes.append(_SHAPE.format(row=row, column=column, right=column + 1, end=column + 4, below=row + 4))
        elif (first := text.find(f"{X}t")) is not None:  # text without runs, which can have no more of it
            add(text, f"{X}r").append(first)
        added = f"\n{comment}" if place in existing else comment
        add(add(text, f"{X}r"), f"{X}t", PRESERVED, added)
    _draw(package, sheet, "".join(shapes).encode())


def _draw(package: _Package, sheet: str, shapes: bytes) -> None:
    """Adds the boxes of comments to the drawing of a sheet."""
    root = package.tree(sheet)
    drawing = root.find(f"{X}legacyDrawing")
    name = None if drawing is None else package.related(sheet, "", drawing.get(f"{R}id", ""))
    if name is None:
        pattern = "xl/drawings/nmtDrawing{}.vml"
        name, identifier = package.add(sheet, "vmlDrawing", pattern, "vmlDrawing", _DRAWING.encode())
        add(root, f"{X}legacyDrawing", {f"{R}id": identifier}, before=[f"{X}{each}" for each in _AFTER_DRAWING.split()])
    first, end, rest = package.parts[name].rpartition(b"</xml>")  # which is not always well-formed
    package.parts[name] = first + shapes + end + rest
