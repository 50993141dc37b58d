"""Formats of the input of ``nmt translate``: lines of text, and those that extensions add."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.core.errors import UserError
from nmt.core.text import count_lines, read_lines
from nmt.jobs.run import ResumableOutput
from nmt.recipe.registry import Table

if TYPE_CHECKING:
    from nmt.translation.job import TranslationJob


@dataclass(frozen=True)
class Work:
    """A job, the lines that it reads from an input, and the output that it writes."""

    job: Any
    """The job of `nmt translate`, or another :class:`nmt.jobs.run.LineJob`."""
    lines: Iterator[str]
    output: ResumableOutput
    total: int | None = None
    """Number of the lines, if it is known."""
    unit: str = "lines"


class InputFormat:
    """A format of input, which is read as lines; this one is text or JSON whose lines are translated one by one.

    An extension derives a class, which reads sentences of a document as lines, and attaches it by an entry point of the
    group ``nmt.components.input_format``.
    """

    unit = "lines"

    @classmethod
    def names(cls) -> list[str]:
        """Returns the names that ``--input-format`` takes."""
        return ["text", "jsonl"]

    @classmethod
    def reads(cls, path: Path | str, name: str | None) -> bool:
        """Returns whether an input has this format, by its name or by the one that was given."""
        return name in cls.names()

    @classmethod
    def check(cls, path: Path | str, options: Any) -> None:
        """Refuses options of ``nmt translate`` that don't go with the format.

        Raises:
            UserError: with the remedy.
        """

    @classmethod
    def num_lines(cls, path: Path, name: str | None) -> int:
        """Returns the number of lines to translate."""
        return count_lines(path) or sum(1 for _ in read_lines(path, keep_invalid=True))

    @classmethod
    def open(cls, job: "TranslationJob", path: Path | str, output: Path | str, name: str | None) -> Work:
        """Returns the work with an input.

        Raises:
            UserError: the input can't be read, or the output can't be written.
        """
        return Work(job, read_lines(path), ResumableOutput(output))


INPUT_FORMATS: Table[InputFormat] = Table("input format", InputFormat, {"lines": InputFormat})


def format_of(path: Path | str, name: str | None = None) -> type[InputFormat]:
    """Returns the format of an input.

    Args:
        name: of ``--input-format``; None chooses by the name of the input.

    Raises:
        UserError: there is no such format.
    """
    formats = [*INPUT_FORMATS.values()]
    found = next((each for each in formats if each.reads(path, name)), None)
    if found is None and name is not None:
        names = ", ".join(known for each in formats for known in each.names())
        remedy = f"Give one of {names}. If it belongs to a plugin, give --plugin MODULE."
        raise UserError(f"There is no input format {name!r}.", remedy)
    return found or InputFormat
