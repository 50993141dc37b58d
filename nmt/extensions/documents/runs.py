"""Paragraphs of Office Open XML (DOCX, PPTX, XLSX): runs, whose formatting is put around the aligned words.

A paragraph is a sequence of runs, each with its own formatting. The formatting of most of the text is that of the
paragraph; runs that differ from it are its inline elements. The three languages of ECMA-376 for paragraphs differ in
names alone (:class:`Dialect`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from copy import deepcopy

from nmt.extensions.documents.elements import FORBIDDEN, Element
from nmt.extensions.documents.tags import Content, Node

_DROPPED = ("altLang", "noProof", "rPrChange", "dirty", "err", "smtClean")
_IGNORED = ("lang", *_DROPPED)
"""Properties of runs, as elements or attributes, that don't change their looks; only the language is written again."""
MAX_LINKS = 8
"""Links that are fields, and ranges such as bookmarks, inside one another."""
PRESERVED = {"{http://www.w3.org/XML/1998/namespace}space": "preserve"}


class Dialect:
    """Elements of paragraphs in a language, by their names in its namespace, which are separated by spaces.

    Args:
        containers: elements with runs in them.
        starts, ends: elements around a range; without partners, they are put around the translation of the paragraph.
        breaks: the white space that elements stand for.
    """

    def __init__(
        self, namespace: str, containers: str = "", starts: str = "", ends: str = "", left_out: str = "", **breaks: str
    ) -> None:
        self.namespace = namespace
        self.containers, self.starts, self.ends, self.left_out = (
            {f"{namespace}{name}" for name in names.split()} for names in (containers, starts, ends, left_out)
        )
        self.breaks = {f"{namespace}{name}": space for name, space in breaks.items()}


W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
X = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
WORD = Dialect(
    W,
    containers="hyperlink ins moveTo smartTag sdt fldSimple customXml dir bdo",
    starts="bookmarkStart commentRangeStart permStart",
    ends="bookmarkEnd commentRangeEnd permEnd",
    left_out="proofErr lastRenderedPageBreak softHyphen",
    tab="\t",
    ptab="\t",
    br="\n",
    cr="\n",
)
DRAWING = Dialect(A, ends="endParaRPr", br="\n")
SHEET = Dialect(X, left_out="rPh phoneticPr")


