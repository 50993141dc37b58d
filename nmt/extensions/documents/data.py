"""Data files: tables (CSV, TSV), JSON, YAML, XML of any kind, and XLIFF, of which all but the texts stays."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from nmt.core.console import warn
from nmt.core.errors import shortened
from nmt.extensions.documents.elements import (
    FORBIDDEN,
    XML_LANGUAGE,
    Element,
    Kind,
    KindOf,
    TranslateBlocks,
    Unit,
    blocks_of,
    entities_in,
    is_left,
    left_alone,
    primary,
    public_code,
    translate_units,
    units_of,
)
from nmt.extensions.documents.formats import DocumentFormat, damaged, decoded
from nmt.extensions.documents.plain import as_text, parse_tags
from nmt.extensions.documents.selection import PLURAL, reason_to_leave
from nmt.extensions.documents.tags import MAX_DEPTH, Content, Node, mapped, text_of
from nmt.extensions.documents.xml import local_name, parse_xml, write_xml

MAX_LEVELS = 500
"""Mappings and lists inside one another."""

_JSON = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\]]|[^\s{}\[\],:"]+')
_PLAIN = re.compile(r"[^\W\d_][^\n#:{}\[\],&*!|>'\"%@`]*")
"""Text that YAML reads as it is without quotation marks, unless it is a word such as ``no``."""
_BLOCK = re.compile(r"[|>]([-+]?)\d?([-+]?)([^\n]*)\n([\n ]*)")
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+(?:#.*\n\s*)*)+")
"""The anchor and the tag of a value of YAML."""
_DELIMITERS = ",;\t|"
_QUOTED = re.compile(rf'(?<![^{_DELIMITERS}])"(?:[^"]|"")*"')
DECLARED = re.compile(r"sep=(.)\r?(?:\n|\Z)", re.IGNORECASE)
"""Excel's first line of a table that tells the separator."""
MAX_NAMES = 100_000
"""Characters in which the first line of a table is looked for."""
_PAIRS = {"bx": "ex", "bpt": "ept", "sc": "ec", "sm": "em", "START": "CLOSE"}
"""Elements of XLIFF that begin and end markup; the last are those of Angular."""
_ANGULAR = re.compile(r"(START|CLOSE)_(.+?)(?:_\d+)?")
_ESCAPE, _TO_ESCAPE = re.compile(r"\\(u[\da-fA-F]{4}|.)"), re.compile(r"""^[@?]|[\\'"\n\t]""")
"""Escapes in resources of Android, and what is written as one."""
_EXACT = re.compile(r"""(?<!\\)"|\\u(?:0020|[dD][89a-fA-F])""")
"""Quotation marks and characters of Android that only stand for something in their places."""


@dataclass(frozen=True)
class Value:
    """A value in a text."""

    names: tuple[str, ...]
    """The column or the path."""
    begin: int
    end: int
    text: str
    write: Callable[[str], str]
    """Returns what stands between ``begin`` and ``end`` for another text."""
    reason: str = ""
    """Why it is not translated."""


class _Values(DocumentFormat):
    """Base class of formats whose values are places in the text of the file."""

    def translate(self, data: bytes, run: TranslateBlocks, target: str) -> bytes:
        text, wanted = decoded(data), list[Value]()
        for value in self.values(text):
            reason = value.reason or ("" if self.selection.has(*value.names) else "not in --translate-only")
            reason = reason or reason_to_leave(value.text, is_value=not self.selection.names or value.text[:1] == "=")
            reason = reason or ("control characters" if FORBIDDEN.search(value.text) else "")
            if reason:
                self.leave(value.names[0], value.text, reason)
            else:
                wanted.append(value)
        written, end = [], 0
        for value, content in zip(wanted, run([parse_tags(value.text) for value in wanted]), strict=True):
            translated = FORBIDDEN.sub("", as_text(content, entities_in(value.text)))
            written += [text[end : value.begin], value.write(translated)]
            end = value.end
        return "".join([*written, text[end:]]).encode()

    def values(self, text: str) -> Iterator[Value]:
        """Yields the values that are text, in order.

        Raises:
            UserError: the file is damaged.
        """
        raise NotImplementedError


