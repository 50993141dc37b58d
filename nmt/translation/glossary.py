"""Terms of a glossary: which ones a sentence has, and whether its translation has theirs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from nmt.core.errors import UserError, shortened
from nmt.core.text import INVISIBLE, UNSPACED, read_lines
from nmt.translation.request import Request

Term = tuple[str, str]
"""A term in the source, and its translation."""

MAX_TERMS = 20_000
INFLECTION = 3
"""Letters at the end of a word that inflection may add or change."""


_WHOLE = r"(?<!\w)(?:%s)(?!\w)"
_UNSPACED = re.compile(f"[{UNSPACED}]")


class Glossary:
    """Terms and their translations. Upper and lower case are the same; of overlapping terms the longest counts."""

    def __init__(self, terms: Mapping[str, str]) -> None:
        self._terms = {
            _key(source): (source, target)
            for source, target in ((each.translate(INVISIBLE), target) for each, target in terms.items())
            if _key(source) and target.strip()
        }
        names = ((" ".join(term[0].split()), term) for term in self._terms.values())
        patterns: dict[bool, list[tuple[str, Term]]] = {True: [], False: []}
        for name, term in sorted(names, key=lambda named: len(named[0]), reverse=True):
            pattern = re.sub(r"\\ ", r"\\s+", re.escape(name)) + "()"  # the empty group tells which term was found
            patterns[_has_spaces(name)].append((pattern, term))
        self._ordered = [term for _, term in patterns[True] + patterns[False]]
        whole, anywhere = ("|".join(p for p, _ in patterns[has_spaces]) or r"(?!)" for has_spaces in (True, False))
        self._pattern = re.compile(rf"{_WHOLE % whole}|{anywhere}", re.IGNORECASE)

    @classmethod
    def load(cls, path: Path) -> "Glossary":
        """Read a file as :meth:`parse` reads its text.

        Raises:
            UserError: also if the file can't be read.
        """
        return cls.parse("\n".join(read_lines(path)), f"{path}")

    @classmethod
    def parse(cls, text: str, name: str = "The glossary") -> "Glossary":
        """Read lines of a source term, a tab and its translation; lines that are empty or begin with # don't count.

        Args:
            name: of the glossary in messages.

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
                    f"{name}, line {number}: {shortened(line)!r} is not a term and its translation.",
                    "Write both with a tab between.",
                )
            terms.setdefault(source, target)
        if len(terms) > MAX_TERMS:
            raise UserError(f"{name} has {len(terms):,} terms.", f"Give at most {MAX_TERMS:,}.")
        return cls(terms)

    def occurrences(self, source: str) -> list[tuple[Term, tuple[int, int]]]:
        """Returns the terms of a sentence in order, each with its characters ``source[begin:end]``."""
        return [(self._term(match), match.span()) for match in self._pattern.finditer(source)]

    def _term(self, match: re.Match[str]) -> Term:
        # The pattern takes more letters for the same than the keys, such as İ and i.
        return self._terms.get(_key(match.group())) or self._ordered[(match.lastindex or 0) - 1]

    def terms_in(self, source: str) -> list[Term]:
        """Returns the terms of a sentence, in order, each once."""
        return list(dict.fromkeys(term for term, _ in self.occurrences(source)))

    def missing(self, source: str, translation: str) -> tuple[Term, ...]:
        """Returns the terms of the source that the translation has in no form."""
        return tuple(term for term in self.terms_in(source) if not has_form(translation, term[1]))

    def requested(self, request: Request, current: Callable[[str], str] = str) -> Request:
        """Returns a request with the terms of its source; those that it has already count more.

        Args:
            current: returns the part of a source that is translated.
        """
        terms = dict(self.terms_in(current(request.source))) | dict(request.terms)
        return replace(request, terms=terms) if terms else request


def _key(term: str) -> str:
    return " ".join(term.lower().split())


def has_form(text: str, term: str) -> bool:
    """Returns whether a text has a term with words that may end differently."""
    words = []
    for word in term.split():
        stem = word[: max(len(word) - INFLECTION + 1, min(len(word), 4))]
        words.append(rf"{re.escape(stem)}\w{{0,{len(word) - len(stem) + INFLECTION}}}")
    pattern = r"\s+".join(words)
    return re.search(_WHOLE % pattern if _has_spaces(term) else pattern, text, re.IGNORECASE) is not None


def _has_spaces(term: str) -> bool:
    """Returns whether a term is in a script with spaces between words, where it is found as whole words."""
    return not any(_UNSPACED.match(letter) for letter in (term[:1], term[-1:]))