class Paragraph:
    """A paragraph and its content.

    The tag of a node is an element; for a field that is kept a list of elements, and for a link that is a field, or a
    range, a pair of lists: the elements before its text and those after it.
    """

    def __init__(self, element: Element, dialect: Dialect) -> None:
        self._element, self._dialect = element, dialect
        self._run, self._text, self._properties, self._first = (
            f"{dialect.namespace}{name}" for name in ("r", "t", "rPr", "pPr")
        )
        self._format: dict[bytes, Element] = {b"": element.makeelement(self._properties)}
        lengths, longest = Counter[bytes](), Counter[bytes]()
        for run in element.iter(self._run):
            key, length = self._key(run), len("".join(text.text or "" for text in run.findall(self._text)))
            lengths[key] += length
            if length > longest[key]:  # the language of a format is that of its longest run
                longest[key], properties = length, run.find(self._properties)
                self._format[key] = element.makeelement(self._properties) if properties is None else properties
        self._base = max(lengths, key=lambda key: lengths[key], default=b"")
        self.starts: list[Element] = []
        self.ends: list[Element] = []
        self.content = self._read(element)

    def _key(self, run: Element) -> bytes:
        """Returns the formatting of a run; equal for runs that look the same."""
        from lxml import etree

        properties = run.find(self._properties)
        if properties is None or not (len(properties) or properties.attrib):  # of most runs
            return b""
        looks = self._without(_IGNORED, properties)
        key = bytes(etree.tostring(looks, method="c14n")) if len(looks) or looks.attrib else b""
        self._format.setdefault(key, properties)  # itself, as attributes in it are translated before it is written
        return key

    def _without(self, names: Sequence[str], properties: Element) -> Element:
        """Returns a copy of properties without some of them."""
        properties = deepcopy(properties)
        properties.tail = None
        for name in names:
            properties.attrib.pop(name, None)
            for child in properties.findall(f"{self._dialect.namespace}{name}"):
                properties.remove(child)
        return properties

    def _read(self, children: Iterable[Element], depth: int = 0) -> Content:
        content: Content = []
        field, elements, dialect = list[Element](), list(children), self._dialect
        (open_fields, innermost), num_open, is_head, end = self._open_fields(elements), 0, False, 0
        ends = {(each.tag, each.get(f"{W}id")): n for n, each in enumerate(elements) if each.tag in dialect.ends}
        for number, child in enumerate(elements):
            if number < end:
                continue
            marks, name = self._marks(child), str(child.tag).replace("Start", "End")
            last = ends.get((name, child.get(f"{W}id")), 0) if child.tag in dialect.starts and depth < MAX_LINKS else 0
            is_head = is_head or number in open_fields
            if is_head:  # of a field that covers several paragraphs, such as a table of contents
                self.starts.append(child)
                is_head = "separate" not in marks
            elif field or "begin" in marks:
                field.append(child)
                num_open += marks.count("begin") - marks.count("end")
                if num_open <= 0:
                    content.append(self._field(field, depth))
                    field, num_open = [], 0
            elif last > number and innermost[number] == innermost[last]:
                inside, end = self._read(elements[number + 1 : last], depth + 1), last + 1
                tags = [{piece.tag for piece in run} - {self._properties} for run in elements[end : end + 1]]
                end += tags == [{f"{W}commentReference"}]  # LibreOffice wants it behind the range
                content.append(Node(([child], elements[last:end]), inside, is_unique=True))
            elif child.tag in dialect.starts | dialect.ends or "end" in marks:
                (self.starts if child.tag in dialect.starts else self.ends).append(child)
            elif child.tag == self._run:
                self._read_run(child, content)
            elif child.tag == self._text:
                content.append(child.text or "")
            elif child.tag in dialect.containers and "HYPERLINK" not in child.get(f"{W}instr", "HYPERLINK"):
                content.append(self._kept([child]))
            elif child.tag in dialect.containers:
                content.append(Node(child, self._read(_inner(child), depth), is_unique=True))
            elif child.tag not in dialect.left_out and child.tag != self._first:
                text = dialect.breaks.get(child.tag) or child.findtext(self._text) or ""
                content.append(Node([child], [text] if text else [], is_kept=True))
        return content

    def _marks(self, child: Element) -> list[str]:
        """Returns the marks of fields in a run, or in a container that has only a part of a field."""
        is_run = child.tag == self._run
        places = child.iter(f"{W}fldChar") if is_run or child.tag in self._dialect.containers else ()
        marks = [mark.get(f"{W}fldCharType", "") for mark in places]
        return marks if is_run or not marks.count("begin") == marks.count("end") > 0 else []

    def _open_fields(self, elements: Sequence[Element]) -> tuple[set[int], list[int]]:
        """Returns where the fields begin that don't end among the elements, and the innermost field of each."""
        begins, innermost = list[int](), list[int]()
        for number, child in enumerate(elements):
            for mark in self._marks(child):
                if mark == "begin":
                    begins.append(number)
                elif mark == "end" and begins:
                    begins.pop()
            innermost.append(begins[-1] if begins else -1)
        return set(begins), innermost

    def _kept(self, elements: list[Element]) -> Node:
        texts = (text.text or "" for each in elements for text in each.iter(self._text))
        return Node(elements, ["".join(texts)], is_kept=True)

    def _field(self, field: list[Element], depth: int) -> Node:
        """Returns a field, whose runs depend on each other, so it is kept; the text of links and contents isn't."""
        middle = next((n for n, each in enumerate(field) if "separate" in self._marks(each)), 0)
        command = "".join(text.text or "" for each in field[:middle] for text in each.iter(f"{W}instrText"))
        if not command.lstrip().startswith(("HYPERLINK", "TOC")) or depth == MAX_LINKS:
            return self._kept(field)
        content = self._read(field[middle + 1 : -1], depth + 1)
        return Node((field[: middle + 1], field[-1:]), content, is_unique=True)

    def _read_run(self, run: Element, content: Content) -> None:
        key, inside = self._key(run), content
        if key != self._base:
            last = content[-1] if content else None
            # Word divides text into runs for its own purposes: equal formatting is one element.
            if not (isinstance(last, Node) and last.tag is self._format[key]):
                content.append(last := Node(self._format[key]))
            inside = last.content
        for piece in run:
            if piece.tag == self._text:
                inside.append(piece.text or "")
            elif piece.tag == f"{W}noBreakHyphen":
                inside.append("\u2011")
            elif piece.tag in self._dialect.breaks:
                inside.append(Node(piece, [self._dialect.breaks[piece.tag]], is_kept=True))
            elif piece.tag not in self._dialect.left_out and piece.tag != self._properties:
                inside.append(Node(piece, is_kept=True))

    def write(self, content: Content) -> None:
        """Replaces the content of the paragraph."""
        for child in list(self._element):
            if child.tag != self._first:
                self._element.remove(child)
        self._element.extend(self.starts)
        self._write(self._element, content, self._format[self._base])
        self._element.extend(self.ends)

    def _write(self, parent: Element, content: Content, properties: Element) -> None:
        for item in content:
            if isinstance(item, str):
                text = parent.makeelement(self._text, {} if self._dialect is DRAWING else PRESERVED)
                text.text = FORBIDDEN.sub("", item)
                parent.append(self._wrapped(text, properties))
            elif isinstance(item.tag, list):
                parent.extend(item.tag)
            elif isinstance(item.tag, tuple):
                parent.extend(item.tag[0])
                self._write(parent, item.content, properties)
                parent.extend(item.tag[1])
            elif item.tag.tag == self._properties:
                self._write(parent, item.content, item.tag)
            elif item.is_kept:
                parent.append(self._wrapped(item.tag, properties))
            else:
                parent.append(item.tag)
                inner = _inner(item.tag)
                del inner[:]
                self._write(inner, item.content, properties)

    def _wrapped(self, piece: Element, properties: Element) -> Element:
        """Returns a piece in a run. A cell without formatting has its text outside of runs."""
        properties = self._without(_DROPPED, properties)
        has_format = len(properties) or properties.attrib
        if self._dialect is SHEET and not has_format and len(self._format) < 2:
            return piece
        run = piece.makeelement(self._run)
        if has_format:
            run.append(properties)
        run.append(piece)
        return run


def _inner(container: Element) -> Element:
    """Returns the element that contains the runs of a container."""
    content = container.find(f"{W}sdtContent")
    return container if content is None else content
