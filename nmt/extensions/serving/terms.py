"""Translations with the terms of a glossary, and the terms that could not be placed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nmt.translation.glossary import Glossary, Term
from nmt.translation.request import Request
from nmt.translation.results import Translation

Search = Callable[[Sequence[Request]], Sequence[Translation]]


@dataclass(frozen=True)
class CheckedTranslation:
    """A translation, and the terms of the glossary that the source has and the translation lacks."""

    translation: Translation
    missing: tuple[Term, ...]


def translate_with_terms(glossary: Glossary, requests: Sequence[Request], search: Search) -> list[CheckedTranslation]:
    """Translates sentences with the terms of a glossary, and returns which ones could not be placed, too."""
    return [
        CheckedTranslation(found, glossary.missing(request.source, found.text))
        for request, found in zip(requests, search([*map(glossary.requested, requests)]), strict=True)
    ]


def translate_plain(
    sentences: Sequence[str], glossary: Glossary, search: Search, missing: set[Term]
) -> list[Translation]:
    """Translates plain sentences with the terms of a glossary; those that could not be placed go to ``missing``."""
    found = translate_with_terms(glossary, [Request(sentence) for sentence in sentences], search)
    missing.update(term for each in found for term in each.missing)
    return [each.translation for each in found]
