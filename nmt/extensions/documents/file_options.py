"""Options of ``nmt translate`` for documents."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nmt.cli.help import CONTENT, INPUT_AND_OUTPUT
from nmt.cli.translation_options import AddedOptions, TranslateOptions
from nmt.core.errors import UserError

if TYPE_CHECKING:
    from nmt.translation.job import TranslationJob


@dataclass(frozen=True)
class DocumentOptions(AddedOptions):
    """See the help of each."""

    translate_only: Annotated[
        list[str] | None,
        CONTENT.option(
            metavar="NAME",
            help="A column of csv or tsv, by its name or number, a path of json or yaml such as item.title, or an "
            "element or attribute of xml such as title or img/@alt, to which the translation is restricted; may be "
            "repeated. A name stands for all whose path ends so, and * for any text.",
            show_default="all text that is no number, date, address or identifier",
        ),
    ] = None
    report: Annotated[
        Path | None,
        INPUT_AND_OUTPUT.option(
            metavar="FILE",
            help="Write a JSON file about a document: how many texts it and its translation have, and which of them "
            "were left alone, with the reason of each.",
        ),
    ] = None

    def refuse(self, options: TranslateOptions, input: str) -> None:
        if self.report is None and not self.translate_only:
            return
        from nmt.extensions.documents.job import document_ending

        if Path(input).is_dir() or document_ending(input, options.input_format) is None:
            raise UserError(
                "--report and --translate-only are for one document.",
                "Name a document as the input, or its format with --input-format.",
            )

    def attached(self, job: "TranslationJob", options: TranslateOptions) -> "TranslationJob":
        if self.report is None and not self.translate_only:
            return job
        from nmt.extensions.documents.job import DocumentJob

        return DocumentJob.of(job, only=tuple(self.translate_only or ()), report=self.report)
