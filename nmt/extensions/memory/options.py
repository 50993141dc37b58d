"""The option of ``nmt translate`` for the translation memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from nmt.cli.help import CONTENT
from nmt.cli.translation_options import AddedOptions, TranslateOptions

if TYPE_CHECKING:
    from nmt.translation.job import Search, TranslationJob
    from nmt.translation.options import TranslationOptions
    from nmt.translation.request import Request
    from nmt.translation.results import Translation
    from nmt.translation.translator import Translator


@dataclass(frozen=True)
class MemoryOptions(AddedOptions):
    """See the help."""

    memory: Annotated[
        bool,
        CONTENT.option(
            help="Translate lines by exact matches of the translation memory (`nmt memory`); jsonl has a field memory."
        ),
    ] = False

    def attached(self, job: "TranslationJob", options: TranslateOptions) -> "TranslationJob":
        if not self.memory:
            return job
        from nmt.extensions.memory.memory import TranslationMemory
        from nmt.translation.examiner import Examiner

        memory = TranslationMemory(options.model_dir)

        def recalled(
            requests: "Sequence[Request]", *, search: "Search", translator: "Translator", options: "TranslationOptions"
        ) -> "Iterable[Translation]":
            examine = Examiner.requested(translator, options)
            return memory.translate(requests, search, examine, options.constraints.forbid)

        return replace(job, stages=(*job.stages, recalled), can_fork=False)
