"""Terms of a glossary in translations: where the model doesn't choose the term by itself, search is made to."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from nmt.core.errors import UserError, shortened
from nmt.translation.request import Request
from nmt.translation.results import Translation

Term = tuple[str, str]
"""A term in the source, and its translation."""
Search = Callable[[Sequence[Request]], Sequence[Translation]]

MAX_TERMS = 20_000
INFLECTION = 3
"""Letters at the end of a word that inflection may add or change."""


@dataclass(frozen=True)
class CheckedTranslation:
    """A translation, and the terms of the glossary that the source has and the translation lacks."""

    translation: Translation
    missing: tuple[Term, ...]


class Glossary:
    """Terms and their translations. Upper and lower case are the same; of overlapping terms the longest counts."""

    def __init__(self, terms: Mapping[str, str]) -> None:
        self._terms = {_key(source): (source, target) for source, target in terms.items()}
        ordered = sorted(self._terms, key=len, reverse=True)
        names = "|".join(re.sub(r"\\ ", r"\\s+", re.escape(name)) for name in ordered)
        self._pattern = re.compile(rf"(?<!\w)(?:{names})(?!\w)" if names else r"(?!)", re.IGNORECASE)

    @classmethod
    def parse(cls, text: str) -> "Glossary":
        """Read lines of a source term, a tab and its translation; lines that are empty or begin with # don't count.

        Raises:
            UserError: a line has another form, or there are too many.
        """
        terms: dict[str, str] = {}
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            source, _, target = (part.strip() for part in line.partition("\t"))
            if not source or not target or "\t" in target:
                raise UserError(
                    f"The glossary, line {number}: {shortened(line)!r} is not a term and its translation.",
                    "Write both with a tab between.",
                )
            terms.setdefault(source, target)
        if len(terms) > MAX_TERMS:
            raise UserError(f"The glossary has {len(terms):,} terms.", f"Give at most {MAX_TERMS:,}.")
        return cls(terms)

    def terms_in(self, source: str) -> list[Term]:
        """Returns the terms of a sentence, in order, each once."""
        return list(dict.fromkeys(self._terms[_key(match.group())] for match in self._pattern.finditer(source)))

    def missing(self, source: str, translation: str) -> tuple[Term, ...]:
        """Returns the terms of the source that the translation has in no form."""
        return tuple(term for term in self.terms_in(source) if not _has_form(translation, term[1]))

    def translate(self, requests: Sequence[Request], search: Search) -> list[CheckedTranslation]:
        """Translate sentences with the terms of the glossary.

        A sentence is first translated freely, so that the model inflects the terms that it chooses itself; where that
        leaves terms out, it is translated again with these as phrases that the translation must contain.
        """
        found = [self._checked(translation) for translation in search(requests)]
        again = [index for index, each in enumerate(found) if each.missing]
        if again:
            forced = [_with_terms(requests[index], found[index].missing) for index in again]
            for index, translation in zip(again, search(forced), strict=True):
                checked = self._checked(translation)
                if len(checked.missing) < len(found[index].missing):
                    found[index] = checked
        return found

    def translated(self, sentences: Sequence[str], search: Search, missing: set[Term]) -> list[Translation]:
        """Translate plain sentences as :meth:`translate` does; terms that could not be placed go to ``missing``."""
        found = self.translate([Request(sentence) for sentence in sentences], search)
        missing.update(term for each in found for term in each.missing)
        return [each.translation for each in found]

    def _checked(self, translation: Translation) -> CheckedTranslation:
        return CheckedTranslation(translation, self.missing(translation.source, translation.text))


def _with_terms(request: Request, terms: Sequence[Term]) -> Request:
    return replace(request, must_contain=(*request.must_contain, *(target for _, target in terms)))


def _key(term: str) -> str:
    return " ".join(term.lower().split())


def _has_form(text: str, term: str) -> bool:
    """Returns whether a text has a term with words that may end differently."""
    words = []
    for word in term.split():
        stem = word[: max(len(word) - INFLECTION + 1, min(len(word), 4))]
        words.append(rf"{re.escape(stem)}\w{{0,{len(word) - len(stem) + INFLECTION}}}")
    return re.search(r"(?<!\w)" + r"\s+".join(words) + r"(?!\w)", text, re.IGNORECASE) is not None
