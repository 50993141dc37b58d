"""Signs that text was decoded, cleaned or stored wrongly, line by line."""

import html
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from nmt.data.check.findings import NUM_EXAMPLES, Example, Finding, Severity, graded, per_cent, plural, shorten

# The second byte of a UTF-8 sequence, as Latin-1 and Windows-1252 show it.
_CONTINUATION = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_MOJIBAKE = re.compile(f"[ÃÐÑ]{_CONTINUATION}|Â[\x80-\xbf]|â(?:€|\x80){_CONTINUATION}|ï¿½|ï»¿")
_TAGS = "br|p|b|i|u|a|div|span|font|td|tr"
_ENTITY = re.compile(rf"&(?:[a-zA-Z]{{2,8}}|#[0-9]{{1,6}}|#[xX][0-9a-fA-F]{{1,5}});|</?(?:{_TAGS})\b[^<>]*>")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad]")
_INVALID = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class _Trouble:
    what: str
    remedy: str
    warning: float
    """From this share of lines on a warning; below, a note."""
    serious: float = 2.0


TROUBLES = {
    "invalid-utf8": _Trouble(
        "bytes that are not UTF-8",
        "Convert the file with `iconv -f ENCODING -t UTF-8`, or repair these lines; training refuses them.",
        0,
        0,
    ),
    "mojibake": _Trouble(
        "UTF-8 that was read as another encoding (Ã¼ for ü)",
        "Find the step that decoded the text wrongly, or repair it: `iconv -f UTF-8 -t WINDOWS-1252` undoes one turn.",
        0,
        0.005,
    ),
    "replacement-character": _Trouble(
        "U+FFFD, in place of a character that was lost,",
        "Go back to the text before it was converted, or drop them.",
        0,
        0.01,
    ),
    "control-characters": _Trouble(
        "control characters or line separators", "Remove them: they become UNK or rare pieces.", 0.001
    ),
    "invisible-characters": _Trouble(
        "invisible characters (zero-width space, soft hyphen, byte-order mark)",
        "Remove them: they split words that look whole.",
        0.001,
    ),
    "markup": _Trouble(
        "HTML entities or tags (&amp; <br>)", "Unescape entities and strip tags before training.", 0.001
    ),
}


def troubles(line: str) -> list[str]:
    """Keys of TROUBLES that a line shows."""
    found = []
    if "&" in line or "<" in line:
        match = _ENTITY.search(line)
        if match and (match[0][0] == "<" or html.unescape(match[0]) != match[0]):
            found.append("markup")
    if _CONTROL.search(line):
        found.append("control-characters")
    if line.isascii():
        return found
    if _INVALID.search(line):
        found.append("invalid-utf8")
    if _MOJIBAKE.search(line):
        found.append("mojibake")
    if "\ufffd" in line:
        found.append("replacement-character")
    if _INVISIBLE.search(line):
        found.append("invisible-characters")
    return found


@dataclass
class EncodingCheck:
    """Collects the troubles of one side."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    num_composed: int = 0
    num_decomposed: int = 0

    def add(self, number: int, line: str) -> None:
        """Look at the next line."""
        for key in troubles(line):
            self._note(key, number, line)
        if line.isascii():
            return
        if unicodedata.is_normalized("NFC", line):
            self.num_composed += not unicodedata.is_normalized("NFD", line)
        else:
            self.num_decomposed += 1
            self._note("normal-forms", number, line)

    def _note(self, key: str, number: int, line: str) -> None:
        self.counts[key] += 1
        if self.counts[key] <= NUM_EXAMPLES:
            self.examples.setdefault(key, []).append(Example(number, shorten(line)))

    def findings(self, num_lines: int) -> list[Finding]:
        """What was found, in the order of TROUBLES."""
        found = []
        for key, trouble in TROUBLES.items():
            if count := self.counts[key]:
                severity = graded(count / num_lines, trouble.warning, trouble.serious)
                found.append(self._finding(key, severity, trouble.what, trouble.remedy, count, num_lines))
        if count := self.counts["normal-forms"]:
            mixed = self.num_composed > 0
            what = "letters in pieces (NFD: u and ¨ for ü)" + (", whole ones elsewhere (NFC)," if mixed else "")
            remedy = "Bring all text into NFC, at translation time too: to the model the two are different words."
            found.append(self._finding("normal-forms", "warning" if mixed else "note", what, remedy, count, num_lines))
        return found

    def _finding(self, key: str, severity: Severity, what: str, remedy: str, count: int, num_lines: int) -> Finding:
        share = count / num_lines
        message = f"{self.name}: {what} in {plural(count, 'line')} ({per_cent(share)})."
        return Finding(key, severity, message, remedy, count, share, tuple(self.examples.get(key, ())))