class Table(_Values):
    """Tables whose first line has the names of the columns.

    Where columns are named by numbers alone, the first line is one like the others.
    """

    def values(self, text: str) -> Iterator[Value]:
        declared = DECLARED.match(text)
        first = _QUOTED.sub("", text[:MAX_NAMES]).partition("\n")[0]  # separators outside of quotes
        delimiter = "\t" if self.ending == ".tsv" else max(_DELIMITERS, key=first.count)
        delimiter = declared[1] if declared else delimiter
        d = re.escape(delimiter)
        field = re.compile(rf'("(?:[^"]|"")*+"(?=[{d}\r\n]|\Z)|[^{d}\r\n]*)({d}|\r\n|[\r\n]|\Z)')
        header, column, is_first, begin = list[str](), 0, True, declared.end() if declared else 0
        only = self.selection.names
        while begin < len(text):
            match = field.match(text, begin)
            assert match is not None
            cell, begin = match[1], match.end()
            is_quoted = cell[:1] == '"' == cell[-1:] and len(cell) > 1
            bare = cell[1:-1].replace('""', '"') if is_quoted else cell
            header += [bare] if is_first else []
            name = header[column] if column < len(header) else ""
            write = partial(_cell, delimiter=delimiter, is_quoted=is_quoted)
            is_header = is_first and not (only and all(each.isdecimal() for each in only))
            reason = "name of a column" if is_header else ""
            if is_header:
                self.selection.has(name, str(column + 1))
            yield Value((name or str(column + 1), str(column + 1)), *match.span(1), bare, write, reason)
            column += 1
            if match[2] != delimiter:
                column, is_first = 0, False


