"""The languages of a text: those that its names tell, compared with those of its lines."""

import re
from collections.abc import Iterable

from nmt.autotrain.texts import Texts
from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.translation.languages import DETECTED_AS, language_identifier, name_of

NUM_READ = 400
"""Lines of a side by which its language and its script are found."""
MIN_LETTERS = 200
"""Fewest letters by which a language is identified."""
CERTAIN = 0.9
"""Least probability of an identified language."""
NO_LANGUAGE = "zxx"
"""Code of py3langid (ISO 639-2) for text that isn't in a language."""
MAX_COPIED = 0.5
"""Largest share of pairs whose sides are equal."""


def check_languages(texts: Texts) -> tuple[str, str]:
    """Returns the languages of a text: those that its names tell, or that are identified, or ``source`` and ``target``.

    Raises:
        UserError: the sides are swapped, or most translations are copies of their sources.
    """
    pairs = texts.train
    copied = sum(source == target and bool(source.strip()) for source, target in pairs) / len(pairs)
    if copied > MAX_COPIED:
        raise UserError(
            f"{copied:.0%} of the lines of {texts.names[1]} are the same as in {texts.names[0]}.",
            "Give the translations: a model of this text would only copy.",
        )
    found = [identified(side) for side in zip(*pairs[:: max(1, len(pairs) // NUM_READ)], strict=True)]
    told = texts.languages
    if found[0] is not None and found[0] == found[1]:
        warn(f"both sides seem to be {name_of(found[0])}. If that is wrong, check {' and '.join(texts.names)}.")
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
        warn("the languages can't be told, so they are called source and target. Name them, for example with "
             "--set data.source=de --set data.target=en.")  # fmt: skip
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
    return str(code) if probability >= CERTAIN and code != NO_LANGUAGE else None
