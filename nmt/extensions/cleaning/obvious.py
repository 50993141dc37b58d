"""What ``nmt train`` does to text files: it checks their languages, and drops what are no translations beyond doubt."""

from collections import Counter
from collections.abc import Sequence
from math import log
from statistics import correlation, median

from nmt.autotrain.texts import Texts
from nmt.core.console import say, warn
from nmt.core.errors import UserError, shortened
from nmt.extensions.cleaning.languages import NUM_READ, check_languages
from nmt.extensions.cleaning.text import ENTITY, MOJIBAKE
from nmt.translation.patterns import script

MAX_RATIO, MIN_CHARACTERS = 6.0, 25
"""How far the ratio of lengths of a pair may be from that of the text, and the fewest characters of the longer side."""
MAIN_SCRIPT, MIN_SCRIPT = 0.9, 10
"""Least share of a side's letters in its script, and the fewest letters of a line that has none of it."""
MIN_CORRELATION, MIN_LENGTHS = 0.55, 10  # of lists of words it is 0.6, of files that are shifted by a line below 0.55
MAX_SPOILT = 0.02  # of lines with errors of encoding, which single names and signs don't reach
COPY_WORDS = 3
"""Fewest words of a pair that is dropped because its sides are equal: names and codes often stay as they are."""


def check_text(texts: Texts, keep_all: bool) -> None:
    """Finds the languages of a text, and drops pairs that are no translations unless ``keep_all``; says how many.

    Held-out pairs that are trained on get a warning.

    Raises:
        UserError: the sides are swapped or copies, or no pair is left.
    """
    texts.languages = check_languages(texts)
    pairs = [pair for pair in texts.train[:: max(1, len(texts.train) // 10_000)] if all(map(str.strip, pair))]
    lengths = [[log(len(text)) for text in side] for side in zip(*pairs, strict=True)]
    if all(len(set(side)) > MIN_LENGTHS for side in lengths) and pairs and correlation(*lengths) < MIN_CORRELATION:
        warn("long lines stand beside short ones, as in files that are misaligned. Read some, or see nmt check-data.")
    spoilt = [text for pair in pairs for text in pair if MOJIBAKE.search(text) or ENTITY.search(text)]
    if len(spoilt) > MAX_SPOILT * 2 * len(pairs):
        warn(f"{len(spoilt) / len(pairs) / 2:.0%} of the lines have wrongly converted characters or HTML entities, as "
             f"{shortened(spoilt[0])!r}. The model would write them, too: `nmt clean` repairs most.")  # fmt: skip
    train = set(texts.train)
    for split, pairs in (("validation", texts.valid), ("test", texts.test)):
        if known := len(train.intersection(pairs)):
            warn(f"{known:,} of {len(pairs):,} pairs for {split} are in the training text, too, so their scores say "
                 "little about other text. Remove them from one of both.")  # fmt: skip
    if keep_all:
        return
    texts.train, dropped = without_errors(texts.train)
    if dropped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common())
        say(f"dropped {dropped.total():,} pairs that can't be translations: {reasons} (--keep-all keeps them)")
    if not texts.train:
        raise UserError(
            f"No pair of lines of {texts.names[0]} and {texts.names[1]} can be a translation.",
            "Check that the files have text and translate each other, or keep all pairs with --keep-all.",
        )


def without_errors(pairs: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], Counter[str]]:
    """Returns the pairs that may be translations, and the number of others by their reason."""
    scripts = [_main_script(side) for side in zip(*pairs, strict=True)]
    ratio = median(_log_ratio(pair) for pair in pairs)
    errors = [_error(pair, scripts, ratio) for pair in pairs]
    return [pair for pair, error in zip(pairs, errors, strict=True) if not error], Counter(filter(None, errors))


def _error(pair: tuple[str, str], scripts: Sequence[str | None], ratio: float) -> str:
    source, target = pair
    if not source.strip() or not target.strip():
        return "empty"
    if source == target and len(source.split()) >= COPY_WORDS:
        return "identical"
    if max(map(len, pair)) >= MIN_CHARACTERS and abs(_log_ratio(pair) - ratio) > log(MAX_RATIO):
        return "lengths that don't fit"
    for text, main in zip(pair, scripts, strict=True):
        letters = list(filter(str.isalpha, text))
        if main is not None and len(letters) >= MIN_SCRIPT and main not in map(script, letters):  # ends at the first
            return "another script"
    return ""


def _log_ratio(pair: tuple[str, str]) -> float:
    return log((len(pair[1]) + 1) / (len(pair[0]) + 1))


def _main_script(lines: Sequence[str]) -> str | None:
    """Returns the script that nearly all letters of a side have; None if there is none."""
    counts = Counter(map(script, filter(str.isalpha, " ".join(lines[:: max(1, len(lines) // NUM_READ)]))))
    main, count = counts.most_common(1)[0] if counts else ("", 0)
    return main if count > MAIN_SCRIPT * counts.total() else None
