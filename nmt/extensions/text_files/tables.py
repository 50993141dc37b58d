"""Files that hold both languages, as pairs of sentences: tables, JSON lines, TMX, XLIFF, and gettext catalogues."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

from nmt.core.errors import UserError, shortened
from nmt.core.jsonlines import parse_object
from nmt.core.text import MAX_RECORD_BYTES, read_lines
from nmt.data.sources import one_line
from nmt.extensions.documents.data import DECLARED
from nmt.extensions.documents.elements import Element, primary
from nmt.extensions.documents.plain import parse_catalogue, singular_form
from nmt.extensions.documents.xml import local_name
from nmt.extensions.memory.files import parse_tmx, read_limited, text_of, variants_of
from nmt.translation.languages import CODES, NAMES

UNITS = (".tmx", ".xlf", ".xliff")
_CODE = re.compile(r"(?!src|tgt|trg)[a-z]{2,3}([-_]\w{2,8})?")
_SIDES = ("source", "src", "target", "tgt", "trg")
_QUOTES = "In .csv, put quotes around text that has a separator, such as a comma, and double its own quotes."
_JSON_LINE = 'Each line must be like {"de": "Guten Tag", "en": "Good day"}.'
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
NUM_TRIED = 10_000
"""Lines from which the separator and the quotes of a table are told."""


def read_table(
    path: Path, kind: str, wanted: tuple[str, str] | None
) -> tuple[tuple[str, str] | None, Iterable[tuple[str, str]]]:
    """Reads a file of both languages.

    Args:
        kind: ``.tsv``, ``.csv``, ``.jsonl``, ``.tmx``, ``.xlf``, ``.xliff`` or ``.po``.
        wanted: names of the columns, or the languages, of source and target, where there are more than two.

    Returns:
        The languages that its columns or elements tell, or those that are wanted of other columns, and the pairs.

    Raises:
        UserError: it is damaged or empty, or it isn't clear which columns are source and target.
    """
    rows = _rows(path, kind, wanted)
    first: Mapping[str, str] = {}
    for first in rows:
        if len(first) > 1 and (kind not in UNITS or set(wanted or first) <= set(first)):  # others have no translation
            break
    if not first and kind == ".po":  # one of many catalogues may have no translations yet
        return None, ()
    if kind == ".jsonl" and len(first) < 2:
        fields = parse_object(next(filter(str.strip, read_lines(path, max_bytes=MAX_RECORD_BYTES)), "{}"))
        problem = f"No line of {path} has two texts; its first one has the fields {shortened(', '.join(fields))}."
        raise UserError(problem, _JSON_LINE)
    if not first:
        remedy = "Targets that are unreviewed don't count." if kind in UNITS else "Give it a text on both sides."
        raise UserError(f"{path} has no pairs of sentences.", remedy)
    columns = _columns(path, first, wanted)
    source, target = (CODES.get(name.lower(), name.lower() if name.isupper() else name) for name in columns)
    languages = (source, target) if _CODE.fullmatch(source) and _CODE.fullmatch(target) else None
    languages = wanted if wanted and wanted != columns else languages
    return languages, ((one_line(row.get(columns[0], "")), one_line(row.get(columns[1], ""))) for row in (first, *rows))


def _columns(path: Path, first: Mapping[str, str], wanted: tuple[str, str] | None) -> tuple[str, str]:
    """Returns the names of the columns of source and target of a table with this first row."""
    names = list(first)
    if wanted and set(wanted) <= set(names):
        return wanted
    if len(names) < 2:
        has = "one column" if names == ["a"] else f"only {shortened(names[0])}"
        problem = f"The first row of {path} has {has}, but two columns are needed."
        raise UserError(problem, f"Give every row both. {_QUOTES if names == ['a'] else ''}")
    sides = [name for side in _SIDES for name in names if name.lower() == side]
    known = sides or _names_in(names)
    known = [name for name in known if name != "id"] if len(known) > 2 else known
    chosen = known if len(known) == 2 else names
    is_unnamed = names == ["a", "b"] or chosen == sides
    if len(chosen) != 2 or (wanted and not is_unnamed):
        missing = f", not {' and '.join(wanted)}" if wanted else ", of which two are to be source and target"
        texts = ", ".join(f"{shortened(name, 30)} ({shortened(text, 30)})" for name, text in first.items())
        raise UserError(
            f"{path} has the columns {shortened(texts, 400)}{missing}.",
            "Give two of them, or of the names in the first line, by --set data.source=NAME --set data.target=NAME.",
        )
    return chosen[0], chosen[1]


def _names_in(cells: Iterable[str], wanted: Iterable[str] = ()) -> list[str]:
    """Returns the cells that can name a column: a language, its code, a side of a pair, or what is wanted."""
    known, names = {*_SIDES, *CODES, *wanted}, {cell: cell.strip().lower() for cell in cells}
    is_code = {name for name in names.values() if _CODE.fullmatch(name) and primary(name) in NAMES}
    return [cell for cell, name in names.items() if name in is_code or known & {cell, name}]


def _rows(path: Path, kind: str, wanted: tuple[str, str] | None) -> Iterator[Mapping[str, str]]:
    """Yields the texts of each row of a table, or of each unit of a translator's file, by column or language."""
    if kind in UNITS:
        yield from translation_units(path)
    elif kind == ".po":
        catalogue = parse_catalogue("\n".join(read_lines(path)), str(path))
        singular = singular_form(catalogue)
        for entry in catalogue.translated_entries():  # no fuzzy ones
            forms = entry.msgstr_plural or {singular: entry.msgstr}
            yield {"source": entry.msgid, "target": forms.get(singular) or min(forms.items())[1]}
    elif kind == ".jsonl":
        for number, line in enumerate(read_lines(path, max_bytes=MAX_RECORD_BYTES), start=1):
            if not line.strip():
                continue
            try:
                row = parse_object(line)
                values = row["translation"] if isinstance(row.get("translation"), dict) else row
                yield {key: value for key, value in values.items() if isinstance(value, str)}
            except ValueError:
                raise UserError(f"{path}, line {number:,}: this is no JSON object.", _JSON_LINE) from None
    else:
        cells = ((number, row) for number, row in enumerate(_cells(path, kind, wanted), start=1) if any(row))
        _, first = next(cells, (0, list[str]()))
        is_header = len(_names_in(first, wanted or ())) > 1
        header = [cell.strip() for cell in first] if is_header else [chr(ord("a") + at) for at in range(len(first))]
        for number, texts in cells if is_header else chain([(1, first)], cells):
            if (count := len(texts)) != len(header):
                raise UserError(
                    f"{path}, row {number:,} has {count} column{'s' * (count != 1)}, but the first has {len(header)}.",
                    f"Give every row the same columns. {_QUOTES}",
                )
            yield dict(zip(header, texts, strict=True))


