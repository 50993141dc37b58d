"""The text that a user gives, read as pairs of sentences."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from os.path import exists, isdir
from pathlib import Path

from nmt.core.compression import uncompressed
from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.core.text import read_lines
from nmt.data.sources import VALIDATION_NAMES, check_repeatable
from nmt.recipe.registry import hooks, provided

MAX_PAIRS = 3_000_000  # which are all in memory
TABLES = (".tsv", ".csv", ".jsonl", ".tmx", ".xlf", ".xliff", ".po")
"""Files of both languages, which an extension reads."""
_CODE = re.compile(r"[a-z]{2,3}([-_]\w{2,8})?", re.IGNORECASE)
_NO_CODES = frozenset(("src", "tgt", "trg", "ref", "hyp", "old", "new", "in", "out", "raw", "txt"))
"""Ends of names that look like codes of languages."""

Pairs = list[tuple[str, str]]
Part = tuple[tuple[str, str], tuple[str, str] | None, Iterable[tuple[str, str]]]
"""Of one or two files: names of both sides for messages, the languages that file or column names tell, and pairs."""


@dataclass
class Texts:
    """Pairs of sentences of each split, and what the first files tell."""

    train: Pairs = field(default_factory=list)
    valid: Pairs = field(default_factory=list)
    test: Pairs = field(default_factory=list)
    synthetic: Pairs = field(default_factory=list)
    """They are trained on, and none is held out."""
    languages: tuple[str, str] | None = None
    names: tuple[str, str] = ("the source", "the target")


def read_texts(paths: Sequence[Path], wanted: tuple[str, str] | None = None) -> Texts:
    """Reads text files.

    Args:
        paths: pairs of line-aligned files, the source first, or all sources before all targets; and files of both
            languages (:data:`TABLES`), all plain or compressed; or one folder with ``train.*`` and perhaps ``valid.*``
            and ``test.*``. Further folders, such as ``nmt backtranslate`` writes, have synthetic pairs in ``train.*``.
        wanted: names of the source and the target column, or ends of file names, where there are more than two.

    Raises:
        UserError: a file is missing or damaged, a text has no translation, or two files have different lengths.
    """
    folders = [path for path in paths if isdir(path)]
    given: list[tuple[str, Sequence[Path]]] = [("train", [path for path in paths if path not in folders])]
    if folders and not given[0][1]:
        text = folders.pop(0)
        given = [("train", _in(text, "train")), ("valid", _in(text, *VALIDATION_NAMES)), ("test", _in(text, "test"))]
    given += [("synthetic", _in(folder, "train")) for folder in folders]
    texts = Texts()
    for split, files in given:
        own: Pairs = getattr(texts, split)
        for names, languages, pairs in _parts(files, wanted or (texts.languages if split == "synthetic" else None)):
            if texts.languages and languages and languages != texts.languages:
                directions = f"{'-'.join(languages)}, not {'-'.join(texts.languages)} as the text before"
                raise UserError(f"{names[1]} is {directions}.", "Give texts of one direction, the source first.")
            texts.languages = texts.languages or languages
            texts.names = texts.names if texts.train else names
            own += islice(pairs, MAX_PAIRS + 1 - len(own))
        if len(own) > MAX_PAIRS:
            del own[MAX_PAIRS:]
            warn(f"only the first {MAX_PAIRS:,} pairs are used. Train a recipe, which reads text of any size, on all.")
    return texts


def _in(folder: Path, *names: str) -> Sequence[Path]:
    """Returns the files of a split in a folder, without the scores that ``nmt backtranslate`` writes beside them."""
    files = [path for name in names for path in sorted(folder.glob(f"{name}.*")) if ".scores" not in path.suffixes]
    if not files and "train" in names:
        raise UserError(f"{folder} has no files train.*.", "Name files, as *.de *.en, or call them train.de, train.en.")
    return files


def _parts(paths: Sequence[Path], wanted: tuple[str, str] | None) -> Iterator[Part]:
    plain, by_name = [], {uncompressed(path): path for path in paths}
    if others := [path for path in paths if by_name[uncompressed(path)] != path]:
        raise UserError(f"{others[0]} and {by_name[uncompressed(others[0])]} are the same text.", "Keep one of them.")
    for path in paths:
        if (kind := uncompressed(path).suffix.lower()) in TABLES:
            read = provided("table of text", f"Training on {kind} files")
            yield (f"the source in {path}", f"the target in {path}"), *read(path, kind, wanted)
        else:
            plain.append(path)
    ends, known = [f".{each}" for each in wanted or ()], {uncompressed(path) for path in plain}
    further = {p for p in known if ends and p.suffix not in ends and {p.parent / (p.stem + e) for e in ends} <= known}
    plain = [path for path in plain if uncompressed(path) not in further]  # which has the same text in other languages
    if len(plain) % 2:
        has_tabs = "\t" in next(read_lines(plain[-1]), "")  # raises the error of a missing file
        both = f"Give two files, aligned line by line, or a file of both languages: {', '.join(TABLES)}."
        several = "Of several languages, name two by --set data.source= and data.target=."
        remedy = f"{both} {'Its lines have tabs: call it .tsv.' if has_tabs else several}"
        raise UserError(f"{plain[-1]} comes without its translation.", remedy)
    half, suffixes = len(plain) // 2, [uncompressed(path).suffix for path in plain]
    is_by_side = len({*zip(suffixes[:half], suffixes[half:], strict=True)}) == 1 and suffixes[0] != suffixes[-1]
    sides = (plain[:half], plain[half:]) if is_by_side else (plain[::2], plain[1::2])  # *.de *.en, or pair by pair
    for pair in zip(*sides, strict=True):
        source, target = sorted(pair, key=lambda path: bool(wanted and uncompressed(path).name.endswith(wanted[1])))
        yield (str(source), str(target)), languages_of(source, target), line_pairs(source, target)


def languages_of(source: Path, target: Path) -> tuple[str, str] | None:
    """Returns the languages that two file names tell: the last parts between full stops in which they differ.

    They are ``de`` and ``en`` of ``texts.de`` and ``texts.en.gz``, and of ``news_de.txt`` and ``news_en.txt``.
    """
    names = [uncompressed(path).name.split(".") for path in (source, target)]
    both = next((pair for pair in zip(*map(reversed, names), strict=False) if pair[0] != pair[1]), ("", ""))
    begin = re.match(r"(.*[-_]).*\n\1", "\n".join(both))
    first, second = (part.removeprefix(begin[1] if begin else "") for part in both)
    are_codes = all(_CODE.fullmatch(each) and each.lower() not in _NO_CODES for each in (first, second))
    return (first, second) if are_codes else None


def line_pairs(source: Path, target: Path) -> Iterable[tuple[str, str]]:
    """Returns the pairs of two line-aligned files; raises UserError as :func:`read_texts`."""
    check_repeatable(source, target)
    if exists(source) and exists(target) and source.samefile(target):  # Path.exists fails for a name that is too long
        raise UserError(f"{source} is given as the source and as the target.", "Give the translations, too.")
    sources, targets = (list(islice(read_lines(path), MAX_PAIRS + 1)) for path in (source, target))
    if len(sources) != len(targets):
        where = "".join(f"; {find(sources, targets)}" for find in hooks("lengths_differ"))
        remedy = "Line n of one must translate line n of the other: add or delete the lines that are alone."
        raise UserError(f"{source} has {len(sources):,} lines, but {target} has {len(targets):,}{where}.", remedy)
    return zip(sources, targets, strict=True)
