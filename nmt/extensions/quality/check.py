"""Check of translations against their sources: text that must stay the same, degenerate output, omissions, additions.

Omissions and additions are found in one pass of forced decoding. A source word is uncovered if its attention, summed
over the target words, is nearly 0 (the coverage of Tu et al. 2016). With a lexicon, that is not said of words whose
usual translation is there, or that have none, such as auxiliary verbs. A target word is unsupported if, in
its place, the model prefers another token by far: search chooses such a word only if something else than the model
demands it, and after an omission or addition the model does not expect the words that follow.
"""

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nmt.alignment.lexicon import EDGES, Lexicon
from nmt.alignment.links import WordAlignment
from nmt.data.dialogue import TAB
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.words import Words
from nmt.extensions.quality.unknown_text import unknown_characters
from nmt.metrics.degenerate import degenerate
from nmt.recipe.registry import Table
from nmt.translation.glossary import Glossary, forms_in
from nmt.translation.patterns import PLACEHOLDER, URL, script
from nmt.translation.results import Translation

_EXACT = {
    "code": re.compile(r"``[^`\n]+``|(?<![`:\w])`[^`\s]+`(?![`_])"),
    "urls": re.compile(URL + r"|[\w.+-]{1,64}@[\w-]+\.\w[\w.-]*\w"),
    "tags": re.compile(r"</?[A-Za-z][^<>]*>"),
    "placeholders": re.compile(PLACEHOLDER, re.VERBOSE),
}
"""Patterns of text that a translation has letter by letter, in the order in which it is sought."""
_MAY_BE_EXACT = re.compile(r"[`<{%@]|//|www")
"""Is in every text that one of the patterns matches; most sentences have none."""
_MARKED = re.compile(r"`[^`]*`")
_WORD = re.compile(r"\w+")
_LATIN = re.compile(r"[A-Za-z]")
_END = ".!?…।؟።։"
_SENTENCE_END = re.compile(
    rf"""(?<![{_END}]{{2}})(?<!\w\.\w)(?<!\b\d)(?<!\b\d\d)[{_END}]++["»”’')\]]*+(?=\s+[^\sa-zà-öø-ÿ]|\s*$)|[。！？]+"""
)
"""Marks that end a sentence: no lower-case letter follows, and no day of a month or initials are before. In a row of
marks the search begins at the first two only, since from the others it would end alike."""
_NUMBER = re.compile(r"\d+(?:[.,:/\u00a0\u202f]\d+)*")
LEAST_COVERAGE = 0.08
"""Coverage below which a source word is uncovered; chosen on validation text of Multi30k."""
USUAL = 0.1
"""A target word is a usual translation from this probability in the lexicon upwards; chosen on the embedded corpus."""
OWN = 0.25
"""A source word without a translation of this probability in the lexicon has none of its own; chosen likewise."""
LEAST_MARGIN = -1.5
"""Margin below which a word is unsupported (a token 4.5 times as likely was possible); chosen likewise."""
WORD_PROBLEMS = ("uncovered", "unsupported")
MIN_LETTERS = 4
"""Shorter source words often have no translation of their own, such as particles."""
END = "</s>"
"""Stands among the unsupported words for the end of the sentence."""
MAX_FOREIGN = 0.2
"""Share of the letters of new words up to which a script is foreign: text about programs has many of the source's."""


class Check(ABC):
    """Finds further problems of translations; ``nmt translate --check-with NAME`` adds it to the check.

    It is made without arguments before the search, and so refuses what it can't work with.
    """

    @abstractmethod
    def __call__(self, sources: Sequence[str], translations: Sequence[str]) -> list[Mapping[str, Any]]:
        """Returns the problems of each translation by name, each as a list; an empty mapping if there are none."""


CHECKS: Table[Check] = Table("check", Check, {})


def problems(source: str, translation: str) -> dict[str, Any]:
    """Returns the defects of a translation; an empty result if there are none.

    Returns:
        For ``code`` (between backticks, as in reStructuredText and Markdown), ``urls``, ``tags``, ``placeholders`` and
        ``numbers`` that differ, the ``lost`` and the ``added`` ones; under ``script``, the letters of a script that the
        source doesn't have and the translation hardly; under ``sentences``, how many sentences fewer the translation
        has; under ``degenerate``, the kind of
        :func:`nmt.metrics.degenerate.degenerate`. The separators of numbers may differ.
    """
    found: dict[str, Any] = {}
    left = [source, translation]
    for name, pattern in _EXACT.items() if any(map(_MAY_BE_EXACT.search, left)) else ():
        if any(texts := [pattern.findall(text) for text in left]):
            _compare(found, name, *map(Counter, texts))
            left = [pattern.sub(" ", text) for text in left]
    if any(numbers := [[*map(_digits, _NUMBER.findall(text))] for text in left]):
        _compare(found, "numbers", *map(Counter, numbers))
    if letters := _foreign_letters(*(_MARKED.sub(" ", text) for text in left)):
        found["script"] = letters
    if (lost := len(sentences(source)) - max(1, len(sentences(translation)))) > 0 and TAB not in source:
        found["sentences"] = lost
    if kind := degenerate(translation, source):
        found["degenerate"] = kind
    return found


