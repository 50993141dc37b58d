"""Word documents: paragraphs with runs, whose formatting is put around the aligned words.

A paragraph is a sequence of runs, each with its own formatting. The formatting of most of the text is that of the
paragraph; runs that differ from it are its inline elements.
"""

from collections import Counter
from copy import deepcopy

from nmt.extensions.documents.elements import FORBIDDEN, Element, TranslateBlocks
from nmt.extensions.documents.segmentation import has_letters
from nmt.extensions.documents.tags import Content, Node, text_of

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_CONTAINERS = {f"{W}{name}" for name in ("hyperlink", "ins", "smartTag", "sdt", "fldSimple", "customXml", "dir", "bdo")}
_STARTS = {f"{W}{name}" for name in ("bookmarkStart", "commentRangeStart", "permStart")}
_ENDS = {f"{W}{name}" for name in ("bookmarkEnd", "commentRangeEnd", "permEnd")}
_LEFT_OUT = {f"{W}{name}" for name in ("proofErr", "lastRenderedPageBreak", "softHyphen")}
_SPACES = {f"{W}tab": "\t", f"{W}br": "\n", f"{W}cr": "\n"}


def translate_paragraphs(root: Element, run: TranslateBlocks) -> None:
    """Translate the paragraphs of a part of a document in place."""
    with_letters = [element for element in root.iter(f"{W}p") if has_letters("".join(element.itertext()))]
    paragraphs = [_Paragraph(element) for element in with_letters]
    paragraphs = [paragraph for paragraph in paragraphs if has_letters(text_of(paragraph.content))]
    for paragraph, content in zip(paragraphs, run([p.content for p in paragraphs]), strict=True):
        paragraph.write(content)


class _Paragraph:
    """A paragraph (``w:p``) and its content. The tag of a node is an element, or for a field a list of elements."""

    def __init__(self, element: Element) -> None:
        self._element = element
        self._format: dict[bytes, Element] = {}
        lengths: Counter[bytes] = Counter()
        for run in element.iter(f"{W}r"):
            lengths[self._key(run)] += len("".join(text.text or "" for text in run.findall(f"{W}t")))
        self._base = max(lengths, key=lambda key: lengths[key], default=b"")
        self._starts: list[Element] = []
        self._ends: list[Element] = []
        self.content = self._read(element)

    def _key(self, run: Element) -> bytes:
        """Returns the formatting of a run; equal for runs that look the same."""
        from lxml import etree

        properties = run.find(f"{W}rPr")
        if properties is None or not len(properties):  # of most runs
            if b"" not in self._format:
                self._format[b""] = run.makeelement(f"{W}rPr")
            return b""
        properties = deepcopy(properties)
        properties.tail = None
        for name in ("lang", "noProof", "rPrChange"):
            for child in properties.findall(f"{W}{name}"):
                properties.remove(child)
        key = bytes(etree.tostring(properties, method="c14n")) if len(properties) else b""
        self._format.setdefault(key, properties)
        return key

    def _read(self, parent: Element) -> Content:
        content: Content = []
        field: list[Element] = []
        depth = 0
        for child in parent:
            marks = [mark.get(f"{W}fldCharType") for mark in child.iter(f"{W}fldChar")]
            depth += marks.count("begin") - marks.count("end")
            if field or depth:
                field.append(child)  # a field is kept: its runs depend on each other
                if not depth:
                    content.append(Node(field, [_text_of_runs(field)], is_kept=True))
                    field = []
            elif child.tag == f"{W}r":
                self._read_run(child, content)
            elif child.tag in _CONTAINERS:
                content.append(Node(child, self._read(_inner(child)), is_unique=True))
            elif child.tag in _STARTS | _ENDS:
                (self._starts if child.tag in _STARTS else self._ends).append(child)
            elif child.tag not in _LEFT_OUT and child.tag != f"{W}pPr":
                content.append(Node([child], is_kept=True))
        return [*content, *([Node(field, is_kept=True)] if field else [])]

    def _read_run(self, run: Element, content: Content) -> None:
        key, inside = self._key(run), content
        if key != self._base:
            last = content[-1] if content else None
            # Word divides text into runs for its own purposes: equal formatting is one element.
            if not (isinstance(last, Node) and last.tag is self._format[key]):
                content.append(last := Node(self._format[key]))
            inside = last.content
        for piece in run:
            if piece.tag == f"{W}t":
                inside.append(piece.text or "")
            elif piece.tag == f"{W}noBreakHyphen":
                inside.append("\u2011")
            elif piece.tag in _SPACES:
                inside.append(Node(piece, [_SPACES[piece.tag]], is_kept=True))
            elif piece.tag not in _LEFT_OUT and piece.tag != f"{W}rPr":
                inside.append(Node(piece, is_kept=True))

    def write(self, content: Content) -> None:
        """Replace the content of the paragraph."""
        for child in list(self._element):
            if child.tag != f"{W}pPr":
                self._element.remove(child)
        self._element.extend(self._starts)
        self._write(self._element, content, self._format.get(self._base))
        self._element.extend(self._ends)

    def _write(self, parent: Element, content: Content, properties: Element | None) -> None:
        for item in content:
            if isinstance(item, str):
                text = parent.makeelement(f"{W}t", {"{http://www.w3.org/XML/1998/namespace}space": "preserve"})
                text.text = FORBIDDEN.sub("", item)
                parent.append(_run(parent, text, properties))
            elif isinstance(item.tag, list):
                parent.extend(item.tag)
            elif item.tag.tag == f"{W}rPr":
                self._write(parent, item.content, item.tag)
            elif item.is_kept:
                parent.append(_run(parent, item.tag, properties))
            else:
                parent.append(item.tag)
                inner = _inner(item.tag)
                for child in list(inner):
                    inner.remove(child)
                self._write(inner, item.content, properties)


def _run(parent: Element, piece: Element, properties: Element | None) -> Element:
    run = parent.makeelement(f"{W}r")
    if properties is not None and len(properties):
        run.append(deepcopy(properties))
    run.append(piece)
    return run


def _inner(container: Element) -> Element:
    """Returns the element that contains the runs of a container."""
    content = container.find(f"{W}sdtContent")
    return container if content is None else content


def _text_of_runs(elements: list[Element]) -> str:
    return "".join(text.text or "" for element in elements for text in element.iter(f"{W}t"))
