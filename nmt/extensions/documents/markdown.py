"""Markdown (CommonMark with tables and strikethrough): its paragraphs, headings, lists and tables are translated.

markdown-it-py finds the text; all else of the source stays as it is, letter by letter: code, equations, HTML blocks,
link targets, front matter and the markup itself.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from nmt.core.errors import UserError
from nmt.extensions.documents.elements import TranslateBlocks
from nmt.extensions.documents.formats import DocumentFormat, decoded
from nmt.extensions.documents.tags import Content, ContentBuilder
from nmt.translation.patterns import URL

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

MAX_MARKS = 5_000
"""Largest number of characters in a block that may be markup."""
MAX_REFERENCE = 20
"""Largest number of lines of a reference definition."""

_FRONT_MATTER = re.compile(r"(---|\+\+\+)\r?\n(?:.*?\n)??(?:\1|\.\.\.)\r?(?:\n|\Z)", re.DOTALL)
"""YAML or TOML before the text."""
_MARKS = re.compile(r"[\\`*_~\[\]!<&]")
_INLINE = re.compile(rf"{_MARKS.pattern}|[\n$]")
"""Characters with which inline markup or a line break can begin or end."""
_EQUATION = re.compile(r"(?<![\w$])(?:\$\$[^$]+\$\$|\$(?:`[^$`\n]+`|(?![\s$])[^$`\n]*(?<![\s\\]))\$)(?![\w$])")
"""Not where a word is beside the dollar signs on the outside, as at prices and variables, or one of them is in code."""
_EXTENSIONS = re.compile(
    r'(\[\^[^\]\s]+\]:?|^\[[ xX]\](?=\s)|^(?:\[!\w+\]|[!?]{3}\+? \S+(?: ".*")?)$|^:::+ ?[\w-]*(?:\{[^{}]*\})?)'
)
"""Markup of other dialects: a footnote, the box of a task, and the kind of an alert, an admonition or a container."""
_SPECIAL = re.compile(rf"({URL})|[\\`*\[\]]|(?<!\w)_|_(?!\w)|<(?=[\w/!?])|&(?=#?\w+;)|^(?:#{{1,6}}|[-+>])(?=\s)")
"""An address, which stays as it is, or characters that would be markup."""


class Markdown(DocumentFormat):
    """Markdown documents."""

    def translate(self, data: bytes, run: TranslateBlocks, target: str) -> bytes:
        from markdown_it import MarkdownIt

        text = decoded(data)
        parser = MarkdownIt("commonmark", {"store_labels": True}).enable(["table", "strikethrough"])
        parser.core.ruler.before("inline", "check_size", _check_size)
        parser.block.ruler.at("reference", _reference, {"alt": []})
        parser.inline.ruler.at("text", _text)
        parser.inline.ruler.before("escape", "equation", _equation)
        front = match.group() if (match := _FRONT_MATTER.match(text)) else ""
        lines, first = re.split(r"\r\n?|\n", text[len(front) :]), front.count("\n") + 1
        tokens = parser.parse("\n".join(lines))
        found: list[tuple[list[tuple[int, int, int]], Content, bool]] = []
        columns: dict[int, int] = {}
        for before, token in pairwise(tokens[:1] + tokens):
            if token.type in ("fence", "code_block", "html_block"):
                place = f"line {(token.map or [0])[0] + first}, {token.type}"
                self.leave(place, token.content, "code or not to be translated")
            if token.type == "inline" and token.children and (places := _find(token, lines, columns)):
                marks = ["\\\n" if lines[row].endswith("\\") else "  \n" for row, _, _ in places]
                breaks = [mark + lines[row][:begin] for mark, (row, begin, _) in zip(marks, places[1:], strict=False)]
                found.append((places, _content(token.children, breaks), before.type in ("td_open", "th_open")))
        translated = run([content for _, content, _ in found])
        for (places, _, is_cell), content in reversed(list(zip(found, translated, strict=True))):
            written = _written(content).replace("|", "\\|") if is_cell else _written(content)
            (row, begin, _), (last_row, _, end) = places[0], places[-1]
            lines[row : last_row + 1] = [lines[row][:begin] + written + lines[last_row][end:]]
        line_end = next((each for each in ("\r\n", "\n") if each in text), "\r")
        return (front + "\n".join(lines).replace("\n", line_end)).encode()


def _reference(state: "StateBlock", begin: int, end: int, silent: bool) -> bool:
    """Rule of markdown-it for a reference, which looks through all lines of a block, so it gets a few of them only."""
    from markdown_it.rules_block.reference import reference

    if state.src.startswith("[^", state.bMarks[begin] + state.tShift[begin]):  # a footnote
        return False
    num_lines, state.lineMax = state.lineMax, min(state.lineMax, begin + MAX_REFERENCE)
    try:
        return reference(state, begin, end, silent)
    finally:
        state.lineMax = num_lines


def _text(state: "StateInline", silent: bool) -> bool:
    """Rule of markdown-it for text, which otherwise stops at braces, colons and other marks of extensions, too."""
    begin, match = state.pos, _INLINE.search(state.src, state.pos, state.posMax)
    state.pos = match.start() if match else state.posMax
    if not silent:
        state.pending += state.src[begin : state.pos]
    return state.pos > begin


def _equation(state: "StateInline", silent: bool) -> bool:
    """Rule of markdown-it for an equation of TeX, in which marks mean something else; it is kept as code is."""
    if match := _EQUATION.match(state.src, state.pos, state.posMax):
        state.pos = match.end()
        if not silent:
            state.push("code_inline", "", 0).content = match.group()
    return match is not None


def _check_size(state: "StateCore") -> None:
    """Rule of markdown-it that refuses blocks whose inline markup would take more than linear time."""
    for token in state.tokens:
        if token.type == "inline" and len(_MARKS.findall(token.content)) > MAX_MARKS:
            raise UserError(
                f"The Markdown block at line {(token.map or [0])[0] + 1:,} has more than {MAX_MARKS:,} marks.",
                "Split it by empty lines.",
            )


def _find(token: "Token", lines: Sequence[str], columns: dict[int, int]) -> list[tuple[int, int, int]]:
    """Returns line, first column and end of each line of some text in the source; empty if it isn't there unchanged."""
    places = []
    for row, part in enumerate(token.content.split("\n"), start=(token.map or [0])[0]):
        # In table cells, bars have been unescaped.
        line, begin = lines[row] if row < len(lines) else "", columns.get(row, 0)
        part = part if part in line[begin:] else part.replace("|", "\\|")
        begin = line.find(part, begin)
        if begin < 0:
            return []
        places.append((row, begin + len(part) - len(part.lstrip()), begin + len(part)))
        columns[row] = begin + len(part)
    return places


