"""Filters that decide by the text of a line or a pair."""

import html
import re
from collections import Counter
from collections.abc import Iterable
from math import nan

import numpy as np
from pydantic import Field

from nmt.core.compression import uncompressed
from nmt.core.console import warn
from nmt.core.errors import UserError, nearest
from nmt.core.text import UNSPACED
from nmt.extensions.cleaning.base import Features, Filter, FlaggedPairs, LineFilter, PairFilter
from nmt.extensions.cleaning.statistics import MIN_CHARACTERS, WORDS, CorpusStatistics, Lines
from nmt.metrics.degenerate import loops
from nmt.translation.languages import DETECTED_AS, language_identifier
from nmt.translation.patterns import script

# The second byte of a UTF-8 sequence, decoded as Latin-1 or Windows-1252.
_CONTINUATION = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_TAGS = "br|p|b|i|u|a|div|span|font|td|tr"
ENTITY = re.compile("&(?:[a-zA-Z]{2,8}|#[0-9]{1,6}|#[xX][0-9a-fA-F]{1,5});")
_MARKUP = re.compile(rf"{ENTITY.pattern}|</?(?:{_TAGS})\b[^<>]*>")
MOJIBAKE = re.compile(f"[ÃÐÑ]{_CONTINUATION}|Â[\x80-\xbf]|â(?:€|\x80){_CONTINUATION}|ï¿½|ï»¿")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad]")
# The lookbehind keeps the search linear in a line of dashes, each of which could begin an address otherwise.
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>\"]+|(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+")
_NUMBER = re.compile(r"\d+(?:[.,:\u00a0\u202f]\d+)*")
_WORD = re.compile(rf"(?:[^\W_{UNSPACED}]|['’-])+")

MAX_JUDGED = 5000
"""Characters in which repetitions are looked for: no sentence is as long."""

MIN_COPIED_WORDS = 3
"""Names, numbers and short answers may be the same on both sides."""


class InvalidUtf8(LineFilter):
    problem = "contain bytes that are not UTF-8"
    remedy = "Convert the file with `iconv -f ENCODING -t UTF-8`, or repair these lines; training refuses them."
    warning = serious = 0
    pattern = re.compile("[\udc80-\udcff]")


class Mojibake(LineFilter):
    """UTF-8 that was decoded by another encoding."""

    problem = "contain UTF-8 that was decoded by another encoding (Ã¼ for ü)"
    remedy = "Correct the wrong conversion, or revert it: `nmt clean` reverts most."
    warning, serious = 0, 0.005
    pattern = MOJIBAKE


class ReplacementCharacter(LineFilter):
    problem = "contain U+FFFD, which replaces a character that was lost"
    remedy = "Convert the original text again, or drop these lines."
    warning, serious = 0, 0.01
    pattern = re.compile("\ufffd")


class ControlCharacters(LineFilter):
    problem = "contain control characters or line separators"
    remedy = "Remove them: they become UNK or rare pieces."
    warning = 0.001
    removes = False
    pattern = CONTROL


class InvisibleCharacters(LineFilter):
    problem = "contain invisible characters (zero-width space, soft hyphen, byte-order mark)"
    remedy = "Remove them: they split words."
    warning = 0.001
    removes = False
    pattern = INVISIBLE


class Markup(LineFilter):
    problem = "contain HTML entities or tags (&amp; <br>)"
    remedy = "Unescape entities and strip tags before training."
    warning = 0.001
    removes = False

    def matches(self, line: str) -> object:
        found = _MARKUP.search(line)
        return found is not None and (found[0][0] == "<" or html.unescape(found[0]) != found[0])


class Repeats(LineFilter):
    """Lines that repeat words or characters without interruption, by :func:`nmt.metrics.degenerate.loops`."""

    problem = "repeat the same words without interruption"
    remedy = "Drop them, unless the other side does the same: a model learns to loop."
    warning, serious = 0.005, 0.1

    def matches(self, line: str) -> object:
        return loops(line[:MAX_JUDGED])


class Copies(PairFilter):
    """The same words on both sides apart from case and punctuation, at least three of them with letters."""

    problem = "contain the same text on both sides"
    remedy = "Drop them, unless they are names or titles that stay untranslated: a model learns to copy."
    warning, serious = 0.01, 0.1

    def score(self, source: str, target: str) -> float:
        words = WORDS.findall(source.casefold())
        if words != WORDS.findall(target.casefold()):
            return 0.0
        return float(sum(any(c.isalpha() for c in word) for word in words) >= MIN_COPIED_WORDS)


class WordLength(PairFilter):
    """Characters of the longest word, in scripts that write spaces between words."""

    class Options(PairFilter.Options):
        limit: float = Field(40, ge=1, description="characters of the longest word")

    problem = "contain a word of extreme length (text without spaces, encoded data)"
    remedy = "Drop them."
    warning, serious = 0.005, 0.1

    def score(self, source: str, target: str) -> float:
        line = f"{source} {target}"
        if len(max(line.split(), key=len, default="")) <= self.options.limit:
            return 0.0
        return float(max(map(len, _WORD.findall(_ADDRESS.sub(" ", line))), default=0))


