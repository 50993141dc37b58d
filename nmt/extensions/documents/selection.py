"""Which texts of a document are translated, and the report about those that are not."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from nmt.core.errors import UserError, shortened
from nmt.extensions.documents.segmentation import has_letters
from nmt.extensions.documents.tags import KEPT, Content, free_text, text_of

_DATE = re.compile(r"\d{4}-\d\d?-\d\d?(?:[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?)?")
_IDENTIFIER = re.compile(
    r"(?=\S*?(?:[\d_\\=#@{}<>|~^$]|[a-z][A-Z]|[A-Za-z]\.[A-Za-z]))[!-~]+"
    r"|\.{0,2}/[!-~]+|(?:application|audio|font|image|text|video)/[!-~]+|(?i:true|false|null|none|nan)"
)
PLURAL = re.compile(r"\{\s*\w+\s*,\s*(?:plural|select|selectordinal)\s*,")
_LONGEST = 2_000
"""Characters of the longest text that may be an address or an identifier."""


def reason_to_leave(text: str, is_value: bool = False) -> str:
    """Returns why a text must stay as it is; empty if it is to be translated.

    Args:
        is_value: it is a cell or a value of a data file, which may be a name for programs.
    """
    bare = text.strip()
    if _DATE.fullmatch(bare):
        return "date"
    if not any(map(str.isalpha, bare)):
        return "number" if has_letters(bare) else "no letters"
    if len(bare) > _LONGEST:
        return ""
    if KEPT.fullmatch(bare):
        return "address, placeholder or measure"
    if is_value and bare.startswith("="):
        return "formula"
    if is_value and PLURAL.search(bare):
        return "message with plural forms"
    return "identifier" if is_value and _IDENTIFIER.fullmatch(bare) else ""


class Selection:
    """The columns, paths or elements that a user has named; without names it has everything.

    Args:
        names: each is the whole name of a column, key or element, or its end after a dot; ``*`` stands for any text.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        self._used, self._seen = set[str](), dict[str, None]()

    def has(self, *paths: str) -> bool:
        """Returns whether something is selected that has these names."""
        self._seen.setdefault(paths[0])
        found = [name for name in self.names if any(_fits(path, name) for path in paths)]
        self._used.update(found)
        return not self.names or bool(found)

    def check(self) -> None:
        """Raises a UserError if a name stands for nothing that :meth:`has` was asked for."""
        for name in self.names:
            if not self._seen:
                raise UserError("--translate-only is for csv, tsv, json, yaml and xml.", "Leave it out.")
            if name not in self._used:
                known = shortened(", ".join(filter(None, self._seen)), 1_000)
                raise UserError(f"--translate-only {name!r} is not in the document.", f"It has: {known or 'nothing'}.")


def _fits(path: str, name: str) -> bool:
    return path == name or path.endswith(f".{name}") or ("*" in name and fnmatchcase(f".{path}", f"*.{name}"))


class Report:
    """Counts the texts of a document, and lists those that stayed as they were.

    Attributes:
        num_texts: texts that were translated, each a paragraph, a cell, a value or the like.
    """

    def __init__(self) -> None:
        self.num_texts = 0
        self._left: Counter[tuple[str, str, str]] = Counter()

    def leave(self, where: str, text: str, reason: str) -> None:
        """Records a text that is not translated."""
        if text.strip() and reason != "no letters":
            self._left[where, reason, " ".join(shortened(text, 300).split())] += 1

    def add(self, sources: Iterable[Content], translations: Iterable[Content]) -> None:
        """Records texts and their translations."""
        for source, translation in zip(sources, translations, strict=True):
            if has_letters(free_text(source)):
                self.num_texts += 1
                if (text := text_of(source)) == text_of(translation):
                    self.leave("", text, "translation equals source")

    @property
    def reasons(self) -> Counter[str]:
        """The number of texts that were left alone for each reason."""
        return Counter(reason for _, reason, _ in self._left.elements())

    @property
    def total(self) -> int:
        """Number of texts, translated or not."""
        return self.num_texts + sum(count for (place, _, _), count in self._left.items() if place)

    def to_json(self, result: "Report") -> dict[str, Any]:
        """Returns the report as an object; ``result`` is that of the translated document, which was read again."""
        rows = [
            {"where": where, "reason": reason, "text": text} | ({"times": count} if count > 1 else {})
            for (where, reason, text), count in self._left.items()
        ]
        counts = {"texts": self.total, "texts_in_result": result.total, "translated": self.num_texts}
        return counts | {"reasons": dict(self.reasons.most_common()), "left_alone": rows}
