"""Patterns of text that translations keep as it is, the scripts of letters, and sentences side by side."""

from collections.abc import Iterable
from functools import lru_cache
from unicodedata import east_asian_width, name

URL = r"""(?:(?:https?|ftp)://|www\.)[^\s<>"']*[^\s<>"'.,;:!?()\[\]{}«»“”]"""
"""Pattern of web addresses, without the punctuation at their end."""

PLACEHOLDER = r"""\{\{[^{}\n]{1,60}\}\} | \$?\{[^{}\n]{0,60}\} | %\([^()\n]{1,60}\)[a-z] | (?<!%)%%(?!%)
    | %(?:\d{1,9}\$)?[-+\#0]{0,5}\d{0,9}(?:\.\d{1,9})?l{0,2}[sdifuxXeEgGcr@](?!\w)"""
"""Pattern (verbose) of placeholders: ``{name}``, ``%(name)s``, ``%1$s``."""

_SCRIPTS = dict.fromkeys(("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "IDEOGRAPHIC"), "CJK")


@lru_cache(1 << 14)
def script(letter: str) -> str:
    """Returns the script of a letter by its Unicode name; Chinese and kana are one, as Japanese mixes them."""
    first = name(letter, "").partition(" ")[0]
    return _SCRIPTS.get(first, "LATIN" if first == "FULLWIDTH" else first)


def ends_narrow(text: str) -> bool:
    """Returns whether the text has a space behind it: not after Chinese and Japanese (⺀…), but after emojis (🀀…)."""
    c = text.rstrip("\"'”’…—)")[-1:] or "x"  # the letter or mark before these, which all scripts have
    return east_asian_width(c) not in "WF" or c < "⺀" or "🀀" <= c < "𠀀" or script(c) == "HANGUL"


def side_by_side(sentences: Iterable[str]) -> str:
    """Returns sentences as one text, with spaces between them if their script has any."""
    text = ""
    for sentence in sentences:
        text += " " * (bool(text and sentence) and ends_narrow(text)) + sentence
    return text
