"""The option of ``nmt translate`` that marks doubtful sentences."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nmt.cli.help import CHECKING
from nmt.cli.translation_options import AddedOptions, TranslateOptions
from nmt.core.errors import UserError

if TYPE_CHECKING:
    from nmt.translation.job import TranslationJob


@dataclass(frozen=True)
class MarkOptions(AddedOptions):
    """See the help."""

    mark: Annotated[
        float | None,
        CHECKING.option(
            metavar="P",
            min=0,
            max=1,
            help="Highlight the sentences of a docx, odt, html or xlsx document that have problems, as --check finds "
            "them, or a confidence below P, which needs `nmt calibrate`; the reasons are comments. With 0, only "
            "problems count.",
        ),
    ] = None

    def refuse(self, options: TranslateOptions, input: str) -> None:
        if self.mark is None:
            return
        from nmt.extensions.documents.job import document_ending
        from nmt.extensions.marking.doubts import WRITERS

        if Path(input).is_dir() or document_ending(input, options.input_format) not in WRITERS:
            names = ", ".join(ending[1:] for ending in WRITERS)
            raise UserError(
                "--mark is for one document in which sentences can be highlighted.",
                f"Name a file of the format {names}, or its format with --input-format.",
            )

    def attached(self, job: "TranslationJob", options: TranslateOptions) -> "TranslationJob":
        if self.mark is None:
            return job
        from nmt.extensions.documents.job import DocumentJob
        from nmt.extensions.marking.doubts import Marks
        from nmt.extensions.quality.examination import QualityExamination

        others = (each for each in job.options.examinations if isinstance(each, QualityExamination))
        given = next(others, QualityExamination())
        changes = {"check": given.check or True, "with_confidence": given.with_confidence or self.mark > 0}
        job = replace(job, options=job.options.changed(**changes))
        return DocumentJob.of(job, revision=Marks(self.mark))