def _cells(path: Path, kind: str, wanted: tuple[str, str] | None) -> Iterator[list[str]]:
    """Yields the cells of each row of a table.

    Between those of ``.csv`` stands what its first line declares, or which gives names of columns and rows that are
    equally long. Quotes of ``.tsv`` are of the text, unless a spreadsheet wrote them.
    """
    lines = (line.replace("\r", " ") + "\n" for line in read_lines(path, max_bytes=MAX_RECORD_BYTES))
    tried = list(islice(lines, NUM_TRIED))
    if declared := DECLARED.match("".join(tried[:1])):
        del tried[0]

    def fit(mark: str, quoting: Any = csv.QUOTE_MINIMAL) -> tuple[bool, float, bool]:
        lengths = Counter[int]()
        with suppress(csv.Error):  # which is raised below
            rows = csv.reader(tried, delimiter=mark, quoting=quoting, skipinitialspace=True)
            lengths.update(map(len, filter(None, rows)))
        length, count = max(lengths.items(), key=lambda item: item[1], default=(0, 0))
        names = _names_in(tried[0].replace('"', "").split(mark), wanted or ()) if tried else ()
        return len(names) > 1, count / lengths.total() if length > 1 else 0.0, length == 2

    separator = declared[1] if declared else "\t" if kind == ".tsv" else max(",;\t|", key=fit)
    gain = fit(separator)[1] - fit(separator, csv.QUOTE_NONE)[1]
    quoted = kind == ".csv" or gain > 0 or (gain == 0 and _are_quoted(tried))
    style: dict[str, Any] = {"quoting": csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE}
    rows = csv.reader(chain(tried, lines), delimiter=separator, skipinitialspace=kind == ".csv", **style)
    try:
        yield from rows
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num:,}: {error}.", f"Check the quotes. {_QUOTES}") from None


def _are_quoted(lines: Sequence[str]) -> bool:
    """Whether a spreadsheet wrote lines of ``.tsv``: it puts quotes around a cell and doubles those that are in it."""
    cells = [cell for line in lines for cell in line.rstrip("\n").split("\t")]
    begun = [cell for cell in cells if cell[:1] == '"']
    whole = [cell for cell in begun if _QUOTED.fullmatch(cell)]
    is_doubled = any('""' in cell[1:-1] for cell in whole) and 2 * len(whole) > len(begun)
    return is_doubled or 0 < len(whole) == len(cells)


def translation_units(path: Path) -> Iterator[dict[str, str]]:
    """Yields the text of each unit by its language, the source first.

    The first language of TMX is ``srclang`` of its header, where a unit has it. The languages of all units are those of
    the first one: ``en-GB`` counts as ``en`` there.

    Raises:
        UserError: the file is too large or damaged, or is neither TMX nor XLIFF.
    """
    root = parse_tmx(read_limited(path), str(path))
    if (units := {"tmx": _tmx_units, "xliff": _xliff_units}.get(local_name(root))) is None:
        raise UserError(f"{path} is neither TMX nor XLIFF, but {local_name(root)}.", "Write two line-aligned files.")
    yield from units(root)


def _tmx_units(root: Element) -> Iterator[dict[str, str]]:
    first = primary(next((header.get("srclang", "") for header in root.iterchildren("{*}header")), ""))
    for unit in root.iter("{*}tu"):
        yield dict(sorted(variants_of(unit, primary).items(), key=lambda text: text[0] != first))


def _xliff_units(root: Element) -> Iterator[dict[str, str]]:
    for file in root.iter("{*}file"):
        source = primary(file.get("source-language") or root.get("srcLang") or "source")
        target = primary(file.get("target-language") or root.get("trgLang") or "target")
        for unit in file.iter("{*}trans-unit", "{*}segment"):
            sides = {local_name(side): side for side in unit.iterchildren("{*}source", "{*}target")}
            state = sides.get("target", unit).get("state") or unit.get("state") or ""  # of XLIFF 2 the segment has it
            if len(sides) == 2 and not state.startswith(("new", "needs-", "initial")):
                yield {source: text_of(sides["source"]), target: text_of(sides["target"])}
