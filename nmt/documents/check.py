"""Check of translations against their sources: what must stay the same but doesn't, and degenerate output."""

import re
import unicodedata
from collections import Counter
from typing import Any

from nmt.documents.tags import PLACEHOLDER, URL
from nmt.metrics.degenerate import degenerate

_EXACT = {
    "urls": re.compile(URL + r"|[\w.+-]{1,64}@[\w-]+\.\w[\w.-]*\w"),
    "tags": re.compile(r"</?[A-Za-z][^<>]*>"),
    "placeholders": re.compile(PLACEHOLDER, re.VERBOSE),
}
"""Patterns of text that a translation has letter by letter, in the order in which it is sought."""
_NUMBER = re.compile(r"\d+(?:[.,:/\u00a0\u202f]\d+)*")
MAX_FOREIGN = 0.2
"""Share of the letters up to which a script is foreign: text about programs has many letters of the source's."""
_SCRIPTS = {
    "HIRAGANA": "CJK",
    "KATAKANA": "CJK",
    "KATAKANA-HIRAGANA": "CJK",
    "IDEOGRAPHIC": "CJK",
    "FULLWIDTH": "LATIN",
}
"""Scripts that are mixed with another one."""


def problems(source: str, translation: str) -> dict[str, Any]:
    """Returns what is wrong with a translation; nothing if no defect is found.

    Args:
        source: the source sentence.
        translation: its translation.

    Returns:
        For ``urls``, ``tags``, ``placeholders`` and ``numbers`` that differ, the ``lost`` and the ``added`` ones;
        under ``script``, the letters of a script that the source doesn't have and the translation hardly; under
        ``degenerate``, the kind of :func:`nmt.metrics.degenerate.degenerate`. The separators of numbers may differ.
    """
    found: dict[str, Any] = {}
    left = [source, translation]
    for name, pattern in _EXACT.items():
        _compare(found, name, *(Counter(pattern.findall(text)) for text in left))
        left = [pattern.sub(" ", text) for text in left]
    _compare(
        found,
        "numbers",
        *(Counter("".join(str(int(c)) for c in n if c.isdecimal()) for n in _NUMBER.findall(text)) for text in left),
    )
    if letters := _foreign_letters(*left):
        found["script"] = letters
    if kind := degenerate(translation, source):
        found["degenerate"] = kind
    return found


def _compare(found: dict[str, Any], name: str, wanted: Counter[str], given: Counter[str]) -> None:
    if wanted != given:
        found[name] = {"lost": sorted((wanted - given).elements()), "added": sorted((given - wanted).elements())}


def _foreign_letters(source: str, translation: str) -> str:
    scripts = [(letter, _script(letter)) for letter in translation if letter.isalpha()]
    counts = Counter(script for _, script in scripts)
    expected = {_script(letter) for letter in source if letter.isalpha()}
    expected.update(script for script, count in counts.items() if count > MAX_FOREIGN * len(scripts))
    return "".join(letter for letter, script in scripts if script not in expected)


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").partition(" ")[0]
    return _SCRIPTS.get(name, name)
