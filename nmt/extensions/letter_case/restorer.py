"""Lines in capitals and titles: they are translated as ordinary text, and their translation is written as they are.

A vocabulary that was learned from ordinary text has no pieces for words in capitals, so a model can't read them. The
ordinary form of a word is the one that the vocabulary finds likeliest, as in truecasing (Lita et al. 2003).
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from nmt.data.vocabulary.base import Vocabulary
from nmt.recipe.schema import DecodingOptions
from nmt.translation.loaded import LoadedModel
from nmt.translation.patterns import PLACEHOLDER, URL
from nmt.translation.request import Request
from nmt.translation.results import Translation

MIN_TITLE_WORDS = 3
"""Fewest words of a title: shorter lines in which each word begins with a capital are often names."""
TITLE_CASE = frozenset({"en"})
"""Languages whose titles have a capital at the beginning of each word; others have titles like ordinary text."""
_KEPT = re.compile(rf"{PLACEHOLDER} | {URL} | `", re.VERBOSE)
"""Text whose letters must stay as they are."""
_WORD = re.compile(r"[^\W\d_]+")
_BEGIN = re.compile(r"(?<!\S)([^\w\s]*)(\w)")
_END, _QUOTES = ".!?…:", " \t\"'„“”»«‹›()[]-–"

Key = tuple[int, int, float]


def _lower(text: str) -> str:
    """Returns a text in lower case, but for İ, the one letter whose lower case ends in a mark, which divides a word."""
    return "İ".join(part.lower() for part in text.split("İ"))  # not letter by letter: Σ depends on its neighbours


def _upper(text: str) -> str:
    """Returns a text in capitals, but for letters such as ΐ, whose capitals contain marks, which divide a word."""
    return "".join(letter.upper() if letter.upper().isalpha() else letter for letter in text)


def as_title(text: str) -> str:
    """Returns a text with a capital at the beginning of each word."""
    return _BEGIN.sub(lambda match: match[1] + _upper(match[2]), text)


class CaseRestorer:
    """Changes lines in capitals and titles to ordinary text, and writes their translations as the lines are written."""

    def __init__(self, vocabulary: Vocabulary, target: str, has_labels: bool = False) -> None:
        self._vocabulary, self._has_labels = vocabulary, has_labels
        self._as_title: Callable[[str], str] = as_title if target.lower() in TITLE_CASE else str
        self._scores: dict[str, float] = getattr(vocabulary, "scores", dict)()
        self._key = lru_cache(1 << 16)(self._compute_key)

    def changed(self, request: Request) -> Request:
        """Returns a request with an ordinary source; the same one if its source is, or has code, or for constraints."""
        begin, style = self._style(request.source)
        if style is None or request.prefix or request.must_contain or _KEPT.search(request.source):
            return request
        word = self._word_of_capitals if style is _upper else self._word_of_title
        return replace(request, source=request.source[:begin] + _WORD.sub(word, request.source[begin:]))

    def restored(self, request: Request, translation: Translation) -> Translation:
        """Returns the translation of :meth:`changed` as the translation of the request."""
        style = self._style(request.source)[1] if translation.source != request.source else None
        if style is None:
            return translation
        if self._has_labels:  # which are written as in the vocabulary
            return replace(translation, source=request.source)
        n_best = [replace(candidate, text=style(candidate.text)) for candidate in translation.n_best]
        return replace(translation, source=request.source, text=style(translation.text), n_best=n_best)

    def _style(self, line: str) -> tuple[int, Callable[[str], str] | None]:
        """Returns the end of the tags, and a function that restores the case of the line; None for an ordinary line."""
        begin = self._vocabulary.after_tags(line)
        if line[begin:].isupper():
            return begin, _upper
        words = _WORD.findall(line[begin:])
        is_title = len(words) >= MIN_TITLE_WORDS and all(word[0].isupper() for word in words)
        return begin, self._as_title if is_title else None

    def _word_of_capitals(self, match: re.Match[str]) -> str:
        """Returns the likeliest form of a word; at the beginning of a sentence, of those with a capital."""
        word = match[0]
        # The capitals of ß are SS.
        lower = dict.fromkeys((_lower(word), _lower(word).replace("ss", "ß"), _lower(word).replace("ss", "ß", 1)))
        titles = [_upper(form[:1]) + form[1:] for form in lower]
        is_alone = len(word) == len(match.string.strip(_END + _QUOTES))
        return min([*([] if _begins(match) and not is_alone else lower), *titles, word], key=self._key)

    def _word_of_title(self, match: re.Match[str]) -> str:
        """Returns the lower-case form of a word if it is as likely; other words are names, or German nouns."""
        word, lower = match[0], _lower(match[0])
        is_ordinary = not self._key(lower)[0] and self._key(lower) <= self._key(word)
        return lower if is_ordinary and not _begins(match) else word

    def _compute_key(self, word: str) -> Key:
        """Returns unknown pieces, pieces and minus the log-probability of a word: the likeliest word has the least."""
        ids = self._vocabulary.encode(word)
        score = sum(self._scores.get(self._vocabulary.token(i), 0.0) for i in ids)
        return ids.count(self._vocabulary.unk), len(ids), -score


def _begins(match: re.Match[str]) -> bool:
    before = match.string[max(match.start() - 8, 0) : match.start()].rstrip(_QUOTES)
    return not before or before[-1] in _END


def case_restorer(translator: LoadedModel, options: DecodingOptions) -> CaseRestorer | None:
    """Returns what translates lines in capitals and titles as ordinary text, unless the options turn it off."""
    return translator.attached(_restorer_of) if options.restore_case else None


def _restorer_of(translator: LoadedModel) -> CaseRestorer:
    return CaseRestorer(translator.vocabularies.source, translator.recipe.data.target, translator.task.has_labels)