class Numbers(PairFilter):
    """Fraction of the numbers of a pair that only one side has; shorter ones may be spelled out."""

    class Options(PairFilter.Options):
        limit: float = Field(0.5, ge=0, description="fraction of the numbers of a pair that only one side has")
        digits: int = Field(3, ge=1, description="digits from which a number counts")

    problem = "contain numbers that differ"
    remedy = "Read some: dates and units may be converted; otherwise the pair is misaligned."
    warning, serious = 0.05, 0.5

    def score(self, source: str, target: str) -> float:
        one, other = (self._numbers(line) for line in (source, target))
        return len(one ^ other) / len(one | other) if one != other else 0.0

    def _numbers(self, line: str) -> set[str]:
        digits = ("".join(str(int(c)) for c in number if c.isdecimal()) for number in _NUMBER.findall(line))
        return {number for number in digits if len(number) >= self.options.digits}


class Addresses(PairFilter):
    problem = "contain web or e-mail addresses that differ"
    remedy = "Drop them: the pair is misaligned, or a model learns to invent addresses."
    warning, serious = 0.01, 0.1

    def score(self, source: str, target: str) -> float:
        one, other = ({found.rstrip(".,;:!?)") for found in _ADDRESS.findall(line)} for line in (source, target))
        return float(one != other)


class Language(Filter):
    """Probability that a line is in another language than its file's name says (``train.de``), by py3langid.

    Short lines are not judged, nor a side of which most lines look like another language: those two are similar.
    """

    class Options(Filter.Options):
        limit: float = Field(0.8, ge=0.5, lt=1, description="probability of another language")
        source: str | None = Field(None, description="code of the source language (null: by the file's name)")
        target: str | None = Field(None, description="code of the target language (null: by the file's name)")

    problem = "are in another language"
    remedy = "Drop them."
    warning, serious = 0.01, 0.1
    checks = False

    def prepare(self, statistics: CorpusStatistics) -> None:
        self._codes: list[str | None] = [None, None]
        self._identifier = language_identifier()
        for index, given in enumerate((self.options.source, self.options.target)):
            name = statistics.sides[index].name
            code = given or uncompressed(name).name.rpartition(".")[2].lower()
            code = DETECTED_AS.get(code, code)
            if code in self._identifier.labels:
                self._codes[index] = code
            elif given:
                raise UserError(f"language: py3langid doesn't know {given!r}.", nearest(given, self._identifier.labels))
            else:
                warn(f"the name {name} doesn't end in the code of a language, so that none is expected in it.")

    def read(self, start: int, lines: Lines) -> Features:
        num_pairs = min(map(len, lines))
        sides = zip(lines, self._codes, strict=True)
        return np.array(
            [[self._foreignness(line, code) for line in side[:num_pairs]] for side, code in sides], np.float32
        )

    def _foreignness(self, line: str, code: str | None) -> float:
        if code is None or len(line) < MIN_CHARACTERS:
            return nan
        found, probability = self._identifier.classify(line)
        return float(probability) if found != code else 0.0

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        for side, scores in enumerate(self.features):
            judged = ~np.isnan(scores)
            if judged.any() and np.mean(scores[judged] > self.options.limit) < 0.5:
                yield FlaggedPairs.above(scores, self.options.limit, side)


class ForeignScript(PairFilter):
    """Fraction of the letters of a line in scripts that are rare on its side of the corpus."""

    class Options(PairFilter.Options):
        limit: float = Field(0.3, ge=0, lt=1, description="fraction of a line's letters in foreign scripts")
        rare: float = Field(0.1, gt=0, lt=1, description="fraction of a side's letters below which a script is foreign")

    problem = "contain text in a script that is rare on its side"
    remedy = "Read them, and drop those that are in another language."
    warning, serious = 0.005, 0.1

    def prepare(self, statistics: CorpusStatistics) -> None:
        self._foreign: list[re.Pattern[str] | None] = []
        for side in statistics.sides:
            scripts, sizes = {c: script(c) for c in side.characters if c.isalpha()}, Counter[str]()
            for character, name in scripts.items():
                sizes[name] += side.characters[character]
            rare = {name for name, size in sizes.items() if size < self.options.rare * sizes.total()}
            foreign = "".join(re.escape(c) for c, name in scripts.items() if name in rare)
            self._foreign.append(re.compile(f"[{foreign}]") if foreign else None)

    def score(self, source: str, target: str) -> float:
        worst = 0.0
        for line, foreign in zip((source, target), self._foreign, strict=True):
            if foreign is not None and (num_foreign := len(foreign.findall(line))):
                worst = max(worst, num_foreign / sum(map(str.isalpha, line)))
        return worst
