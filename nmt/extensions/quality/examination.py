"""The check, the repair and the confidence of translations, as an examination."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Literal

from nmt.alignment.lexicon import Lexicon
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.extensions.quality.agreement import agreements
from nmt.extensions.quality.check import CHECKS, Check, lost_texts, merged, problems, sentences, severity, word_problems
from nmt.extensions.quality.confidence import FILE, MAX_BYTES, Calibration
from nmt.recipe.schema import DecodingOptions
from nmt.translation.examination import Examination, Examine, Figures, Window
from nmt.translation.glossary import Glossary
from nmt.translation.loaded import LoadedModel
from nmt.translation.patterns import side_by_side
from nmt.translation.request import Request
from nmt.translation.results import Candidate, Translation

BEAM_SIZE = 8
"""Least number of hypotheses of a second search."""
REPEATED = 3
"""Tokens of the n-grams that a second search doesn't repeat."""


def is_calibrated(translator: LoadedModel) -> bool:
    """Returns whether ``nmt calibrate`` was run for the model."""
    return translator.directory is not None and ModelDirectory(translator.directory).file(FILE, MAX_BYTES).is_file()


def calibration_of(translator: LoadedModel) -> Calibration:
    """Returns what turns the features of a translation into its confidence.

    Raises:
        UserError: ``nmt calibrate`` was not run for the model.
    """
    return Calibration.load(ModelDirectory(translator.directory or ".").file(FILE, MAX_BYTES))


