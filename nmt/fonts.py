"""Words as a plot can show them: what is invisible made visible, and fonts that have the characters.

Matplotlib 3.11 shapes text and orders right-to-left words itself; older versions draw every letter from
left to right, which :func:`font_families` says once.
"""

import logging
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from matplotlib import font_manager, ft2font, get_cachedir

logger = logging.getLogger(__name__)

BASE_FAMILY = "DejaVu Sans"  # comes with matplotlib
MAX_WORD_LENGTH = 42
EMPTY_WORD = "∅"
VISIBLE_SPACE = "␣"
DOTTED_CIRCLE = "◌"

# Joiners and variation selectors mean something inside a word (Persian, Indic scripts, emoji) and have no
# glyph of their own.
_JOINERS = frozenset("\u200c\u200d" + "".join(map(chr, range(0xFE00, 0xFE10))))

# Families whose names promise letters and whose glyphs are something else.
_NOT_FOR_TEXT = ("Last Resort", "STIXSize", "STIXNonUnicode", "DejaVu Sans Display", "DejaVu Serif Display")
_TEX_FAMILIES = frozenset({"cmb10", "cmex10", "cmmi10", "cmr10", "cmss10", "cmsy10", "cmtt10", "cmti10"})

# First word of a character's Unicode name -> script, where they differ.
_SCRIPTS = {
    "CJK": "CJK",
    "HIRAGANA": "CJK",
    "KATAKANA": "CJK",
    "KATAKANA-HIRAGANA": "CJK",
    "IDEOGRAPHIC": "CJK",
    "FULLWIDTH": "CJK",
    "HALFWIDTH": "CJK",
    "BOPOMOFO": "CJK",
    "HANGUL": "Hangul",
}
_SYMBOLS = "symbols and emoji"
_DEBIAN_PACKAGES = {"CJK": "fonts-noto-cjk", "Hangul": "fonts-noto-cjk", _SYMBOLS: "fonts-symbola"}

_warned: set[str] = set()


def visible(word: str) -> str:
    """The word with nothing in it that a plot could not show.

    Control and format characters become escapes (``\\t``, ``\\u200b``), spaces an open box, the empty word
    ∅; a word that begins with a combining mark gets a dotted circle to carry it; a word longer than
    MAX_WORD_LENGTH characters ends in an ellipsis.
    """
    if not word:
        return EMPTY_WORD
    if len(word) > MAX_WORD_LENGTH:
        word = word[: MAX_WORD_LENGTH - 1] + "…"
    has_base = any(character not in _JOINERS for character in word)
    shown = "".join(
        character if has_base and character in _JOINERS else _visible_character(character) for character in word
    )
    return DOTTED_CIRCLE + shown if unicodedata.category(shown[0]).startswith("M") else shown


def _visible_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Zs":
        return VISIBLE_SPACE
    # Other (control, format, surrogate, private, unassigned), line and paragraph separators.
    if category.startswith("C") or category in ("Zl", "Zp") or character in _JOINERS:
        return character.encode("unicode_escape").decode("ascii")
    return character


def font_families(texts: Iterable[str]) -> list[str]:
    """Installed font families that together cover the texts, in the order to try them.

    The list starts with DejaVu Sans. What no font covers is drawn as boxes, and a warning names the script
    and the Debian package to install: once for each script in the life of the process.
    """
    characters = set().union(*texts) - _JOINERS
    if any(unicodedata.bidirectional(character) in ("R", "AL") for character in characters):
        _check_right_to_left()
    missing: defaultdict[str, set[str]] = defaultdict(set)
    for character in characters - _coverage(BASE_FAMILY):
        missing[script_of(character)].add(character)
    families = [BASE_FAMILY]
    uncovered: dict[str, str] = {}
    for script in sorted(missing):
        chosen, without_font = _families_for(script, missing[script])
        families += [family for family in chosen if family not in families]
        if without_font:
            uncovered[script] = min(without_font)
    _warn_missing(uncovered)
    return families


@contextmanager
def quiet_fonts() -> Iterator[None]:
    """Silences what matplotlib says of glyphs and faces: font_families says it once, and with the remedy."""
    chatter = logging.getLogger("matplotlib.font_manager")
    level = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing|Matplotlib currently does not support")
            yield
    finally:
        chatter.setLevel(level)


def script_of(character: str) -> str:
    """Name of the character's script, by its Unicode name; Chinese and Japanese ones are all ``CJK``."""
    first = unicodedata.name(character, "UNNAMED").split(" ")[0]
    if first in _SCRIPTS:
        return _SCRIPTS[first]
    return _SYMBOLS if unicodedata.category(character).startswith("S") else first.title()


def _families_for(script: str, characters: set[str]) -> tuple[list[str], set[str]]:
    """Families that cover the characters, one if one suffices, and the characters that none covers."""
    chosen: list[str] = []
    missing = set(characters)
    while missing:
        best, covered = "", set[str]()
        for family in _candidates(script):
            found = missing & _coverage(family)
            if len(found) > len(covered):
                best, covered = family, found
            if covered == missing:
                break
        if not covered:
            break
        chosen.append(best)
        missing -= covered
    return chosen, missing


def _candidates(script: str) -> list[str]:
    """Installed families, those made for the script first, then Noto and other sans-serif faces."""

    def rank(family: str) -> tuple[bool, bool, bool, str]:
        name = family.lower()
        unlike_labels = any(style in name for style in ("serif", "mono", "mincho", "ming", "song"))
        return script.lower() not in name, unlike_labels, "noto sans" not in name, family

    families = {entry.name for entry in font_manager.fontManager.ttflist if _is_regular(entry)} - _TEX_FAMILIES
    return sorted((family for family in families if not family.startswith(_NOT_FOR_TEXT)), key=rank)


def _is_regular(entry: font_manager.FontEntry) -> bool:
    """Light, bold and slanted faces would look unlike the labels around them."""
    weight = entry.weight
    if isinstance(weight, str):
        weight = font_manager.weight_dict.get(weight, 400)
    return entry.style == "normal" and 390 <= weight <= 500


@lru_cache(maxsize=512)
def _coverage(family: str) -> frozenset[str]:
    """Characters in the face that matplotlib takes for the family."""
    properties = font_manager.FontProperties(family=[family])
    try:
        face = font_manager.get_font(font_manager.findfont(properties, fallback_to_default=False))
    except (ValueError, OSError, RuntimeError):  # a font removed or broken since matplotlib listed it
        return frozenset()
    return frozenset(map(chr, face.get_charmap()))


def _check_right_to_left() -> None:
    if not hasattr(ft2font, "__libraqm_version__") and "right-to-left" not in _warned:
        _warned.add("right-to-left")
        logger.warning(
            "this version of matplotlib draws right-to-left words from left to right in PNG and PDF, "
            "and their letters unjoined: run `pip install 'matplotlib>=3.11'`, or write SVG"
        )


def _warn_missing(examples: dict[str, str]) -> None:
    """Warn of the scripts (with a character of each) that no warning has named yet."""
    new = {script: example for script, example in examples.items() if script not in _warned}
    if not new:
        return
    _warned.update(new)
    scripts = ", ".join(f"{script} ('{example}')" for script, example in new.items())
    packages = " ".join(sorted({_DEBIAN_PACKAGES.get(script, "fonts-noto-core") for script in new}))
    logger.warning(
        "no installed font has these characters, so the picture shows placeholders: %s. Install fonts "
        "(Debian, Ubuntu: apt install %s; elsewhere from fonts.google.com/noto), then delete the list of "
        "fonts that matplotlib keeps in %s",
        scripts,
        packages,
        get_cachedir(),
    )