def word_problems(
    alignment: WordAlignment, translation: Translation, lexicon: Lexicon | None, vocabulary: Vocabulary | None
) -> dict[str, list[str]]:
    """Returns omissions and additions; nothing if no defect is found, as for the words of terms of the request.

    Args:
        alignment: of source and translation, with margins.
        vocabulary: of the target; text that it lacks is no word of the model, but copied from the source.

    Returns:
        Under ``uncovered`` source words that no target word translates, and under ``unsupported`` target words in whose
        place the model prefers others, :data:`END` among them.
    """
    found: dict[str, list[str]] = {}
    if alignment.margins is None or not alignment.target:  # too long for the model
        return found
    words = [EDGES.sub(r"\1", word) for word in alignment.source]
    coverage_S = alignment.weights.sum(axis=0)  # 0 for tags and what was cut
    missing_S = (coverage_S > 0) & (coverage_S < LEAST_COVERAGE)
    of_terms_S, of_terms_T = _words_of_terms(translation)
    missing = (words[s] for s in np.flatnonzero(missing_S) if s not in of_terms_S)
    uncovered = [word for word in missing if len(word) >= MIN_LETTERS and word.isalpha()]
    if lexicon is not None:
        uncovered = [word for word in uncovered if _lacks_translation(word, alignment.target, lexicon)]
    if uncovered and not alignment.turns:
        found["uncovered"] = uncovered
    known = {word for word in translation.source.split() if any(letter.isdecimal() for letter in word)}
    if vocabulary is not None:
        known.update(word for word in alignment.target if unknown_characters(vocabulary, word)[0])
    doubtful = [t for t, margin in enumerate(alignment.margins) if margin < LEAST_MARGIN and t not in of_terms_T]
    if unsupported := [word for t in doubtful if (word := [*alignment.target, END][t]) not in known]:
        found["unsupported"] = unsupported
    return found


def _words_of_terms(translation: Translation) -> tuple[set[int], set[int]]:
    """Returns the numbers of the words of both sides that belong to a term which the translation has."""
    terms = Glossary(translation.terms).occurrences(translation.source)
    found = [(span, places) for (_, term), span in terms if (places := forms_in(translation.text, term))]
    of_source = _words_at([span for span, _ in found], translation.source)
    return of_source, _words_at([place for _, places in found for place in places], translation.text)


def _words_at(spans: Sequence[tuple[int, int]], text: str) -> set[int]:
    words = enumerate(Words.split(text).spans)
    return {word for word, (begin, end) in words for first, last in spans if begin < last and first < end}


def sentences(text: str) -> list[str]:
    """Returns the sentences of a text, divided at the marks that end them."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    parts = (text[begin:end].strip() for begin, end in pairwise([0, *ends, len(text)]))
    return [part for part in parts if _WORD.search(part)]


def _lacks_translation(word: str, target: Sequence[str], lexicon: Lexicon) -> bool:
    """Returns whether a word has a translation of its own in the lexicon, and none of its translations is there."""
    usual = lexicon.translations(word, 1)
    if not usual:  # the lexicon doesn't know it
        return True
    return bool(lexicon.probability([word], usual)[0, 0] >= OWN and lexicon.probability([word], target).max() < USUAL)


def lost_texts(source: str, found: Mapping[str, Any]) -> list[str]:
    """Returns the numbers, code, URLs, tags and placeholders that a translation has lost, as the source has them."""
    texts = [text for name in _EXACT if name in found for text in found[name]["lost"]]
    left = list(found.get("numbers", {}).get("lost", ()))
    for number in _NUMBER.findall(source):
        if (digits := _digits(number)) in left:
            left.remove(digits)
            texts.append(number)
    return texts


def severity(found: Mapping[str, Any]) -> tuple[int, int]:
    """Returns the number of problems of the text, which counts more, and that of uncovered and unsupported words."""
    of_words = sum(len(found.get(name, ())) for name in WORD_PROBLEMS)
    texts = (value for name, value in found.items() if name not in WORD_PROBLEMS)
    counts = (sum(map(len, each.values())) if isinstance(each, dict) else 1 for each in texts)
    return sum(counts) + max(0, found.get("sentences", 0) - 1), of_words


def merged(checks: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Returns the problems of several parts of a translation as those of the whole; None if any was not checked."""
    whole: dict[str, Any] = {}
    for found in checks:
        if found is None:
            return None
        for name, value in found.items():
            before = whole.get(name)
            if isinstance(value, dict):
                whole[name] = {key: [*(before or {}).get(key, []), *items] for key, items in value.items()}
            else:
                whole[name] = value if before is None or name == "degenerate" else before + value
    return whole


def _compare(found: dict[str, Any], name: str, wanted: Counter[str], given: Counter[str]) -> None:
    if wanted != given:
        found[name] = {"lost": sorted((wanted - given).elements()), "added": sorted((given - wanted).elements())}


def _digits(number: str) -> str:
    return "".join(str(int(c)) for c in number if c.isdecimal())


def _foreign_letters(source: str, translation: str) -> str:
    if translation.isascii() and _LATIN.search(source):
        return ""
    known = set(_WORD.findall(source))
    # Code that is kept says nothing of a script.
    words = [word for word in _WORD.findall(translation) if word not in known]
    letters = [letter for word in words for letter in word if letter.isalpha()]
    counts = Counter(map(script, letters))
    expected = {script(letter) for letter in set(source) if letter.isalpha()}
    expected.update(name for name, count in counts.items() if count > MAX_FOREIGN * len(letters))
    if expected.issuperset(counts):
        return ""
    return "".join(letter for letter in letters if script(letter) not in expected)
