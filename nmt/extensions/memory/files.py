"""Files of translation memories: TMX 1.4 and CSV. Reading a written file restores all entries exactly."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from xml.sax.saxutils import escape, quoteattr

from nmt.core.errors import UserError, shortened
from nmt.core.output import open_output
from nmt.core.text import read_bytes
from nmt.core.version import __version__
from nmt.extensions.documents.elements import XML_LANGUAGE, Element, primary
from nmt.extensions.documents.formats import decoded
from nmt.extensions.documents.xml import parse_xml
from nmt.extensions.memory.memory import Entry

MAX_BYTES = 256 << 20
"""Largest size of a file."""
MAX_LINE = 1 << 20
"""Most characters of a line of a CSV file, which could otherwise have millions of columns."""
_CODES = " bpt ept it ph ut "
"""Elements of TMX that hold markup of another format."""
_DOCTYPE = re.compile(rb"<!DOCTYPE\s+tmx[^<>\[\]]*>")
"""The document type of TMX without definitions; other programs write it, and nothing is loaded for it."""
_HEADER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n<header creationtool="nmt" creationtoolversion="'
    f'{__version__}" segtype="sentence" o-tmf="nmt" adminlang="en" srclang=%s datatype="plaintext"/>\n<body>\n'
)


def write_memory(entries: Iterable[Entry], path: Path | str, source: str, target: str) -> int:
    """Writes entries of two languages to a file that ends in ``.tmx`` or ``.csv``, and returns their number.

    Raises:
        UserError: it has another ending, or can't be written.
    """
    count, is_tmx = 0, _is_tmx(path)
    with open_output(path) as file:
        table = csv.writer(file, lineterminator="\n")
        if is_tmx:
            file.write(_HEADER % quoteattr(source))
        else:
            table.writerow([source, target, "changed"])
        for entry in entries:
            count += 1
            if is_tmx:
                file.write(f"<tu changedate={quoteattr(entry.changed)}>")
                for code, text in ((source, entry.source), (target, entry.target)):
                    file.write(f"<tuv xml:lang={quoteattr(code)}><seg>{escape(text)}</seg></tuv>")
                file.write("</tu>\n")
            else:
                table.writerow([entry.source, entry.target, entry.changed])
        if is_tmx:
            file.write("</body>\n</tmx>\n")
    return count


def read_memory(path: Path | str, source: str, target: str) -> list[Entry]:
    """Reads the entries of a file that have both languages.

    Raises:
        UserError: the file has another ending, can't be read, or is too large or damaged.
    """
    read, data = _read_tmx if _is_tmx(path) else _read_csv, read_limited(path)
    try:
        found = [each for each in read(data, source, target) if each.source.strip() and each.target.strip()]
    except UserError as error:
        raise UserError(f"{path}: {error.message}", error.remedy) from None
    except csv.Error as error:
        raise UserError(f"{path} is damaged: {error}.", "Write it again, with quotes around each text.") from None
    if not found:
        raise UserError(f"{path} has no entries from {source} to {target}.", "Check the languages in the file.")
    return found


def read_limited(path: Path | str) -> bytes:
    """Reads a file of up to :data:`MAX_BYTES`. Raises UserError if it is larger, or can't be read."""
    data = read_bytes(path, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} has more than {MAX_BYTES >> 20} MiB.", "Split the file.")
    return data


def parse_tmx(data: bytes, name: str = "The file") -> Element:
    """Parses TMX, or other XML, whose document type may be that of TMX. Raises UserError as :func:`parse_xml` does."""
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        data = re.sub(r"^\s*<\?xml[^>]*>", "", data.decode("utf-16", "replace")).encode()
    return parse_xml(_DOCTYPE.sub(b"", data, count=1), name=name)


def variants_of(unit: Element, language_of: Callable[[str], str]) -> dict[str, str]:
    """Returns the first text of a unit of TMX in each language; ``language_of`` gives the language of a code."""
    texts: dict[str, str] = {}
    for variant in unit.iter("{*}tuv"):
        if (segment := variant.find("{*}seg")) is not None:
            texts.setdefault(language_of(variant.get(XML_LANGUAGE) or variant.get("lang") or ""), text_of(segment))
    return texts


def _is_tmx(path: Path | str) -> bool:
    if (ending := PurePath(path).suffix.lower()) not in (".tmx", ".csv"):
        raise UserError(f"{path} is no file of a translation memory.", "Give a name that ends in .tmx or .csv.")
    return ending == ".tmx"


def _read_tmx(data: bytes, source: str, target: str) -> Iterator[Entry]:
    for unit in parse_tmx(data).iter("{*}tu"):
        texts = variants_of(unit, lambda code: _matching(code, (source, target)))
        if source in texts and target in texts:
            yield Entry(texts[source], texts[target], unit.get("changedate") or unit.get("creationdate") or "")


def _matching(code: str, languages: Iterable[str]) -> str:
    """Returns the language of a code such as ``de-DE``: the same, or with the same first part; otherwise empty."""
    code = code.lower().replace("_", "-")
    known = {language.lower(): language for language in languages}
    return known.get(code) or known.get(primary(code), "")


def text_of(segment: Element) -> str:
    """Returns the text of a segment without markup of another format."""
    return "".join(segment.xpath(f".//text()[not(ancestor::*[contains('{_CODES}', concat(' ', local-name(), ' '))])]"))


def _read_csv(data: bytes, source: str, target: str) -> Iterator[Entry]:
    text = decoded(data)
    names = text.partition("\n")[0].replace('"', "").rstrip("\r")
    marks = (mark for mark in ",;\t" if {source, target} <= {_matching(n, (source, target)) for n in names.split(mark)})
    rows = csv.reader(_csv_lines(text), strict=True, delimiter=next(marks, ","))
    header = [_matching(name, (source, target)) or name.lower() for name in next(rows, [])]
    if source not in header or target not in header:
        raise UserError(
            f"Line 1 is {shortened(','.join(header))!r}, not the languages of the columns.",
            f"Begin with a line {source},{target}.",
        )
    for row in filter(None, rows):
        if not len(header) - (header[-1:] == ["changed"]) <= len(row) <= len(header):
            raise UserError(
                f"Line {rows.line_num:,} has {len(row)} columns, but line 1 has {len(header)}.",
                "Put quotes around text with commas.",
            )
        values = dict(zip(header, row, strict=False))
        yield Entry(values.get(source, ""), values.get(target, ""), values.get("changed", ""))


def _csv_lines(text: str) -> Iterator[str]:
    for number, line in enumerate(io.StringIO(text, ""), start=1):
        if len(line) > MAX_LINE:
            raise UserError(
                f"Line {number:,} has {len(line):,} characters, more than {MAX_LINE:,}.",
                "Write one pair of sentences on a line.",
            )
        yield line
