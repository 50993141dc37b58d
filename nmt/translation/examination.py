"""Word alignment, the check and the confidence of translations, by one pass of forced decoding; and repair."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nmt.alignment.aligner import DEFAULT, AttentionAligner, Known
from nmt.alignment.extract import word_links
from nmt.alignment.lexicon import Lexicon
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.words import Words
from nmt.recipe.schema import DecodingOptions
from nmt.translation.check import lost_texts, problems, severity, word_problems
from nmt.translation.confidence import Calibration
from nmt.translation.request import Request, StreamOptions
from nmt.translation.results import Candidate, Translation
from nmt.translation.reverse import ReverseModel, reverse_scores

BEAM_SIZE = 8
"""Least number of hypotheses of a second search."""
REPEATED = 3
"""Tokens of the n-grams that a second search doesn't repeat."""


@dataclass(frozen=True)
class Examiner:
    """Examines translations."""

    aligner: AttentionAligner | None
    """None for a model without attention, of whose translations the text alone is checked."""
    options: StreamOptions
    """Fields that are requested."""
    vocabulary: Vocabulary
    """Source vocabulary, whose tags are no part of a sentence."""
    calibration: Calibration | None = None
    """None if confidence isn't requested."""
    reverse: ReverseModel | None = None
    """The model of the other direction that the calibration needs; None if it needs none."""

    def __call__(self, translations: Sequence[Translation], known: Iterable[Known] = ()) -> Iterator[Translation]:
        """Returns the translations with what was requested, in order; ``known`` has figures of the search for some."""
        with_check, with_links = bool(self.options.check), bool(self.options.with_alignment)
        if self.aligner is None:
            for each in translations:
                yield replace(each, problems=self._problems(each)) if with_check else each
            return
        with_punctuation = self.options.with_alignment == "punctuation"
        split = Words.split_punctuation if with_punctuation else Words.split
        aligned = self.aligner.compared(
            ((split(each.source), split(each.text)) for each in translations),
            scores=with_check or self.calibration is not None,
            posterior=with_links or self.calibration is not None,
            margins_only=self.calibration is None,
            known=known,
        )
        sources, texts = [each.source for each in translations], [each.text for each in translations]
        backward = reverse_scores(self.reverse, sources, texts)
        links = DEFAULT.resolved(self.aligner.lexicon is not None)
        for each, (alignment, posterior_TS, compared_TS), back in zip(translations, aligned, backward, strict=True):
            found: dict[str, Any] = {}
            if with_links:
                found |= {"alignment": word_links(compared_TS, links), "with_punctuation": with_punctuation}
            if with_check:
                of_words = word_problems(alignment, each.source, self.aligner.lexicon)
                found["problems"] = self._problems(each) | of_words
            if self.calibration is not None and each.source.strip():
                found |= self.calibration.confidences(alignment, posterior_TS, self.aligner.lexicon, back)
            yield replace(each, **found)

    def _problems(self, translation: Translation) -> dict[str, Any]:
        return problems(translation.source[self.vocabulary.after_tags(translation.source) :], translation.text)

    def repaired(
        self,
        requests: Sequence[Request],
        numbers: Sequence[int],
        translations: Sequence[Translation],
        candidates: Sequence[Sequence[Candidate]],
        search: Callable[[Sequence[Request], Sequence[int]], list[list[Candidate]]],
    ) -> list[Translation]:
        """Replaces each translation with problems by the candidate with the fewest, if that has fewer.

        Args:
            translations: examined translations.
            candidates: those of the first search, in the order in which equally good ones are preferred.
            search: finds further candidates, with :func:`for_repair`.
        """
        lexicon = self.aligner.lexicon if self.aligner is not None else None
        again = [
            (row, request)
            for row, translation in enumerate(translations)
            if translation.problems
            for request in _requests_again(requests[row], translation, lexicon)
        ]
        pools = [list(of_line) for of_line in candidates]
        searched = search([request for _, request in again], [numbers[row] for row, _ in again]) if again else []
        for (row, _), found in zip(again, searched, strict=True):
            pools[row] += found
        rows, tried = list[int](), list[Translation]()
        for row in dict.fromkeys(row for row, _ in again):
            before = translations[row]
            others = {each.text: each for each in reversed(pools[row]) if each.text != before.text}
            for text, candidate in others.items():
                n_best = [candidate, *before.n_best][: max(len(before.n_best), 1)]
                rows.append(row)
                tried.append(Translation(before.source, text, candidate.score, candidate.tokens, n_best))
        best = [replace(translation, repaired=False) for translation in translations]
        for row, examined in reversed(list(zip(rows, self(tried), strict=True))):
            if severity(examined.problems or {}) < severity(best[row].problems or {}):
                best[row] = replace(examined, repaired=True)
        return best


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


def _requests_again(request: Request, found: Translation, lexicon: Lexicon | None) -> list[Request]:
    """Returns requests that require nothing new, the texts that were lost, and also translations of uncovered words."""
    assert found.problems is not None
    lost = [text for text in lost_texts(request.source, found.problems) if text not in request.must_contain]
    words = [] if lexicon is None else [lexicon.translations(word, 1) for word in found.problems.get("uncovered", ())]
    phrases = [(), tuple(lost), (*lost, *(each[0] for each in words if each))]
    return [replace(request, must_contain=(*request.must_contain, *each)) for each in dict.fromkeys(phrases)]
