"""What is wrong with a text: languages, copies, and pairs that are no translations beyond doubt."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import log
from statistics import median

from nmt.autotrain.texts import Pairs, Texts
from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.translation.languages import DETECTED_AS, language_identifier, name_of

NUM_READ = 400
"""Lines of a side by which its language is identified."""
MIN_LETTERS = 200
"""Fewest letters by which a language is identified."""
CERTAIN = 0.9
"""Least probability of an identified language."""
MAX_COPIED = 0.5
"""Largest share of pairs whose sides are equal."""
MAX_RATIO, MIN_CHARACTERS = 6.0, 25
"""How far the ratio of lengths of a pair may be from that of the text, and the fewest characters of the longer side."""
MAIN_SCRIPT, MIN_SCRIPT = 0.9, 10
"""Least share of a side's letters in its script, and the fewest letters of a line that has none of it."""
COPY_WORDS = 3
"""Fewest words of a pair that is dropped because its sides are equal: names and codes often stay as they are."""


def check_languages(texts: Texts) -> tuple[str, str]:
    """Returns the languages of a text: those that its names tell, or that are identified, or ``source`` and ``target``.

    Raises:
        UserError: the sides are swapped, or most translations are copies of their sources.
    """
    pairs = texts.train
    copied = sum(source == target for source, target in pairs) / len(pairs)
    if copied > MAX_COPIED:
        raise UserError(
            f"{copied:.0%} of the lines of {texts.names[1]} are the same as in {texts.names[0]}.",
            "Give the translations: a model of this text would only copy.",
        )
    found = [identified(side) for side in zip(*pairs[:: max(1, len(pairs) // NUM_READ)], strict=True)]
    told = texts.languages
    if found[0] is not None and found[0] == found[1]:
        warn(
            f"both sides seem to be {name_of(found[0])}. If that is wrong, check {texts.names[0]} and {texts.names[1]}."
        )
    elif told and all(found) and _short(told) == (found[1], found[0]):
        raise UserError(
            f"{texts.names[0]} seems to be {name_of(told[1])}, and {texts.names[1]} {name_of(told[0])}.",
            "Give the files in the other order, or rename them.",
        )
    elif told:
        for own, other, name in zip(_short(told), found, texts.names, strict=True):
            if other is not None and own != other and own in language_identifier().labels:
                warn(f"{name} seems to be {name_of(other)}, not {name_of(own)}.")
    if told:
        return told
    if None in found or found[0] == found[1]:
        warn(
            "the languages can't be told, so that they are called source and target. Name them: --set data.source=de …"
        )
        return "source", "target"
    return str(found[0]), str(found[1])


def _short(languages: Iterable[str]) -> tuple[str, ...]:
    codes = (re.split("[-_]", code.lower())[0] for code in languages)
    return tuple(DETECTED_AS.get(code, code) for code in codes)


def identified(lines: Iterable[str]) -> str | None:
    """Returns the code of the language of a text; None if it is not certain."""
    text = " ".join(lines)
    if sum(map(str.isalpha, text)) < MIN_LETTERS:
        return None
    code, probability = language_identifier().classify(text)
    return str(code) if probability >= CERTAIN else None


def without_errors(pairs: Pairs) -> tuple[Pairs, Counter[str]]:
    """Returns the pairs that may be translations, and the number of others by their reason."""
    scripts = [_main_script(side) for side in zip(*pairs, strict=True)]
    ratio = median(_log_ratio(pair) for pair in pairs)
    dropped: Counter[str] = Counter()
    kept = []
    for pair in pairs:
        if reason := _error(pair, scripts, ratio):
            dropped[reason] += 1
        else:
            kept.append(pair)
    return kept, dropped


def _error(pair: tuple[str, str], scripts: Sequence[str | None], ratio: float) -> str:
    source, target = pair
    if not source.strip() or not target.strip():
        return "empty"
    if source == target and len(source.split()) >= COPY_WORDS:
        return "identical"
    if max(map(len, pair)) >= MIN_CHARACTERS and abs(_log_ratio(pair) - ratio) > log(MAX_RATIO):
        return "lengths that don't fit"
    for text, script in zip(pair, scripts, strict=True):
        if script is not None and script not in (counts := _scripts(text)) and counts.total() >= MIN_SCRIPT:
            return "another script"
    return ""


def _log_ratio(pair: tuple[str, str]) -> float:
    return log((len(pair[1]) + 1) / (len(pair[0]) + 1))


def _main_script(lines: Sequence[str]) -> str | None:
    """Returns the script that nearly all letters of a side have; None if there is none."""
    counts = _scripts(" ".join(lines[:: max(1, len(lines) // NUM_READ)]))
    script, count = counts.most_common(1)[0] if counts else ("", 0)
    return script if count > MAIN_SCRIPT * counts.total() else None


def _scripts(text: str) -> Counter[str]:
    """Counts the letters of each script."""
    return Counter(script for character in text if (script := _script(character)))


@lru_cache(65_536)
def _script(character: str) -> str:
    """Returns the script of a letter by its Unicode name; empty for other characters."""
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else ""
