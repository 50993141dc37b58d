"""Documents as translation jobs: sentences are the lines, which are kept until the translated file is written."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nmt.alignment.links import json_line
from nmt.core.compression import uncompressed
from nmt.core.console import say, warn
from nmt.core.errors import UserError
from nmt.core.jsonlines import parse_object
from nmt.core.output import binary_file, write_output
from nmt.core.text import read_bytes, read_lines
from nmt.extensions.documents.formats import FORMATS, MAX_BYTES, report_on, sentences_of_document, translate_document
from nmt.extensions.documents.parts import in_parts, joined
from nmt.extensions.documents.selection import Report
from nmt.jobs.run import ResumableOutput
from nmt.translation.inputs import InputFormat, Work
from nmt.translation.job import TranslationJob
from nmt.translation.request import Request
from nmt.translation.results import Translation

if TYPE_CHECKING:
    from nmt.cli.translation_options import TranslateOptions

_KEPT = "source", "translation", "alignment"
OTHERS = {
    **dict.fromkeys((".doc", ".docm", ".dotx", ".rtf", ".ott", ".fodt", ".pdf", ".pages"), ".docx, .odt or .txt"),
    **dict.fromkeys((".xls", ".xlsm", ".xlsb", ".xltx", ".ots", ".fods", ".numbers"), ".xlsx, .ods or .csv"),
    **dict.fromkeys((".ppt", ".pptm", ".pps", ".ppsx", ".potx", ".otp", ".fodp", ".key"), ".pptx or .odp"),
    **dict.fromkeys((".ass", ".ssa", ".sub"), ".srt or .vtt"),
    **dict.fromkeys((".tmx", ".sdlxliff", ".mqxliff", ".mxliff"), ".xliff"),
    **dict.fromkeys((".strings", ".properties", ".resx", ".arb", ".ts"), ".po, .xliff or .json"),
}
"""Endings of documents that can't be translated, and what to save them as."""
SAME = {".htm": ".html", ".yml": ".yaml", ".xlf": ".xliff"}


def document_ending(path: Path | str, input_format: str | None = None) -> str | None:
    """Returns the ending in :data:`nmt.extensions.documents.formats.FORMATS` that an input is read by; None for lines.

    Args:
        input_format: ``text`` or ``jsonl`` for lines, or an ending; None chooses by the name of the input.

    Raises:
        UserError: the name has an ending of :data:`OTHERS`.
    """
    ending = uncompressed(path).suffix.lower() if input_format is None else f".{input_format.lower().removeprefix('.')}"
    if input_format is None and ending in OTHERS and ending not in FORMATS:  # which a plugin may have added
        raise UserError(
            f"{path} is a document of a kind that can't be translated.",
            f"Save it as {OTHERS[ending]}, or give --input-format text for lines.",
        )
    has_lines = input_format is None and ending == ".txt"  # which is translated line by line unless it is named
    return ending if ending in FORMATS and not has_lines else None


class Revision:
    """Base class of what changes the translation of a document before it is written."""

    def sentence(self, translation: Translation) -> Translation:
        """Returns what is written for a sentence; called for each of its occurrences."""
        return translation

    def document(self, content: bytes, ending: str) -> bytes:
        """Returns the content that is written for the translated document; called once, at the end."""
        return content


@dataclass(frozen=True)
class DocumentJob(TranslationJob):
    """A job with the options of documents."""

    only: tuple[str, ...] = ()
    """What is translated of a data file; see :class:`nmt.extensions.documents.selection.Selection`."""
    report: Path | None = None
    """The file that gets the report."""
    revision: Revision = field(default_factory=Revision)

    @classmethod
    def of(cls, job: TranslationJob, **options: Any) -> Self:
        """Returns a job with further options."""
        return cls(**{**vars(job), **options})


