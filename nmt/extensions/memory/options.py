"""The option of ``nmt translate`` for the translation memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.help import CONTENT
from nmt.cli.translation_options import AddedOptions, TranslateOptions

if TYPE_CHECKING:
    from nmt.extensions.memory.memory import TranslationMemory
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
        typer.Option(
            help="Translate lines by exact matches of the translation memory (`nmt memory`); jsonl has a field memory.",
            rich_help_panel=CONTENT,
        ),
    ] = False

    def attached(self, job: "TranslationJob", options: TranslateOptions) -> "TranslationJob":
        if not self.memory:
            return job
        from nmt.extensions.memory.memory import TranslationMemory

        recalled = partial(_recalled, TranslationMemory(options.model_dir))
        return replace(job, stages=(*job.stages, recalled), can_fork=False)


def _recalled(
    memory: "TranslationMemory",
    requests: "Sequence[Request]",
    *,
    search: "Search",
    translator: "Translator",
    options: "TranslationOptions",
) -> "Iterable[Translation]":
    from nmt.translation.examiner import Examiner

    return memory.translate(requests, search, Examiner.requested(translator, options), options.constraints.forbid)