@dataclass(frozen=True)
class QualityExamination(Examination):
    """Gives the fields ``problems``, ``repaired``, ``confidence`` and ``word_confidences``."""

    check: bool | Literal["repair"] = False
    """Give the problems of each translation and, with ``"repair"``, search again where there are some, and keep the
    candidate with the fewest."""
    check_with: tuple[str, ...] = ()
    """Names of ``CHECKS`` whose problems are given, too."""
    with_confidence: bool = False
    """Give the probability that each translation is acceptable, and each word; needs ``nmt calibrate``."""

    @property
    def needs_scores(self) -> bool:  # type: ignore[override]
        return bool(self.check) or self.with_confidence

    @property
    def needs_attention(self) -> bool:  # type: ignore[override]
        return self.with_confidence

    @property
    def chooses(self) -> bool:  # type: ignore[override]
        return self.check == "repair"

    def refuse(self, model: LoadedModel) -> None:
        self._checks()
        if self.with_confidence:
            model.attached(calibration_of)

    @classmethod
    def merged(cls, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if (checks := merged([part.get("problems") for part in parts])) is not None:
            found["problems"] = checks
        if any("repaired" in part for part in parts):
            found["repaired"] = any(part.get("repaired") for part in parts)
        if confidences := [part["confidence"] for part in parts if "confidence" in part]:
            found["confidence"] = min(confidences)
        if of_words := [p for part in parts for p in part.get("word_confidences", ())]:
            found["word_confidences"] = of_words
        return found

    def _checks(self) -> list[Check]:
        if self.check_with and not self.check:
            raise UserError("--check-with adds to the check.", "Give --check or --repair, too.")
        return [CHECKS.find(name, "--check-with")() for name in self.check_with]

    def _lexicon(self, model: LoadedModel) -> Lexicon | None:
        return model.aligner.lexicon if model.has_attention or self.with_confidence else None

    def start(
        self, model: LoadedModel, translations: Sequence[Translation]
    ) -> Callable[[Translation, Figures | None], Mapping[str, Any]]:
        lexicon = self._lexicon(model)
        calibration = model.attached(calibration_of) if self.with_confidence else None
        sources, texts = [each.source for each in translations], [each.text for each in translations]
        agreed = iter(agreements(model, sources, texts, 0 if calibration is None else calibration.samples))
        current = [model.task.reader.current(text) for text in sources]
        untagged = [text[model.vocabularies.source.after_tags(text) :] for text in current]
        further = zip(untagged, *(check(untagged, texts) for check in self._checks()), strict=True)

        def fields(translation: Translation, figures: Figures | None) -> Mapping[str, Any]:
            agreement, found = next(agreed), dict[str, Any]()
            if self.check:
                source, *added = next(further)
                found["problems"] = problems(source, translation.text)
                if figures is not None:
                    vocabulary = model.vocabularies.target
                    found["problems"] |= word_problems(figures.alignment, translation, lexicon, vocabulary)
                for others in added:
                    found["problems"] |= others
            if calibration is not None and figures is not None and translation.source.strip():
                found |= calibration.confidences(figures.alignment, figures.posterior_TS, lexicon, agreement)
            return found

        return fields

    def chosen(
        self, model: LoadedModel, window: Window, translations: list[Translation], examine: Examine
    ) -> list[Translation]:
        """Replaces each translation with problems by the candidate with the fewest, if that has fewer and its terms."""
        if self.check != "repair":
            return translations
        lexicon = self._lexicon(model)
        again = [
            (row, request)
            for row, translation in enumerate(translations)
            if translation.fields["problems"]
            for request in _requests_again(window.requests[row], translation, lexicon)
        ]
        pools = [list(of_line) for of_line in window.candidates]
        if again:
            numbers = [window.numbers[row] for row, _ in again]
            searched = window.search([request for _, request in again], numbers, for_repair(window.options))
            for (row, _), candidates in zip(again, searched, strict=True):
                pools[row] += candidates
        is_free = [not (request.must_contain or request.prefix) for request in window.requests]
        short = [
            row for row, each in enumerate(translations) if is_free[row] and "sentences" in each.fields["problems"]
        ]
        for row, candidate in zip(short, _by_sentences(model, window, short), strict=True):
            pools[row].append(candidate)
        tried = list[tuple[int, Translation]]()
        for row in dict.fromkeys(row for row, _ in again):
            before = translations[row]
            others = {each.text: each for each in reversed(pools[row]) if each.text != before.text}
            for text, candidate in others.items():
                n_best = [candidate, *before.n_best][: max(len(before.n_best), 1)]
                of_other = Translation(before.source, text, candidate.score, candidate.tokens, n_best)
                tried.append((row, replace(of_other, terms=before.terms)))
        best, repaired = list(translations), set[int]()
        for (row, _), examined in reversed(list(zip(tried, examine([each for _, each in tried]), strict=True))):
            missing = partial(Glossary(window.requests[row].terms).missing, examined.source)
            has_terms = set(missing(examined.text)) <= set(missing(best[row].text))
            if has_terms and severity(examined.fields["problems"]) < severity(best[row].fields["problems"]):
                best[row] = examined
                repaired.add(row)
        return [replace(each, fields={**each.fields, "repaired": row in repaired}) for row, each in enumerate(best)]


def _by_sentences(model: LoadedModel, window: Window, rows: Sequence[int]) -> list[Candidate]:
    """Returns, for some lines, the translations of their sentences side by side."""
    parts = list[list[Request]]()
    for request in (window.requests[row] for row in rows):
        begin = model.vocabularies.source.after_tags(request.source)
        texts = (request.source[:begin] + text for text in sentences(request.source[begin:]))
        parts.append([replace(request, source=text) for text in texts])
    numbers = [window.numbers[row] for row, of_line in zip(rows, parts, strict=True) for _ in of_line]
    found = iter(window.search([part for of_line in parts for part in of_line], numbers, window.options))
    lines = ([candidates[0] for candidates in islice(found, len(of_line))] for of_line in parts)
    return [
        Candidate(
            side_by_side(each.text for each in of_line),
            sum(each.score for each in of_line),
            [token for each in of_line for token in each.tokens],
        )
        for of_line in lines
    ]


def for_repair(options: DecodingOptions) -> DecodingOptions:
    """Returns the options of a second search: a wide, plain beam without repeated n-grams."""
    changes = {
        "search": "beam",
        "beam_groups": 1,
        "beam_size": max(options.beam_size, BEAM_SIZE),
        "prune": None,
        "logits_processors": {"no_repeat_ngram": {"size": REPEATED}} | options.logits_processors,
    }
    return options.model_copy(update=changes)


def _requests_again(request: Request, before: Translation, lexicon: Lexicon | None) -> list[Request]:
    """Returns requests that require nothing new, the texts that were lost, and also translations of uncovered words."""
    of_before = before.fields["problems"]
    lost = [text for text in lost_texts(request.source, of_before) if text not in request.must_contain]
    words = [] if lexicon is None else [lexicon.translations(word, 1) for word in of_before.get("uncovered", ())]
    phrases = [(), tuple(lost), (*lost, *(each[0] for each in words if each))]
    return [replace(request, must_contain=(*request.must_contain, *each)) for each in dict.fromkeys(phrases)]
