"""Lines with several sentences, which are translated sentence by sentence."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from nmt.cli.translation_options import AddedOptions, TranslateOptions
from nmt.core.errors import UserError

if TYPE_CHECKING:
    from nmt.translation.job import Search, TranslationJob
    from nmt.translation.options import TranslationOptions
    from nmt.translation.request import Request
    from nmt.translation.results import Translation
    from nmt.translation.translator import Translator

    WindowSearch = Callable[..., Iterator[Translation]]


@dataclass(frozen=True)
class SentenceOptions(AddedOptions):
    """Checks ``--split-sentences``, and divides lines before other steps, such as a memory of sentences."""

    def refuse(self, options: TranslateOptions, input: str) -> None:
        if options.decoding.get("split_sentences") and options.n_best > 1:
            raise UserError(
                "--split-sentences joins the translations of several sentences, which have no --n-best.",
                "Leave out one of them.",
            )

    def attached(self, job: "TranslationJob", options: TranslateOptions) -> "TranslationJob":
        if options.decoding.get("split_sentences") and not _reads_sentences(job.translator):
            raise UserError("--split-sentences is for models that translate single sentences.", "Leave it out.")
        is_set = job.translator.options(**job.options.decoding).split_sentences and job.options.n_best == 1
        if not (job.stages and is_set):
            return job
        stages = (*job.stages, by_sentences, *job.stages)  # a memory may also have the line as a whole
        return replace(job, options=job.options.changed(split_sentences=False), stages=stages, counts_lines=False)


def _reads_sentences(translator: "Translator") -> bool:
    return not (translator.task.has_labels or translator.task.reader.has_turns)


def divided(translator: "Translator", search: "WindowSearch") -> "WindowSearch":
    """Returns a search of lines that translates their sentences by another search, and joins the translations."""

    def translated(
        requests: "Sequence[Request]", numbers: Sequence[int], on_progress: Callable[[int], None]
    ) -> "Iterator[Translation]":
        from nmt.extensions.documents.parts import joined

        parts = [sentence_requests(request, translator) for request in requests]
        flat = [(part, number) for number, of_line in zip(numbers, parts, strict=True) for part in of_line]
        num_done = 0

        def in_lines(num_parts: int) -> None:
            nonlocal num_done
            before, num_done = num_done, num_done + num_parts
            on_progress(num_done * len(requests) // len(flat) - before * len(requests) // len(flat))

        found = search([part for part, _ in flat], [number for _, number in flat], in_lines)
        for request, of_line in zip(requests, parts, strict=True):
            yield joined(request.source, [*islice(found, len(of_line))], translator)

    return translated if _reads_sentences(translator) else search


def by_sentences(
    requests: "Sequence[Request]", *, search: "Search", translator: "Translator", options: "TranslationOptions"
) -> "Iterable[Translation]":
    """Translates the sentences of requests, which is the first stage of a job that has others."""
    of_parts = divided(translator, lambda parts, *_: iter(search(parts)))
    return of_parts(requests, range(len(requests)), lambda lines: None)


def sentence_requests(request: "Request", translator: "Translator") -> "list[Request]":
    """Returns a request for each sentence, an empty one for a line of marks; a line of one sentence stays as it is.

    So does a line with ``must_contain`` or a prefix of several sentences, which may belong to any of its sentences.
    """
    from nmt.extensions.documents.parts import in_parts
    from nmt.extensions.documents.segmentation import sentences_of_line, split_sentences

    texts = sentences_of_line(request.source, translator.recipe.data.source, translator.vocabularies.source.after_tags)
    if not (texts or request.prefix or request.must_contain or request.terms):
        return [replace(request, source="")]
    begin = split_sentences(request.prefix, translator.recipe.data.target)
    if request.must_contain or len(texts) < 2 or sum(each.is_sentence for each in begin) > 1:
        return in_parts(request, translator)
    parts = [part for text in texts for part in in_parts(replace(request, source=text, prefix=""), translator)]
    return [replace(parts[0], prefix=request.prefix), *parts[1:]]
