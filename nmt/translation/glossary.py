"""Terms of a glossary: which ones a sentence has, and whether its translation has theirs."""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from unicodedata import category

from nmt.core.errors import UserError, shortened
from nmt.core.text import INVISIBLE, UNSPACED, read_lines
from nmt.translation.request import Request

Term = tuple[str, str]
"""A term in the source, and its translation."""

MAX_TERMS = 20_000
INFLECTION = 3
"""Letters at the end of a word that inflection may add or change."""
_UNSPACED = re.compile(f"[{UNSPACED}]")


class Glossary:
    """Terms and their translations. Upper and lower case are the same; of overlapping terms the longest counts."""

    def __init__(self, terms: Mapping[str, str]) -> None:
        # From the end, so that the first of those that differ in case counts.
        texts = ((each.translate(INVISIBLE), terms[each]) for each in reversed(list(terms)))
        self._terms = {_key(source): (source, target) for source, target in texts if _key(source) and target.strip()}
        self._folded = {"".join(map(_folded, " ".join(term[0].split()))): term for term in self._terms.values()}
        self._keys, self._longest = ["", *sorted(self._folded)], max(map(len, self._folded), default=0)
        self._initials = {key[:1] for key in self._keys}, {key[:1] for key in self._keys if not _has_spaces(key)}
        self._shorter, last = dict[str, str](), ""  # the longest other key that each begins with
        for key in self._keys:
            while not key.startswith(last):
                last = self._shorter[last]
            self._shorter[key], last = last, key

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
        # A pattern of all terms would try each at each place, for minutes, while other threads wait.
        places = [match.start() for match in re.finditer(r"\s+|\S|\Z", source if self._folded else "")]
        text, found, end = "".join(_folded(source[place]) for place in places[:-1]), {}, 0
        is_word = [False]  # of the letter before each place; marks, such as vowel signs, belong to the letter before
        for letter in f"{text} ":
            is_word.append(letter.isalnum() or letter == "_" or (is_word[-1] and category(letter).startswith("M")))
        for begin, letter in enumerate(text):
            if begin < end or letter not in self._initials[is_word[begin]]:  # of words or within them
                continue
            key = self._keys[bisect_right(self._keys, text[begin : begin + self._longest]) - 1]
            while key and not (
                text.startswith(key, begin)
                and not (is_word[begin] | is_word[begin + len(key) + 1] and _has_spaces(key))
            ):
                key = self._shorter[key]
            if key:
                end = begin + len(key)
                found[places[begin], places[end]] = key
        # Some terms, such as ılık and ilik, differ in more than case.
        return [(self._terms.get(_key(source[slice(*at)])) or self._folded[key], at) for at, key in found.items()]

    def terms_in(self, source: str) -> list[Term]:
        """Returns the terms of a sentence, in order, each once."""
        return list(dict.fromkeys(term for term, _ in self.occurrences(source)))

    def missing(self, source: str, translation: str) -> tuple[Term, ...]:
        """Returns the terms of the source that the translation has in no form."""
        return tuple(term for term in self.terms_in(source) if not forms_in(translation, term[1]))

    def requested(self, request: Request, current: Callable[[str], str] = str) -> Request:
        """Returns a request with the terms of its source; those that it has already count more.

        Args:
            current: returns the part of a source that is translated.
        """
        terms = dict(self.terms_in(current(request.source))) | dict(request.terms)
        return replace(request, terms=terms) if terms else request


def _key(term: str) -> str:
    return " ".join(term.lower().split())


@lru_cache(10_000)
def _folded(letter: str) -> str:
    """Returns the same for all that patterns take for the same letter, such as s, S and ſ."""
    upper = letter.upper()
    return " " if letter.isspace() else (upper if len(upper) == 1 else letter).lower()[0]


def forms_in(text: str, term: str) -> list[tuple[int, int]]:
    """Returns the characters ``text[begin:end]`` of each occurrence of a term, whose words may end differently."""
    words = []
    for word in term.split():
        stem = word[: max(len(word) - INFLECTION + 1, min(len(word), 4))]
        words.append(rf"{re.escape(stem)}\w{{0,{len(word) - len(stem) + INFLECTION}}}")
    pattern = r"\s+".join(words)
    pattern = rf"(?<!\w){pattern}(?!\w)" if _has_spaces(term) else pattern
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]


def _has_spaces(term: str) -> bool:
    """Returns whether a term is in a script with spaces between words, where it is found as whole words."""
    return not any(_UNSPACED.match(letter) for letter in (term[:1], term[-1:]))
