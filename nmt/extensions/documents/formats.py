"""Document formats: the text of a file is translated, its structure and formatting are kept.

Files are untrusted: sizes are limited before and after unpacking, XML has no entities or DTD, and nothing is
loaded from elsewhere or executed. The server adds limits of memory and processor time.
"""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from nmt.core.errors import UserError, extra, shortened
from nmt.extensions.documents.elements import TranslateBlocks
from nmt.extensions.documents.markup import Translate, sentences_in, translate_content
from nmt.extensions.documents.segmentation import has_letters
from nmt.extensions.documents.selection import Report, Selection
from nmt.extensions.documents.tags import Content, free_text
from nmt.recipe.registry import Table

MAX_BYTES, MAX_TEXTS = 10 << 20, 100_000
"""Largest size of a file, and the most texts, such as paragraphs and cells; a small archive can have millions."""


class DocumentFormat:
    """Base class of document formats.

    A package outside nmt adds a format by a subclass, whose name is the ending of the files:
    ``nmt.add_component(".ini", Ini)``.

    Attributes:
        ending: the ending of the name of the file, in lower case.
        source: language code of the text, for formats that name it; empty where it isn't known.
        selection: the names that ``--translate-only`` gives.
        report: where the texts are recorded that are not translated; None if nobody asks for it.
    """

    ending: str = ""
    source: str = ""
    selection: Selection = Selection()
    report: Report | None = None

    def translate(self, data: bytes, run: TranslateBlocks, target: str) -> bytes:
        """Translate a file.

        Args:
            data: content of the file. :func:`decoded` removes the byte order mark of UTF-8, which the result keeps.
            run: translates blocks of text, each a list of strings and :class:`nmt.extensions.documents.tags.Node`, and
                returns them in the same order. One call for all blocks makes full batches.
            target: language code, for formats that have a place for it.

        Raises:
            UserError: the file is damaged; see :func:`damaged`.
        """
        raise NotImplementedError

    def leave(self, where: str, text: str, reason: str) -> None:
        """Records a text that is not translated, at a place of the file."""
        if self.report is not None:
            self.report.leave(where, text, reason)


FORMATS: Table[DocumentFormat] = Table(
    "document format",
    DocumentFormat,
    {
        ending: f"nmt.extensions.documents.{place}"
        for place, endings in {
            "plain:PlainText": (".txt",),
            "plain:Html": (".html", ".htm"),
            "plain:Subtitles": (".srt", ".vtt"),
            "office:Package": (".docx", ".pptx", ".xlsx", ".odt", ".odp", ".ods", ".epub"),
            "plain:Gettext": (".po",),
            "data:Xliff": (".xliff", ".xlf"),
            "markdown:Markdown": (".md",),
            "data:Table": (".csv", ".tsv"),
            "data:Json": (".json",),
            "data:Yaml": (".yaml", ".yml"),
            "data:Xml": (".xml",),
        }.items()
        for ending in endings
    },
)
"""Formats by the ending of the file name."""


def translate_document(
    name: str,
    data: bytes,
    translate: Translate,
    source: str = "en",
    target: str = "",
    *,
    only: Sequence[str] = (),
    report: Report | None = None,
) -> bytes:
    """Translates a file.

    Args:
        name: file name; the ending selects one of :data:`FORMATS`.
        target: language that is written into formats that have a place for it.
        only: columns, paths or elements of a data file that are translated; see
            :class:`nmt.extensions.documents.selection.Selection`. None: all that is text.
        report: gets the number of texts, and those that are not translated.

    Raises:
        UserError: the format is unknown, or the file is too large, damaged, or dangerous to read.
    """

    def run(blocks: Sequence[Content], **options: Any) -> list[Content]:
        results = translate_content(blocks, translate, source, **options)
        if report is not None:
            report.add(blocks, results)
        return results

    return _with_format(name, data, run, (source, target), only, report)


def report_on(name: str, data: bytes, only: Sequence[str] = ()) -> Report:
    """Returns what a file has to translate, and what is left alone. Raises UserError as :func:`translate_document`."""
    report = Report()

    def run(blocks: Sequence[Content], **_: object) -> list[Content]:
        report.num_texts += sum(has_letters(free_text(block)) for block in blocks)
        return list(blocks)

    _with_format(name, data, run, ("", ""), only, report)
    return report


def _with_format(
    name: str, data: bytes, run: TranslateBlocks, languages: tuple[str, str], only: Sequence[str], report: Report | None
) -> bytes:
    ending = check_name(name)
    form = FORMATS[ending]()
    form.ending, form.selection, form.report = ending, Selection(only), report
    form.source, target = languages
    if len(data) > MAX_BYTES:
        raise UserError(f"The file has {len(data):,} bytes, more than {MAX_BYTES:,}.", "Split the file.")

    def limited(blocks: Sequence[Content], **options: Any) -> list[Content]:
        check_number(len(blocks))
        return run(blocks, **options)

    with extra("documents"):
        result = form.translate(data, limited, target)
    form.selection.check()
    # gettext refuses a mark; for some HTML nothing else tells UTF-8.
    return BOM_UTF8 + result.removeprefix(BOM_UTF8) if data.startswith(BOM_UTF8) and ending != ".po" else result


def sentences_of_document(
    name: str, data: bytes, source: str = "en", limit: float = float("inf"), only: Sequence[str] = ()
) -> list[str]:
    """Returns the sentences that :func:`translate_document` translates, in order.

    Args:
        limit: number of characters after which no more sentences are sought.

    Raises:
        UserError: as :func:`translate_document`.
    """
    found, length = list[str](), 0

    def collect(blocks: Sequence[Content], **_: object) -> list[Content]:
        nonlocal length
        for block in blocks:
            sentences = sentences_in(block, source) if length < limit else []
            found.extend(sentences)
            length += sum(map(len, sentences))
        return list(blocks)

    _with_format(name, data, collect, ("", ""), only, None)
    return found


def check_number(num_texts: int) -> None:
    """Raises a UserError if a file has more texts than :data:`MAX_TEXTS`."""
    if num_texts > MAX_TEXTS:
        raise UserError(f"The file has more than {MAX_TEXTS:,} paragraphs, cells or other texts.", "Split the file.")


def check_name(name: str) -> str:
    """Returns the extension of a file name.

    Raises:
        UserError: the name is a path, or the extension is not one of :data:`FORMATS`.
    """
    if not name.isprintable() or {"/", "\\"} & set(name) or name.startswith("."):
        raise UserError(f"{shortened(name)!r} is not a plain file name.", "Give a name without a folder.")
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"Files {shortened(suffix)!r} can't be translated.", f"Give one of {', '.join(FORMATS)}.")
    return suffix


def damaged(what: str, error: object, name: str = "The file") -> UserError:
    """Returns the error for a file whose content does not match its extension."""
    return UserError(f"{name} is not {what}: {shortened(str(error), 200)}.", "Save it again, or check its extension.")


def decoded(data: bytes) -> str:
    """Decodes UTF-8, without its byte order mark.

    Raises:
        UserError: the file has another encoding.
    """
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "LATIN1"
        raise UserError(
            f"The file is not UTF-8 (byte {error.start + 1:,} is 0x{data[error.start]:02x}).",
            f"Save it as UTF-8, for example with `iconv -f {encoding} -t UTF-8`.",
        ) from None
