"""Words as a picture can show them: invisible characters made visible, and fonts that have the characters.

Matplotlib 3.11 shapes text and orders right-to-left words itself; older versions draw every letter from left to right,
which :func:`font_families` warns of once.
"""

import logging
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import matplotlib
from matplotlib import font_manager, ft2font

logger = logging.getLogger(__name__)

BASE_FAMILY = "DejaVu Sans"  # comes with matplotlib
MAX_WORD_LENGTH = 42
# Joiners and variation selectors have a meaning inside a word (Persian, Indic scripts, emoji), and no glyph.
_JOINERS = frozenset("\u200c\u200d" + "".join(map(chr, range(0xFE00, 0xFE10))))
# Families without letters, or with glyphs that are not those of the character.
_NOT_FOR_TEXT = ("Last Resort", "STIX", "DejaVu Sans Display", "DejaVu Serif Display", "cm")
_warned: set[str] = set()


def visible(word: str) -> str:
    """The word with all of its characters made visible.

    Control and format characters become escapes (``\\t``, ``\\u200b``), spaces an open box, the empty word
    ∅; a word that begins with a combining mark gets a dotted circle to carry it; a word longer than
    MAX_WORD_LENGTH characters ends in an ellipsis.
    """
    if not word:
        return "∅"
    if len(word) > MAX_WORD_LENGTH:
        word = word[: MAX_WORD_LENGTH - 1] + "…"
    keep = _JOINERS if not _JOINERS.issuperset(word) else frozenset[str]()
    shown = "".join(character if character in keep else _visible_character(character) for character in word)
    return f"◌{shown}" if unicodedata.category(shown[0]).startswith("M") else shown


def visible_line(text: str) -> str:
    """The text as one line, with all characters of its words made visible."""
    return " ".join(map(visible, text.split()))


def _visible_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Zs":
        return "␣"
    # Other (control, format, surrogate, private, unassigned), line and paragraph separators.
    if category.startswith("C") or category in ("Zl", "Zp") or character in _JOINERS:
        return character.encode("unicode_escape").decode("ascii")
    return character


def font_families(texts: Iterable[str]) -> list[str]:
    """Installed font families that together have the characters, in the order in which matplotlib tries them.

    The first is DejaVu Sans. Characters that no font has are drawn as boxes; a warning gives an example of each
    script, once in the life of the process.
    """
    characters = set().union(*texts) - _JOINERS
    if any(unicodedata.bidirectional(character) in ("R", "AL") for character in characters):
        _check_right_to_left()
    families = [BASE_FAMILY]
    missing = characters - _coverage(BASE_FAMILY)
    for family in _candidates(frozenset(map(_script, missing))) if missing else ():
        if found := missing & _coverage(family):
            families.append(family)
            missing -= found
        if not missing:
            break
    _warn_missing({_script(character): character for character in sorted(missing, reverse=True)})
    return families


def _script(character: str) -> str:
    """The first word of the character's Unicode name: for letters the script, as in ``ARABIC LETTER ALEF``."""
    return unicodedata.name(character, "UNNAMED").split(" ")[0].lower()


@lru_cache(maxsize=64)
def _candidates(scripts: frozenset[str]) -> list[str]:
    """Installed families: those whose name has one of the scripts, then Noto, sans-serif and other faces."""

    def rank(family: str) -> tuple[bool, bool, bool, str]:
        name = family.lower()
        unlike_labels = any(kind in name for kind in ("serif", "mono", "mincho", "ming", "song"))
        return not any(script in name for script in scripts), unlike_labels, "noto sans" not in name, family

    # Light, bold and slanted faces would look unlike the labels around them.
    regular = [entry for entry in font_manager.fontManager.ttflist if entry.style == "normal"]
    families = {entry.name for entry in regular if entry.weight in (400, "normal", "regular")}
    return sorted((family for family in families if not family.startswith(_NOT_FOR_TEXT)), key=rank)


@lru_cache(maxsize=512)
def _coverage(family: str) -> frozenset[str]:
    """Characters of the face that matplotlib takes for the family."""
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
            "matplotlib %s writes right-to-left words from left to right in PNG and PDF, with unjoined letters: "
            "run `pip install 'matplotlib>=3.11'`, or write SVG",
            matplotlib.__version__,
        )


def _warn_missing(examples: dict[str, str]) -> None:
    """Warn of scripts, each with one of its characters, that no earlier warning has named."""
    new = [f"{script} ('{example}')" for script, example in sorted(examples.items()) if script not in _warned]
    _warned.update(examples)
    if new:
        logger.warning(
            "no installed font has these characters, so the picture shows boxes: %s. Install fonts (Debian, Ubuntu: "
            "apt install fonts-noto-core fonts-noto-cjk fonts-symbola; elsewhere from fonts.google.com/noto), then "
            "delete the list of fonts that matplotlib keeps in %s",
            ", ".join(new),
            matplotlib.get_cachedir(),
        )