def _cell(text: str, delimiter: str, is_quoted: bool) -> str:
    if is_quoted or any(mark in text for mark in (delimiter, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text


class _Position:
    """Where a reader of JSON or YAML is: the keys of the mappings around it."""

    def __init__(self) -> None:
        self._levels: list[tuple[bool, str | None]] = []
        """For each level whether it is a mapping, and the key whose value is read; None before a key."""

    def open(self, is_mapping: bool) -> None:
        """Begins a mapping or a list."""
        if len(self._levels) == MAX_LEVELS:
            raise damaged("a data file", f"more than {MAX_LEVELS} mappings and lists are inside one another")
        self._levels.append((is_mapping, None))

    def close(self) -> None:
        """Ends a mapping or a list."""
        self._levels.pop()
        self.scalar("")

    def scalar(self, text: str) -> str | None:
        """Passes over a scalar or what :meth:`close` ends; returns the path to it, or None for a key."""
        path = ".".join(key for _, key in self._levels if key)
        is_key = any(is_mapping and key is None for is_mapping, key in self._levels)
        if self._levels and self._levels[-1][0]:
            self._levels[-1] = True, text if self._levels[-1][1] is None else None
        return None if is_key else path


class Json(_Values):
    """Values of JSON; keys are kept."""

    def values(self, text: str) -> Iterator[Value]:
        try:
            json.loads(text)
        except (ValueError, RecursionError) as error:
            raise damaged("JSON", error) from None
        position, is_escaped = _Position(), text.isascii() and "\\u" in text
        for match in _JSON.finditer(text):
            token = match[0]
            if token in "{[":
                position.open(token == "{")
            elif token in "}]":
                position.close()
            else:
                value = json.loads(token) if token[0] == '"' else None
                path = position.scalar(value or "")
                if path is not None and value is not None:
                    yield Value((path,), *match.span(), value, partial(json.dumps, ensure_ascii=is_escaped))


class Yaml(_Values):
    """Values of YAML that are strings; comments, keys and anchors are kept. Tags construct nothing."""

    def values(self, text: str) -> Iterator[Value]:
        import yaml

        position, resolve = _Position(), cast(Any, yaml.SafeLoader("")).resolve
        try:
            for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                if isinstance(event, yaml.CollectionStartEvent):
                    position.open(isinstance(event, yaml.MappingStartEvent))
                elif isinstance(event, yaml.CollectionEndEvent):
                    position.close()
                elif isinstance(event, yaml.AliasEvent):
                    position.scalar("")
                elif isinstance(event, yaml.ScalarEvent) and (path := position.scalar(event.value)) is not None:
                    assert event.start_mark is not None
                    assert event.end_mark is not None
                    begin, end = event.start_mark.index, event.end_mark.index
                    if match := _PROPERTIES.match(text, begin, end):
                        begin = match.end()
                    tag = event.tag or resolve(yaml.ScalarNode, event.value, event.implicit)
                    if tag in ("!", "tag:yaml.org,2002:str") and begin < end:
                        write = partial(_yaml, source=text[begin:end], style=event.style)
                        yield Value((path,), begin, end, event.value, write)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise damaged("YAML", " ".join(str(error).split())) from None


def _yaml(text: str, source: str, style: str | None) -> str:
    """Returns a scalar in the style of the source, or between quotation marks where it would be read differently."""
    import yaml

    if style == "'" and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    if not style and _PLAIN.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    end = source[len(source.rstrip()) :] if style and style in "|>" else ""  # a block includes its last line end
    if style and style in "|>" and (match := _BLOCK.match(source)) and text[:1] not in " \n" and text.strip():
        indent, line_end = match[4].rpartition("\n")[2], "\r\n" if "\r\n" in source else "\n"
        lines = [f"{indent}{line}".rstrip(" ") for line in text.rstrip("\n").split("\n")]
        # Folding a line would change it: it is written as it is.
        return f"|{match[1]}{match[2]}{match[3]}\n{match[4].rpartition(chr(10))[0]}" + line_end.join(lines) + end
    return json.dumps(text, ensure_ascii=False) + end


class Xml(DocumentFormat):
    """XML of any kind: the outermost elements with text of their own, or those that are named, and named attributes."""

    def translate(self, data: bytes, run: TranslateBlocks, target: str) -> bytes:
        root = parse_xml(data, may_have_type=True)
        self.selection.names = tuple(name.replace("/", ".") for name in self.selection.names)
        paths, units, blocks = dict[Element, str](), list[Unit](), list[Unit]()
        inside = set[Element]()
        read = _units_of_android if root.tag == "resources" else partial(units_in, kind_of=_kind)
        for element in root.iter():
            parent = element.getparent()
            paths[element] = path = f"{paths[parent]}.{local_name(element)}" if parent in paths else local_name(element)
            for name in element.keys() if self.selection.names else ():
                selected = self.selection.has(f"{path}.@{name.rpartition('}')[2]}")
                units += [Unit.of_value(element, name)] if selected and not reason_to_leave(element.get(name)) else []
            if not isinstance(element.tag, str):
                continue
            if parent in inside or is_left(element):
                inside.add(element)
                continue
            texts = [element.text, *(child.tail for child in element)]
            is_named, has_text = self.selection.has(path), any(map(str.strip, filter(None, texts)))
            if is_named and (has_text or self.selection.names):
                inside.add(element)
                blocks += read(element)
        reason = "not in --translate-only" if self.selection.names else "not to be translated"
        for element, text, _ in left_alone(root, blocks) if self.report else ():
            self.leave(paths[element], text, reason)
        for unit in blocks:
            text = "".join(map(text_of, unit.contents))
            if why := reason_to_leave(text, is_value=not self.selection.names and len(unit.element) == 0):
                self.leave(paths[unit.element], text, why)
            else:
                units.append(unit)
        translate_units(units, run)
        return write_xml(root) + b"\n" * data.endswith(b"\n")


def _kind(element: Element) -> Kind:
    if not isinstance(element.tag, str):
        return "opaque"
    return "kept" if is_left(element) else "unique"


def _units_of_android(element: Element) -> list[Unit]:
    """Returns the texts of a resource without escapes, such as that of an apostrophe, which are written again."""

    def character(escape: re.Match[str]) -> str:
        return chr(int(escape[1][1:], 16)) if len(escape[1]) > 1 else {"n": "\n", "t": "\t"}.get(escape[1], escape[1])

    units = units_in(element, _kind)
    for unit in units if not _EXACT.search("".join(element.itertext())) else ():
        unit.contents = [mapped(each, partial(_ESCAPE.sub, character)) for each in unit.contents]
        unit.write = partial(_write_escaped, unit.write)
    return units


def _write_escaped(write: Callable[[Iterator[Content]], object], contents: Iterator[Content]) -> None:
    def escaped(text: str) -> str:
        return _TO_ESCAPE.sub(lambda mark: "\\" + {"\n": "n", "\t": "t"}.get(mark[0], mark[0]), text)

    write(mapped(each, escaped) for each in contents)


class Xliff(DocumentFormat):
    """XLIFF 1.2 and 2: segments without a translation."""

    def translate(self, data: bytes, run: TranslateBlocks, target: str) -> bytes:
        root = parse_xml(data)
        if not root.tag.endswith("xliff"):
            raise damaged("XLIFF", f"its root is {shortened(root.tag)}")
        is_2 = root.get("version", "").startswith("2")
        units = list[Unit]()
        for unit in list(root.iter("{*}segment" if is_2 else "{*}trans-unit")):
            segments = unit.findall("{*}seg-source//{*}mrk[@mtype='seg']")
            texts = ["".join(each.itertext()) for each in segments or unit.findall("{*}source")]
            is_plural = any(map(PLURAL.search, texts))
            if not is_plural and (added := _add_target(unit, is_2)) is not None:
                units += units_in(added, _xliff_kind, _with_pairs)
                continue
            reason = "message with plural forms" if is_plural else "not to be translated, or has a translation"
            for text in texts:
                self.leave(f"line {unit.sourceline}", text, reason)
        for place, name in [(root, "trgLang")] if is_2 else [(f, "target-language") for f in root.iter("{*}file")]:
            declared = primary(place.get(name, ""))
            if target and declared != primary(public_code(target)):  # en-GB is English, too
                place.set(name, public_code(target))
                if declared:
                    warn(f"The file declares {declared} as the language of its translations, and now {target}.")
        translate_units(units, run)
        return write_xml(root) + data[len(data.rstrip()) :]


def _add_target(unit: Element, is_2: bool) -> Element | None:
    """Adds a copy of the source as target; None if the unit has a translation, or isn't to be translated."""
    source, existing = unit.find("{*}source"), unit.find("{*}target")
    if source is None or _inherited(unit, "translate") == "no":
        return None
    if existing is not None:
        text, state = "".join(existing.itertext()), (unit if is_2 else existing).get("state")
        is_copy = state in ("new", "needs-translation", "initial") and text == "".join(source.itertext())
        if text.strip() and not is_copy:
            return None
    origin = next(unit.iterchildren("{*}seg-source"), source)  # the source with its segments, which are those of target
    target = deepcopy(origin)
    target.tag = f"{source.tag.removesuffix('source')}target"
    target.attrib.pop(XML_LANGUAGE, None)
    target.tail, origin.tail = (origin if existing is None else existing).tail, unit.text  # white space
    if existing is not None:
        target.attrib.update(existing.attrib)
        unit.remove(existing)
    origin.addnext(target)
    for element, name in ((unit, "approved"), (unit, "subState"), (target, "state-qualifier")):
        element.attrib.pop(name, None)  # which the new text isn't
    (unit if is_2 else target).set("state", "translated" if is_2 else "needs-review-translation")
    return target


def _inherited(element: Element, name: str) -> str | None:
    return next(filter(None, (each.get(name) for each in (element, *element.iterancestors()))), None)


def units_in(element: Element, kind_of: KindOf, change: Callable[[Content], Content] = list) -> list[Unit]:
    """Returns the texts of an element; ``change`` is applied to each content."""
    if not len(element) and "<" in (element.text or ""):  # escaped markup, such as in a CDATA section
        return units_of([(element, [parse_tags(element.text)])], entities_in(element.text))
    collapse = _inherited(element, "{http://www.w3.org/XML/1998/namespace}space") != "preserve"
    blocks = blocks_of(element, kind_of, collapse=collapse)
    return units_of(((e, [change(p) if isinstance(p, list) else p for p in parts]) for e, parts in blocks), {})


def _xliff_kind(element: Element) -> Kind:
    name = local_name(element)
    if name == "mrk" and "no" in (element.get("translate"), {"protected": "no"}.get(element.get("mtype"))):
        return "kept"
    if element.get("mtype") == "seg" or element.find(".//{*}mrk[@mtype='seg']") is not None:
        return "block"
    return "unique" if name in ("g", "mrk", "pc") else "opaque"


def _with_pairs(content: Content, depth: int = 0) -> Content:
    """Returns content with what is between ``bx`` and ``ex``, ``bpt`` and ``ept``, ``sc`` and ``ec`` in nodes."""
    begins, ends = defaultdict[tuple[str, str], list[int]](list), dict[int, tuple[int, Element]]()
    for place, item in enumerate(content):
        if isinstance(item, Node):
            name, get = local_name(item.tag), item.tag.get
            key = get("startRef") or get("rid") or get("id") or ""
            name, key = match.groups() if name == "x" and (match := _ANGULAR.fullmatch(key)) else (name, key)
            if name in _PAIRS:
                begins[_PAIRS[name], key].append(place)
            elif begins[name, key]:
                ends[begins[name, key].pop()] = place, item.tag
    found, end = Content(), 0
    for place, item in enumerate(content):
        if place < end:
            continue
        if isinstance(item, Node) and depth < MAX_DEPTH:
            if place in ends:
                last, element = ends[place]
                inside, end = _with_pairs(content[place + 1 : last], depth + 1), last + 1
                item = Node(([item.tag], [element]), inside, True, item.tag.get("translate") == "no")
            elif not item.is_kept:
                item.content = _with_pairs(item.content, depth + 1)
        found.append(item)
    return found
