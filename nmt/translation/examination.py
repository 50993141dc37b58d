"""Examination of translations by one pass of forced decoding: word alignment, and what extensions compute from it.

An extension derives a frozen dataclass from :class:`Examination` and attaches it by an entry point of the group
``nmt.components.examination``. Its fields are keyword arguments of
:meth:`nmt.translation.translator.Translator.stream`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nmt.alignment.extract import word_links
from nmt.alignment.link_options import LinkOptions
from nmt.alignment.links import Weights, WordAlignment
from nmt.data.words import Words
from nmt.recipe.registry import Table
from nmt.translation.request import Request
from nmt.translation.results import Candidate, Translation

if TYPE_CHECKING:
    from nmt.alignment.aligner import Known
    from nmt.recipe.schema import DecodingOptions
    from nmt.translation.options import TranslationOptions
    from nmt.translation.translator import Translator


class Figures(NamedTuple):
    """Results of forced decoding of a translation."""

    alignment: WordAlignment
    posterior_TS: Weights
    """Probabilities of links between the T words of the translation and the S words of the source."""
    compared_TS: Weights
    """The weights that links are chosen by."""


@dataclass(frozen=True)
class Window:
    """Lines that were translated together, for a search that is to find other translations of some of them."""

    requests: Sequence[Request]
    numbers: Sequence[int]
    candidates: Sequence[Sequence[Candidate]]
    """Candidates of the first search, in the order in which equally good ones are preferred."""
    options: "DecodingOptions"
    search: Callable[[Sequence[Request], Sequence[int], "DecodingOptions"], list[list[Candidate]]]
    """Returns the candidates of requests with line numbers, under other options."""


class Examination(ABC):
    """Adds fields to translations, and may choose another candidate. Its dataclass fields are options of a run."""

    needs_scores = False
    """Whether the alignments need log-probabilities and margins."""
    needs_attention = False
    """Whether a model without attention is refused, and the posterior of links is needed."""
    chooses = False
    """Whether :meth:`chosen` needs all candidates of the beam."""

    @classmethod
    def merged(cls, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns the fields of a translation from those of its parts, or of several models in turn."""
        return {}

    def refuse(self, translator: "Translator") -> None:  # noqa: B027 - most examinations need nothing
        """Refuses a translator, before it searches.

        Raises:
            UserError: it lacks what the examination needs.
        """

    @abstractmethod
    def start(
        self, translator: "Translator", translations: Sequence[Translation]
    ) -> Callable[[Translation, Figures | None], Mapping[str, Any]]:
        """Returns what gives each of the translations, in order, its fields; the figures are None without attention."""

    def chosen(self, window: Window, translations: list[Translation], examine: "Examiner") -> list[Translation]:
        """Returns the translations of a window, of which some may be others; ``examine`` adds their fields."""
        return translations


EXAMINATIONS: Table[Examination] = Table("examination", Examination, {})


def merged_fields(parts: Sequence[Translation]) -> dict[str, Any]:
    """Returns the fields of a translation that has several parts, or that several models made in turn."""
    of_parts = [part.fields for part in parts]
    kinds = EXAMINATIONS.values() if any(of_parts) else ()
    return {name: value for kind in kinds for name, value in kind.merged(of_parts).items()}


@dataclass(frozen=True)
class Examiner:
    """Examines translations of a translator."""

    translator: "Translator"
    options: "TranslationOptions"

    @classmethod
    def requested(cls, translator: "Translator", options: "TranslationOptions") -> Self | None:
        """Returns what examines translations; None if nothing is requested, or the model can't do it."""
        with_alignment = options.with_alignment and translator.has_attention
        for each in options.examinations:
            each.refuse(translator)
        return cls(translator, options) if options.examinations or with_alignment else None

    def __call__(self, translations: Sequence[Translation], known: Iterable["Known"] = ()) -> Iterator[Translation]:
        """Yields the translations with the requested fields, in order; ``known`` has figures of the search for some.

        Raises:
            UserError: an examination needs attention, which the model doesn't have.
        """
        translator, requested = self.translator, self.options.examinations
        steps = [each.start(translator, translations) for each in requested]
        needs_all = any(each.needs_attention for each in requested)
        if not (translator.has_attention or needs_all):
            for translation in translations:
                yield _with_fields(translation, steps, None)
            return
        with_links = bool(self.options.with_alignment)
        with_punctuation = self.options.with_alignment == "punctuation"
        split = Words.split_punctuation if with_punctuation else Words.split
        aligned = translator.aligner.compared(
            ((split(each.source), split(each.text)) for each in translations),
            scores=any(each.needs_scores for each in requested),
            posterior=with_links or needs_all,
            margins_only=not needs_all,
            known=known,
        )
        links = LinkOptions().resolved(translator.aligner.lexicon is not None)
        for translation, figures in zip(translations, map(Figures._make, aligned), strict=True):
            examined = _with_fields(translation, steps, figures)
            if with_links:
                of_words = word_links(figures.compared_TS, links)
                examined = replace(examined, alignment=of_words, with_punctuation=with_punctuation)
            yield examined

    def window(
        self, window: Window, translations: Sequence[Translation], known: Iterable["Known"] = ()
    ) -> list[Translation]:
        """Returns the translations of a window, examined, of which the examinations may choose others."""
        examined = list(self(translations, known))
        for examination in self.options.examinations:
            examined = examination.chosen(window, examined, self)
        return examined


def _with_fields(
    translation: Translation,
    steps: Sequence[Callable[[Translation, Figures | None], Mapping[str, Any]]],
    figures: Figures | None,
) -> Translation:
    fields = {name: value for step in steps for name, value in step(translation, figures).items()}
    return replace(translation, fields={**translation.fields, **fields}) if fields else translation