def _content(tokens: Sequence["Token"], breaks: Sequence[str]) -> Content:
    """The content of inline tokens; ``breaks`` are its line ends as hard ones, with what begins the next line."""
    nesting, following, is_head = ContentBuilder(), iter(breaks), False
    for token, after in pairwise([*tokens, *tokens[:1]]):
        kind = token.type
        if kind in ("text", "text_special"):
            for number, piece in enumerate(pieces := _EXTENSIONS.split(token.content)):
                (nesting.place if number % 2 else nesting.add)(piece)
            is_head |= not pieces[0] and "".join(pieces[1:2]).startswith(("[!", "!", "?", ":"))
        elif kind in ("softbreak", "hardbreak"):
            line_end = next(following, "  \n").lstrip("\\ " if kind == "softbreak" else "")
            is_kept = kind == "hardbreak" or is_head or after.content.startswith(":::")
            nesting.place(line_end, "\n") if is_kept else nesting.add(" ")
            is_head = False
        elif kind == "code_inline":
            space, text = " " * token.content.startswith("`"), token.content.replace("\n", " ")
            code = re.sub("\n", lambda _: next(following, "\n").lstrip("\\ "), token.content)  # of an equation
            nesting.place(f"{token.markup}{space}{code}{space}{token.markup}", text)
        elif kind == "html_inline":
            nesting.tag(token.content)
        elif kind == "link_open" and token.markup == "autolink":
            nesting.open("link", "<", ">", is_unique=True)
        elif kind == "link_open":
            nesting.open("link", "[", _target(token), is_unique=True)
        elif kind == "image":
            nesting.place(f"![{token.content}{_target(token)}")
        elif kind.endswith("_open"):
            nesting.open(kind[:-5], token.markup, token.markup)
        elif kind.endswith("_close"):
            nesting.close(kind[:-6])
    return nesting.content()


def _target(token: "Token") -> str:
    """Returns the target of a link or an image with its title, or its reference."""
    if "label" in token.meta:
        return f"][{token.meta['label']}]"
    address, title = str(token.attrGet("href") or token.attrGet("src") or ""), str(token.attrGet("title") or "")
    address = f"<{address}>" if re.search(r"[\s()]", address) else address
    quoted = ' "' + title.replace('"', '\\"') + '"' if title else ""
    return f"]({address}{quoted})"


def _written(content: Content) -> str:
    parts = []
    for item in content:
        if isinstance(item, str):
            escaped = _SPECIAL.sub(lambda match: match[0] if match[1] else f"\\{match[0]}", item)
            parts.append(re.sub(r"^(\d{1,9})(?=[.)]\s)", r"\1\\", escaped))  # not the number of a list
        elif item.tag[0] == "<" and not item.is_kept:  # an address in angle brackets
            parts.append("<" + "".join(map(str, item.content)) + ">")
        else:
            parts += [item.tag[0], _written(item.content) if not item.is_kept else "", item.tag[1]]
    return "".join(parts)
