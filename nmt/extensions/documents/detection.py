"""Detection of markup in text that is translated as plain text."""

import re
from collections import Counter
from collections.abc import Callable

from nmt.core.console import warn

NUM_LINES = 1_000
"""Lines in which markup is sought."""
MIN_MARKS = 3
"""Marks of a kind from which on there is a warning: text about markup has fewer."""

_MARKUP = {
    "HTML": (re.compile(r"</(?:p|div|span|a|b|i|em|strong|code|li|ul|td|tr|h[1-6]|body|html)>|<br ?/?>", re.I), "html"),
    "a gettext catalogue": (re.compile(r'^(?:msgid|msgstr) "'), "po"),
    "subtitles": (re.compile(r"^\d\d:\d\d:\d\d[,.]\d{3} --> "), "srt"),
    "XLIFF": (re.compile(r"</(?:source|target|seg|trans-unit|segment)>"), "xliff"),
    "Markdown": (re.compile(r"^(?:```|#{1,6} \w)|\[[^\]]+\]\([^)\s]+\)"), "md"),
    "reStructuredText": (re.compile(r":[a-z:]+:`[^`]+`|``[^`\s][^`]*``|^\.\. [\w-]+::"), "po"),
}
"""Pattern of the marks of each kind of markup, and the format that keeps it."""


class MarkupDetector:
    """Warns once if lines of text look like markup, which would be translated as words."""

    def __init__(self) -> None:
        self._num_lines, self._counts = 0, Counter[str]()

    def add(self, line: str) -> None:
        """Looks at the next line."""
        self._num_lines += 1
        if self._num_lines > NUM_LINES:
            return
        for kind, (pattern, name) in _MARKUP.items():
            self._counts[kind] += len(pattern.findall(line))
            if self._counts[kind] >= MIN_MARKS:
                self._num_lines = NUM_LINES
                remedy = (
                    f"--input-format {name} keeps it"
                    if kind != "reStructuredText"
                    else "messages in a .po file keep it"
                )
                warn(f"the lines look like {kind}, whose markup is translated as words; {remedy}.")
                return


def markup_detector() -> Callable[[str], None]:
    """Returns what looks at each line that is translated; a hook of ``nmt translate``."""
    return MarkupDetector().add
