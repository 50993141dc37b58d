"""From requests to candidates: encoding, the search of the model, and decoding."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.data.vocabulary.base import TAG
from nmt.decoding.hypotheses import BeamObserver, Hypothesis
from nmt.decoding.processors import LogitsProcessor
from nmt.decoding.ranking import NO_MBR, mbr_order
from nmt.decoding.search import Query
from nmt.recipe.registry import hooks, provided
from nmt.recipe.schema import DecodingOptions
from nmt.translation.examination import Window
from nmt.translation.examiner import Examiner
from nmt.translation.glossary import Glossary
from nmt.translation.loaded import LoadedModel
from nmt.translation.options import TranslationOptions
from nmt.translation.request import OutputConstraints, Request
from nmt.translation.results import Candidate, Translation, spell_unknown

NO_CANDIDATE = Candidate("", 0.0, [])
"""Result for an empty line."""


class LineSearch:
    """Searches translations of requests.

    Args:
        constraints: of all translations.
        processors: logits processors, beside those that the options name.
    """

    def __init__(
        self, translator: LoadedModel, constraints: OutputConstraints, processors: Sequence[LogitsProcessor]
    ) -> None:
        self._translator, self._constraints, self._processors = translator, constraints, processors

    def __call__(
        self,
        requests: Sequence[Request],
        numbers: Sequence[int],
        options: DecodingOptions,
        on_progress: Callable[[int], None] = lambda lines: None,
        observer: BeamObserver | None = None,
        size: int | None = None,
    ) -> list[list[Candidate]]:
        """Returns the candidates of each line, best first; of an empty line an empty one.

        Args:
            numbers: of the lines, in warnings.
            on_progress: called with the number of lines translated since the call before.
            size: only the first hypotheses of each line become candidates, which saves time.
        """
        encoded = [self._translator.encode_source(request.source) for request in requests]
        for number, ids in zip(numbers, encoded, strict=True):
            if len(ids) > self._translator.max_pieces:
                most = self._translator.max_pieces
                warn(f"line {number} has {len(ids):,} pieces: only the first {most} are translated.")
        self._check_tags(requests, numbers)
        encoded = [ids if request.source.strip() else [] for ids, request in zip(encoded, requests, strict=True)]
        filled = [index for index, ids in enumerate(encoded) if ids]
        on_progress(len(requests) - len(filled))
        query = Query(
            [encoded[index][: self._translator.max_pieces] for index in filled],
            options,
            on_progress,
            self._processors,
            [requests[index].constraints(self._translator.vocabularies.target) for index in filled],
            filled if observer else [numbers[index] - 1 for index in filled],  # a line may have several sentences
            observer,
        )
        of_filled, found = iter(self._translator.searcher(query)), []
        for number, request, ids in zip(numbers, requests, encoded, strict=True):
            hypotheses = next(of_filled) if ids else []
            candidates = [self._candidate(hypothesis, request.source) for hypothesis in hypotheses[:size]]
            order = mbr_order([each.text for each in candidates], options.mbr, request.source)
            candidates = self._constraints.allowed(number, [candidates[place] for place in order])
            found.append(candidates or [NO_CANDIDATE])
        if any(request.terms for request in requests):
            place_terms = provided("terms", "A request with terms")
            placed = place_terms(self._translator, requests, numbers, found, options, self)
            found = [
                before if after is before else self._constraints.permitted([*after, *before]) or before
                for number, before, after in zip(numbers, found, placed, strict=True)
            ]
        return found

    def _check_tags(self, requests: Sequence[Request], numbers: Sequence[int]) -> None:
        """Tell, once, of a line that seems to begin with a tag which a model with tags hasn't, or that has none where
        all training lines had one."""
        translator, corpora = self._translator, self._translator.recipe.data.corpora
        known, needs_tag = translator.vocabularies.source.tags, bool(corpora) and all(each.tag for each in corpora)
        if not known or translator.has_warned_of_tags:
            return
        for number, request in zip(numbers, requests, strict=True):
            line = translator.task.reader.current(request.source)
            tag = TAG.match(line)
            if (tag[1] not in known) if tag else (needs_tag and line.strip()):
                translator.has_warned_of_tags = True
                begin = f"{tag[1]}, which isn't a tag" if tag else "no tag"
                warn(f"line {number} begins with {begin} of the model: {', '.join(sorted(known))}.")
                return

    def _candidate(self, hypothesis: Hypothesis, line: str) -> Candidate:
        translator = self._translator
        vocabulary, ids = translator.vocabularies.target, hypothesis.ids
        text = vocabulary.decode(ids)
        if self._constraints.replace_unknown and vocabulary.unk in ids:
            attended = translator.aligner.attended_words(line, ids)
            words = {at: self._constraints.translated(attended[at]) for at, i in enumerate(ids) if i == vocabulary.unk}
            text = spell_unknown(ids, vocabulary, words)
        # A translation is one line, whatever tokens the model chose.
        tokens = [vocabulary.token(i) for i in ids]
        return Candidate(" ".join(text.split()), hypothesis.score, tokens, hypothesis.log_probability)


class WindowTranslation:
    """Translates windows of lines: lets extensions change the requests, searches, and examines what was found.

    Raises:
        UserError: the options exclude each other, or the model doesn't support one.
    """

    def __init__(
        self,
        translator: LoadedModel,
        options: TranslationOptions,
        decoding: DecodingOptions,
        processors: Sequence[LogitsProcessor],
    ) -> None:
        constraints = options.constraints
        if options.n_best < 1:
            raise UserError(f"n_best is {options.n_best}.", "Give 1 or more.")
        if options.n_best > decoding.beam_size:
            raise UserError(
                f"{options.n_best} candidates can't come from {decoding.beam_size} hypotheses or samples.",
                f"Give --beam-size {options.n_best} or more.",
            )
        if constraints.replace_unknown and not translator.has_attention:
            raise UserError("A model without attention can't replace unknown words.", "Remove --replace-unknown.")
        self._options, self._decoding = options, decoding
        self._changes = [*filter(None, (make(translator, decoding) for make in hooks("requests_changed")))]
        self._processors = [*constraints.processors(translator.vocabularies), *processors]
        self._search: Callable[..., list[list[Candidate]]] = LineSearch(translator, constraints, self._processors)
        for around in hooks("search_made"):
            self._search = around(translator, self._search, constraints)
        self._translator, self._examine = translator, Examiner.requested(translator, options)
        self._tracers = hooks("search_started") if self._examine is not None else []
        reads_all = any(each.chooses for each in options.examinations) or constraints.forbid or decoding.mbr != NO_MBR
        self._size = decoding.beam_size if reads_all else options.n_best

    def __call__(
        self, given: Sequence[Request], numbers: Sequence[int], on_progress: Callable[[int], None]
    ) -> Iterator[Translation]:
        """Yields the translation of each line, in order; ``numbers`` are those of the lines."""
        decoding, examine, n_best = self._decoding, self._examine, self._options.n_best
        requests, given_to = given, []
        for change in self._changes:
            given_to.append(requests)
            requests = [*map(change.changed, requests)]
        traces = (make(self._translator, requests, decoding, self._processors) for make in self._tracers)
        trace = next(filter(None, traces), None)
        found = self._search(requests, numbers, decoding, on_progress, trace, self._size)
        translations = chosen(requests, numbers, found, n_best)
        if examine is not None:
            known = [trace.found.get(row) for row in range(len(numbers))] if trace is not None else ()
            window = Window(requests, numbers, found, decoding, self._search)
            translations = examine.window(window, translations, known)
        for change, before in zip(reversed(self._changes), reversed(given_to), strict=True):
            restored = map(change.restored, before, translations)
            permitted = self._options.constraints.permitted
            # A forbidden phrase, such as one in capitals, may be due to what was restored.
            translations = [
                after if permitted(after.candidates) == after.candidates else replace(each, source=after.source)
                for each, after in zip(translations, restored, strict=True)
            ]
        return iter(translations)


def chosen(
    requests: Sequence[Request], numbers: Sequence[int], found: Sequence[list[Candidate]], n_best: int
) -> list[Translation]:
    """Returns the best candidate of each line as its translation, and warns of what was required and isn't there."""
    translations = []
    for number, request, candidates in zip(numbers, requests, found, strict=True):
        best = candidates[0]
        request.check(number, best.text)
        for term in Glossary(request.terms).missing(request.source, best.text) if request.terms else ():
            warn(f"line {number}: {term[1]!r} has no place in the translation.")
        translation = Translation(request.source, best.text, best.score, best.tokens, candidates[:n_best])
        translations.append(replace(translation, terms=request.terms))
    return translations
