"""The text that a user gives: files of any kind, read as pairs of sentences."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from nmt.core.compression import SUFFIXES
from nmt.core.errors import UserError, shortened
from nmt.core.jsonlines import parse_object
from nmt.core.text import MAX_RECORD_BYTES, read_lines
from nmt.data.sources import VALIDATION_NAMES, one_line
from nmt.recipe.registry import provided
from nmt.translation.languages import NAMES

MAX_PAIRS = 3_000_000
"""Largest number of pairs, which are all in memory."""
TABLES = (".tsv", ".csv", ".jsonl")
UNITS = (".tmx", ".xlf", ".xliff")
"""Files of translators, which an extension reads."""
_CODE = re.compile(r"[a-z]{2,3}([-_]\w{2,8})?", re.IGNORECASE)
_SIDES = ("source", "target", "src", "tgt")
_WINDOW = 40
"""Lines by which it is told where two files part."""

Pairs = list[tuple[str, str]]


@dataclass
class Texts:
    """Pairs of sentences, with the languages that the names of files, columns or elements tell."""

    train: Pairs = field(default_factory=list)
    valid: Pairs = field(default_factory=list)
    test: Pairs = field(default_factory=list)
    languages: tuple[str, str] | None = None
    names: tuple[str, str] = ("the source", "the target")
    """Names of both sides for messages."""

    def add(
        self, split: str, given: "tuple[tuple[str, str], tuple[str, str] | None, Iterable[tuple[str, str]]]"
    ) -> None:
        names, languages, pairs = given
        if self.languages and languages and languages != self.languages:
            raise UserError(
                f"{names[1]} is {'-'.join(languages)}, but the text before it {'-'.join(self.languages)}.",
                "Give texts of one direction, the source first.",
            )
        self.languages = self.languages or languages
        self.names = names if not self.train else self.names
        own: Pairs = getattr(self, split)
        own += islice(pairs, MAX_PAIRS - len(own))


def read_texts(paths: Sequence[Path], wanted: tuple[str, str] | None = None) -> Texts:
    """Reads text files.

    Args:
        paths: files of two columns or more (``.tsv``, ``.csv``, ``.jsonl``), files of translators (``.tmx``, ``.xlf``),
            pairs of line-aligned files, all plain or compressed, or one folder with ``train.*`` and perhaps ``valid.*``
            and ``test.*``.
        wanted: names of the source and the target column, where files have more than two.

    Raises:
        UserError: a file is missing or damaged, a text has no translation, or two files have different lengths.
    """
    texts = Texts()
    if len(paths) == 1 and paths[0].is_dir():
        for split, names in (("train", ("train",)), ("valid", VALIDATION_NAMES), ("test", ("test",))):
            for part in _sorted_by(wanted, [path for name in names for path in sorted(paths[0].glob(f"{name}.*"))]):
                texts.add(split, part)
        if not texts.train:
            raise UserError(
                f"{paths[0]} has no files train.*.", "Name the files, or call them as in train.de, train.en."
            )
        return texts
    for part in _sorted_by(wanted, paths):
        texts.add("train", part)
    return texts


def _sorted_by(
    wanted: tuple[str, str] | None, paths: Sequence[Path]
) -> Iterator[tuple[tuple[str, str], tuple[str, str] | None, Iterable[tuple[str, str]]]]:
    """Yields the names of both sides, the languages and the pairs of each text."""
    plain = []
    for path in paths:
        if kind_of(path) in (*TABLES, *UNITS):
            rows = iter(_rows(path, wanted))
            first = next(rows, None)
            if first is None:
                raise UserError(f"{path} has no pairs of sentences.", "Check the file.")
            columns = _columns(path, list(first), wanted)
            languages = columns if all(map(_CODE.fullmatch, columns)) and columns != ("a", "b") else None
            pairs = ((one_line(row.get(columns[0], "")), one_line(row.get(columns[1], ""))) for row in (first, *rows))
            yield (f"{path} ({columns[0]})", f"{path} ({columns[1]})"), languages, pairs
        else:
            plain.append(path)
    if wanted and len(plain) == 2:
        plain.sort(key=lambda path: _without_compression(path).endswith(wanted[1]))
    if len(plain) % 2:
        raise UserError(
            f"{plain[-1]} comes without its translation.",
            "Give two files, the source first, in which line n of one translates line n of the other.",
        )
    for source, target in zip(plain[::2], plain[1::2], strict=True):
        yield (str(source), str(target)), languages_of(source, target), _line_pairs(source, target)


def kind_of(path: Path) -> str:
    """Returns the ending of a file's name, without that of a compression."""
    return Path(_without_compression(path)).suffix.lower()


def _without_compression(path: Path) -> str:
    return path.name.removesuffix(path.suffix) if path.suffix in SUFFIXES else path.name


