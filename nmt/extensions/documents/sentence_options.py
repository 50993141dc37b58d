"""The option of ``nmt translate`` for lines with several sentences."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.help import CONTENT
from nmt.cli.translation_options import AddedOptions, TranslateOptions
from nmt.core.errors import UserError, extra

if TYPE_CHECKING:
    from nmt.translation.job import Search, TranslationJob
    from nmt.translation.options import TranslationOptions
    from nmt.translation.request import Request
    from nmt.translation.results import Translation
    from nmt.translation.translator import Translator


@dataclass(frozen=True)
class SentenceOptions(AddedOptions):
    """See the help."""

    split_sentences: Annotated[
        bool,
        typer.Option(
            help="Translate each sentence of a line by itself, and a sentence that is too long for the model in parts, "
            "so that none is dropped or cut; their translations are joined to a line.",
            rich_help_panel=CONTENT,
        ),
    ] = False

    def refuse(self, options: TranslateOptions, input: str) -> None:
        if self.split_sentences and options.n_best > 1:
            raise UserError(
                "--split-sentences joins the translations of several sentences, which have no --n-best.",
                "Leave out one of them.",
            )

    def attached(self, job: "TranslationJob", options: TranslateOptions) -> "TranslationJob":
        if not self.split_sentences:
            return job
        task = job.translator.task
        if task.has_labels or task.reader.has_turns:
            raise UserError("--split-sentences is for models that translate single sentences.", "Leave it out.")
        with extra("documents"):
            import sentencex  # noqa: F401 - to refuse before any line is translated
        return replace(job, stages=(*job.stages, by_sentences), can_fork=not job.stages, counts_lines=False)


def by_sentences(
    requests: "Sequence[Request]", *, search: "Search", translator: "Translator", options: "TranslationOptions"
) -> "Iterable[Translation]":
    """Translates the sentences of requests, and joins their translations."""
    from nmt.extensions.documents.parts import joined

    parts = [sentence_requests(request, translator) for request in requests]
    found = iter(search([part for of_line in parts for part in of_line]))
    for request, of_line in zip(requests, parts, strict=True):
        yield joined(request.source, [*islice(found, len(of_line))], translator)


def sentence_requests(request: "Request", translator: "Translator") -> "list[Request]":
    """Returns a request for each sentence; a line of one sentence stays as it is.

    So does a line whose translation must contain a phrase, because the phrase may belong to any of its sentences.
    """
    from nmt.extensions.documents.parts import in_parts
    from nmt.extensions.documents.segmentation import has_letters, split_sentences, with_tags

    texts = [""]
    for segment in split_sentences(request.source, translator.recipe.data.source):
        if segment.is_sentence and has_letters(texts[-1]):
            texts.append("")
        texts[-1] += segment.text
    if request.must_contain or len(texts) == 1:
        return in_parts(request, translator)
    texts = with_tags((text.strip() for text in texts), translator.vocabularies.source)
    first = replace(request, source=texts[0])
    others = [replace(request, source=text, prefix="") for text in texts[1:]]
    return [part for each in (first, *others) for part in in_parts(each, translator)]
