"""Sources of parallel text, read as a stream."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Sized
from itertools import zip_longest
from os.path import exists, isfile
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from nmt.core.errors import UserError
from nmt.core.jsonlines import parse_object
from nmt.core.output import STANDARD_STREAM
from nmt.core.text import MAX_RECORD_BYTES, check_standard_input, describe, read_lines
from nmt.data.dialogue import SENTENCES, LineReader
from nmt.recipe import options as groups
from nmt.recipe.schema import FilePair

VALIDATION_NAMES = ("val", "valid", "validation", "dev")  # names of the validation split


class ParallelText(ABC):
    """Sentence pairs in a fixed order, which can be read repeatedly."""

    class Options(groups.Options):
        """Options of the text where a recipe names it as a text source, beside its type."""

    name: str  # name of the text in messages
    reader: LineReader = SENTENCES  # reads the lines: as sentences, or as dialogues
    tag: str | None = None  # symbol in front of what is translated of each source line

    @classmethod
    def open(cls, options: Any, split: str, languages: tuple[str, str]) -> "ParallelText":
        """Opens the text that a recipe names as a text source; by default the constructor has these arguments.

        Args:
            options: an instance of ``Options``.
            split: name of the split, such as ``train``; a source without splits ignores it.
            languages: ``data.source`` and ``data.target``.

        Raises:
            UserError: there is no such text.
        """
        constructor: Any = cls
        text: ParallelText = constructor(options, split, languages)
        return text

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yields pairs of source and target text, including empty ones."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Returns a digest that changes whenever the text does."""

    @property
    def untagged(self) -> "ParallelText":
        """The same text without its tag."""
        return self


def check_repeatable(*paths: Path) -> None:
    """Raises UserError if text that is read repeatedly can be read once only."""
    for path in paths:
        if str(path) == STANDARD_STREAM or (exists(path) and not isfile(path)):
            raise UserError(f"{path} is not a regular file.", "Name a file: its text is read repeatedly.")


class FileText(ParallelText):
    """Two files, plain or compressed; line n of one translates line n of the other."""

    class Options(FilePair):
        pass

    @classmethod
    def open(cls, options: FilePair, split: str, languages: tuple[str, str]) -> Self:
        check_repeatable(options.source, options.target)
        return cls(options.source, options.target)

    def __init__(self, source: Path, target: Path) -> None:
        check_standard_input(source, target)
        self.name = f"{source} and {target}"
        self.files = (source, target)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        source, target = self.files
        lines = zip_longest(read_lines(source), read_lines(target))
        for number, (left, right) in enumerate(lines):
            if left is None or right is None:
                longer = number + 1 + sum(1 for _ in lines)
                counts = (number, longer) if left is None else (longer, number)
                raise UserError(
                    f"{describe(source)} has {counts[0]:,} lines, but {describe(target)} has {counts[1]:,}.",
                    "Line n of one file must translate line n of the other: align the files first.",
                )
            yield left, right

    def checked(self) -> Self:
        """Returns the text; raises the UserErrors of its reading before long work, and not amid it."""
        if all(isfile(path) and str(path) != STANDARD_STREAM for path in self.files):  # others are read once only
            for _ in self:
                pass
        return self

    def fingerprint(self) -> str:
        return digest("", *self.files)


class OneFile(ParallelText):
    """A file that holds the text of both languages."""

    class Options(groups.Options):
        path: Path = Field(description="the file")

    def __init__(self, options: Any, split: str, languages: tuple[str, str]) -> None:
        self.name = str(options.path)
        self._path: Path = options.path
        self._languages = languages

    def fingerprint(self) -> str:
        return digest("\t".join(self._languages), self._path)


class TsvText(OneFile):
    """A tab-separated file (.tsv, or compressed) whose first line names the language of each column."""

    def __iter__(self) -> Iterator[tuple[str, str]]:
        lines = read_lines(self._path)
        header = next(lines, "").split("\t")
        missing = [language for language in self._languages if language not in header]
        if missing:
            raise UserError(
                f"{self._path}, line 1: no column {missing[0]!r}; the columns are {', '.join(header)}.",
                "The first line must name the language of each column, as in de<TAB>en.",
            )
        source, target = (header.index(language) for language in self._languages)
        for number, line in enumerate(lines, start=2):
            cells = line.split("\t")
            if len(cells) != len(header):
                raise UserError(
                    f"{self._path}, line {number}: {len(cells)} columns where line 1 has {len(header)}.",
                    "Remove stray tabs from the text.",
                )
            yield cells[source], cells[target]


class JsonlText(OneFile):
    """A file with a JSON object on each line, which maps languages to text, or whose ``translation`` does."""

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for number, line in enumerate(read_lines(self._path, max_bytes=MAX_RECORD_BYTES), start=1):
            try:
                row = parse_object(line)
                source, target = (row.get("translation", row)[language] for language in self._languages)
                yield one_line(source), one_line(target)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise UserError(
                    f"{self._path}, line {number}: no JSON object with text in {' and in '.join(self._languages)}.",
                    'Each line must be like {"de": "Guten Tag", "en": "Good day"}.',
                ) from None


class GivenText(ParallelText):
    """Sentence pairs in memory. Raises UserError if an element is no pair of strings."""

    def __init__(self, pairs: Sequence[tuple[str, str]], name: str) -> None:
        self.name, self._pairs = name, pairs if isinstance(pairs, Sequence) else list(pairs)
        for number, pair in enumerate(self._pairs):
            is_pair = isinstance(pair, Sized) and not isinstance(pair, str) and len(pair) == 2
            if not is_pair or not all(isinstance(side, str) for side in pair):
                raise UserError(f"{name}[{number}] is {pair!r}.", "Give pairs of strings: (source, target).")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((one_line(source), one_line(target)) for source, target in self._pairs)

    def fingerprint(self) -> str:
        return digest("".join(f"{side}\n" for pair in self for side in pair))


class ReadText(ParallelText):
    """Another text as a model reads it: the latest turns of a dialogue, and a tag before what is translated."""

    def __init__(self, text: ParallelText, reader: LineReader = SENTENCES, tag: str | None = None) -> None:
        self.name, self.reader, self.tag = text.name, reader, tag
        self._text = text

    @property
    def untagged(self) -> ParallelText:
        return ReadText(self._text, self.reader)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for source, target in self._text:
            read = self.reader.source_text(source)
            yield self.reader.tagged(self.tag, read) if self.tag else read, self.reader.current(target)

    def fingerprint(self) -> str:
        turns = f" history_turns {self.reader.history_turns}" if self.reader.has_turns else ""
        return self._text.fingerprint() + turns + (f" tag {self.tag}" if self.tag else "")


def aliases(split: str) -> tuple[str, ...]:
    """Returns the names that a split may have."""
    return (split, *VALIDATION_NAMES) if split in VALIDATION_NAMES else (split,)


def one_line(text: str) -> str:
    """Returns a text without line breaks: each sentence is one line."""
    return " ".join(text.splitlines())


def digest(text: str, *files: Path) -> str:
    digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=16)
    for path in files:
        next(read_lines(path), "")  # refuses what is no text before all of it is read
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
        except OSError as error:
            raise UserError(f"{path} can't be read: {error.strerror}.", "Check the name and its permissions.") from None
    return digest.hexdigest()
