"""Examines translations by one pass of forced decoding."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from nmt.alignment.aligner import Known
from nmt.alignment.extract import word_links
from nmt.alignment.link_options import LinkOptions
from nmt.data.words import Words
from nmt.translation.examination import Figures, Window
from nmt.translation.loaded import LoadedModel
from nmt.translation.options import TranslationOptions
from nmt.translation.results import Translation


@dataclass(frozen=True)
class Examiner:
    """Examines translations of a model."""

    model: LoadedModel
    options: TranslationOptions

    @classmethod
    def requested(cls, model: LoadedModel, options: TranslationOptions) -> Self | None:
        """Returns what examines translations; None if nothing is requested, or the model can't do it."""
        with_alignment = options.with_alignment and model.has_attention
        for each in options.examinations:
            each.refuse(model)
        return cls(model, options) if options.examinations or with_alignment else None

    def __call__(self, translations: Sequence[Translation], known: Iterable[Known] = ()) -> Iterator[Translation]:
        """Yields the translations with the requested fields, in order; ``known`` has figures of the search for some.

        Raises:
            UserError: an examination needs attention, which the model doesn't have.
        """
        model, requested = self.model, self.options.examinations
        steps = [each.start(model, translations) for each in requested]
        needs_all = any(each.needs_attention for each in requested)
        if not (model.has_attention or needs_all):
            yield from (_with_fields(translation, steps, None) for translation in translations)
            return
        with_links = bool(self.options.with_alignment)
        with_punctuation = self.options.with_alignment == "punctuation"
        known = list(known)

        def compared(split: Callable[[str], Words]) -> Iterator[Figures]:
            aligned = model.aligner.compared(
                ((split(each.source), split(each.text)) for each in translations),
                scores=any(each.needs_scores for each in requested),
                posterior=with_links or needs_all,
                margins_only=not needs_all,
                known=known,
            )
            return map(Figures._make, aligned)

        of_links = compared(Words.split_punctuation if with_punctuation else Words.split)
        # Examinations that read all figures are calibrated on words between spaces, whatever the links are of.
        is_twofold = with_punctuation and needs_all
        pairs = zip(of_links, compared(Words.split), strict=True) if is_twofold else ((each, each) for each in of_links)
        links = LinkOptions().resolved(model.aligner.lexicon is not None)
        for translation, (linked, figures) in zip(translations, pairs, strict=True):
            examined = _with_fields(translation, steps, figures)
            if with_links:
                of_words = word_links(linked.compared_TS, links)
                examined = replace(examined, alignment=of_words, with_punctuation=with_punctuation)
            yield examined

    def window(
        self, window: Window, translations: Sequence[Translation], known: Iterable[Known] = ()
    ) -> list[Translation]:
        """Returns the translations of a window, examined, of which the examinations may choose others."""
        examined = list(self(translations, known))
        for examination in self.options.examinations:
            examined = examination.chosen(self.model, window, examined, self)
        return examined


def _with_fields(
    translation: Translation,
    steps: Sequence[Callable[[Translation, Figures | None], Mapping[str, Any]]],
    figures: Figures | None,
) -> Translation:
    fields = {name: value for step in steps for name, value in step(translation, figures).items()}
    return replace(translation, fields={**translation.fields, **fields}) if fields else translation