class DocumentTranslator:
    """Translates a document by a translation job.

    Args:
        path: the document; ``"-"`` is standard input.

    Attributes:
        job: translates and writes :attr:`sentences`.
        sentences: the sentences of the document, each once. One that is too long for the model is there in parts.

    Raises:
        UserError: the document can't be read; see :func:`nmt.extensions.documents.formats.translate_document`.
    """

    def __init__(self, job: TranslationJob, path: Path | str, ending: str) -> None:
        options = replace(job.options, n_best=1, with_alignment="punctuation")
        self.job = replace(job, write=_record, read=Request.from_text, options=options)
        self._name, self._data, self._model = f"document{ending}", read_bytes(path, MAX_BYTES + 1), job.translator
        self._source, self._target = self._model.recipe.data.source, self._model.recipe.data.target
        own = job if isinstance(job, DocumentJob) else DocumentJob.of(job)
        self._only, self._report, self._revision, self._ending = own.only, own.report, own.revision, ending
        found = dict.fromkeys(sentences_of_document(self._name, self._data, self._source, only=self._only))
        self._parts = {text: [part.source for part in in_parts(Request(text), self._model)] for text in found}
        self.sentences = list(dict.fromkeys(part for parts in self._parts.values() for part in parts))

    def write(self, output: Path | str, records: Path) -> None:
        """Writes the translated document.

        Args:
            records: lines that :attr:`job` has written.

        Raises:
            UserError: there is no translation of a sentence in them.
        """
        found = dict(map(_read_record, read_lines(records)))

        def translate(sentences: Sequence[str]) -> list[Translation]:
            whole = (joined(each, [found[part] for part in self._parts[each]], self._model) for each in sentences)
            return [*map(self._revision.sentence, whole)]

        report = None if self._report is None else Report()
        try:
            content = translate_document(
                self._name, self._data, translate, self._source, self._target, only=self._only, report=report
            )
        except KeyError as error:
            raise UserError(
                f"{records} has no translation of {error.args[0]!r}: the document has changed.",
                "Delete the file to start again.",
            ) from None
        if self._report is not None and report is not None:
            result = report_on(self._name, content, self._only)
            write_output(self._report, json.dumps(report.to_json(result), ensure_ascii=False, indent=1) + "\n")
            reasons = "; ".join(f"{reason}: {count:,}" for reason, count in report.reasons.most_common(5))
            left = f" Left alone: {reasons}." if reasons else ""
            say(f"{report.num_texts:,} of {report.total:,} texts were translated.{left}")
            if report.total != result.total:
                warn(f"The document has {report.total:,} texts, and its translation {result.total:,}.")
        content = self._revision.document(content, self._ending)
        with binary_file(output) as binary:
            binary.write(content)


class DocumentInput(InputFormat):
    """Documents, whose sentences are translated."""

    unit = "sentences"

    @classmethod
    def names(cls) -> list[str]:
        return [name.removeprefix(".") for name in FORMATS]

    @classmethod
    def reads(cls, path: Path | str, name: str | None) -> bool:
        return document_ending(path, name) is not None

    @classmethod
    def check(cls, path: Path | str, options: "TranslateOptions") -> None:
        abstains = any(getattr(added, "abstain", None) is not None for added in options.added)
        if options.n_best > 1 or options.scores or options.format != "text" or abstains:
            raise UserError(
                f"{path} is a document: --n-best, --scores, --abstain and --format are for lines.",
                "Remove them, or give --input-format text.",
            )

    @classmethod
    def num_lines(cls, path: Path, name: str | None) -> int:
        ending = document_ending(path, name)
        return len(set(sentences_of_document(f"document{ending}", read_bytes(path, MAX_BYTES + 1))))

    @classmethod
    def open(cls, job: TranslationJob, path: Path | str, output: Path | str, name: str | None) -> Work:
        ending = document_ending(path, name)
        assert ending is not None
        if ResumableOutput(output).partial is None:
            raise UserError("A document is written to a file.", "Name one with -o, or give --input-format text.")
        # With --input-format both may have the same other ending.
        given, other = (uncompressed(each).suffix.lower() for each in (path, output))
        is_other = (other in FORMATS or other in OTHERS) and SAME.get(other, other) != SAME.get(ending, ending)
        if is_other and other != given:
            raise UserError(
                f"{output} would have the content of a {ending} file: documents aren't converted.",
                f"Name a {ending} file with -o.",
            )
        document = DocumentTranslator(job, path, ending)
        target = ResumableOutput(output, partial(document.write, output))
        return Work(document.job, iter(document.sentences), target, len(document.sentences), cls.unit)


def _record(translation: Translation) -> str:
    record = translation.to_json()
    return json_line({name: record[name] for name in (*_KEPT, *translation.fields)})


def _read_record(line: str) -> tuple[str, Translation]:
    try:
        record = parse_object(line)
        source, text, links = (record.pop(name) for name in _KEPT)
        alignment = None if links is None else tuple((s, t) for s, t in links)
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{line[:80]!r} is no translation of a sentence.", "Delete the file to start again.") from None
    return source, Translation(source, text, 0.0, [], alignment=alignment, with_punctuation=True, fields=record)