def languages_of(source: Path, target: Path) -> tuple[str, str] | None:
    """Returns the languages that two file names tell: the last parts between full stops in which they differ.

    Those of ``texts.de`` and ``texts.en.gz`` are ``de`` and ``en``, and so are those of ``news_de.txt`` and
    ``news_en.txt``.
    """
    names = [_without_compression(path).split(".") for path in (source, target)]
    both = next((pair for pair in zip(*map(reversed, names), strict=False) if pair[0] != pair[1]), ("", ""))
    begin = re.match(r"(.*[-_]).*\n\1", "\n".join(both))
    first, second = (part.removeprefix(begin[1] if begin else "") for part in both)
    return (first, second) if _CODE.fullmatch(first) and _CODE.fullmatch(second) else None


def _line_pairs(source: Path, target: Path) -> Iterable[tuple[str, str]]:
    for path in (source, target):
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a regular file.", "Name a file of text.")
    if source.exists() and target.exists() and source.samefile(target):
        raise UserError(
            f"{source} is given as the source and as the target.", "Give the file of the translations, too."
        )
    sources, targets = (list(islice(read_lines(path), MAX_PAIRS)) for path in (source, target))
    if len(sources) != len(targets):
        raise UserError(
            f"{source} has {len(sources):,} lines, but {target} has {len(targets):,}; {_parting(sources, targets)}.",
            "Line n of one must translate line n of the other: add or delete the lines that are alone.",
        )
    return zip(sources, targets, strict=True)


def _parting(sources: Sequence[str], targets: Sequence[str]) -> str:
    """Says where two texts part: after it, the lengths of lines fit better if one line is left out."""
    lengths = [[len(line) for line in lines] for lines in (sources, targets)]
    longer, shorter = sorted(lengths, key=len, reverse=True)

    def misfit(begin: int, end: int, shift: int) -> int:
        pairs = zip(longer[begin + shift : end + shift], shorter[begin:end], strict=False)
        return sum(abs(a - b) > 0.5 * max(a, b, 8) for a, b in pairs)

    for begin in range(len(shorter)):
        end = begin + _WINDOW
        if misfit(begin, end, 1) + _WINDOW // 5 < misfit(begin, end, 0):
            line = min(range(begin, end), key=lambda at: misfit(begin, at, 0) + misfit(at, end, 1))
            return f"they seem to part near line {line + 1:,}"
    return f"line {len(shorter) + 1:,} and those after it are alone"


def _columns(path: Path, names: Sequence[str], wanted: tuple[str, str] | None) -> tuple[str, str]:
    """Returns the names of the columns of source and target."""
    if wanted and set(wanted) <= set(names):
        return wanted
    known = [name for name in names if name.lower() in _SIDES] or [name for name in names if _is_name(name)]
    known = [name for name in known if name != "id"] if len(known) > 2 else known
    chosen = names if len(names) == 2 else known
    if len(chosen) != 2 or (wanted and names != ["a", "b"]):
        raise UserError(
            f"{path} has the columns {shortened(', '.join(names))}, of which two are to be source and target.",
            "Name them: --set data.source=NAME --set data.target=NAME.",
        )
    return chosen[0], chosen[1]


def _is_name(cell: str) -> bool:
    """Returns whether a cell of a table can be the name of a column: a language's code, or a side of a pair."""
    return cell.lower() in _SIDES or (bool(_CODE.fullmatch(cell)) and re.split("[-_]", cell)[0] in NAMES)


def _rows(path: Path, wanted: tuple[str, str] | None) -> Iterator[Mapping[str, str]]:
    """Yields the texts of each row of a table, or of each unit of a translator's file, by column or language."""
    kind = kind_of(path)
    if kind in UNITS:
        yield from provided("translation units", f"Training on {kind} files")(path)
    elif kind == ".jsonl":
        for number, line in enumerate(read_lines(path, max_bytes=MAX_RECORD_BYTES), start=1):
            try:
                row = parse_object(line)
                values = row["translation"] if isinstance(row.get("translation"), dict) else row
                yield {key: value for key, value in values.items() if isinstance(value, str)}
            except ValueError:
                raise UserError(
                    f"{path}, line {number:,}: this is no JSON object.",
                    'Each line must be like {"de": "Guten Tag", "en": "Good day"}.',
                ) from None
    else:
        lines = read_lines(path, max_bytes=MAX_RECORD_BYTES)
        cells = (line.split("\t") for line in lines) if kind == ".tsv" else iter(csv.reader(lines))
        first: list[str] = next(cells, [])
        is_header = set(wanted or "-") <= set(first) or sum(map(_is_name, first)) > 1
        header = first if is_header else [chr(ord("a") + at) for at in range(len(first))]
        if first and not is_header:
            yield dict(zip(header, first, strict=True))
        for number, texts in enumerate(cells, start=2):
            if len(texts) != len(header):
                raise UserError(
                    f"{path}, row {number:,} has {len(texts)} columns, but the first has {len(header)}.",
                    "Give every row the same columns; in .csv, put quotes around text with commas.",
                )
            yield dict(zip(header, texts, strict=True))
