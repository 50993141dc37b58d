"""Content with inline elements, as spans of its text, and the parts of a text that are not translated."""

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any, Union

from nmt.core.errors import UserError, shortened
from nmt.translation.patterns import PLACEHOLDER, URL

MAX_DEPTH = 100
"""Tags inside one another that :class:`ContentBuilder` takes for elements."""

MAX_KEPT = 100_000
"""Largest number of kept texts in a block. A placeholder takes no more characters than a word, but far more time."""

Content = list[Union[str, "Node"]]
Interval = tuple[int, int]

KEPT = re.compile(
    r"(?<![A-Za-z0-9_])"
    + URL
    + r"""
    | (?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}
    | (?<![\w&])[@\#]\w(?:[\w.@-]{0,98}\w)?
    | (?:[\U0001F1E6-\U0001FAFF\u2600-\u27BF][\u200d\ufe0f\U0001F3FB-\U0001F3FF]*)+
    | (?:[$€£¥][ \u00a0]?)\d+(?:[.,]\d+)*
    | (?<![\w.,])(?<!\d[:/])\d+(?:[.,:/]\d+)*
        (?:[ \u00a0\u202f]?(?:[kcmµn]?m[²³]?|[kmµ]?g|m?l|[kM]?W|kWh|[kMG]?Hz|[kKMGT]i?B|ms|min
        |km/h|m/s|mph|ft|lbs?|oz|px|pt|dpi|°[CF]?|%|‰|€|£|¥|EUR|USD)|[hsAVKt$])(?![\w/])
    | """
    + PLACEHOLDER,
    re.VERBOSE,
)
"""Text that is kept: URLs, e-mail addresses, @mentions, #tags, emojis, placeholders, amounts of
money, and numbers with units."""


@dataclass(eq=False)
class Node:
    """An inline element."""

    tag: Any
    """Data with which the caller writes it; translations have the same object, several times if words are apart."""
    content: Content = field(default_factory=list)
    is_unique: bool = False
    """Whether it may not be divided."""
    is_kept: bool = False
    """Whether its content stays as it is."""


def text_of(content: Content) -> str:
    """Returns the text without tags."""
    return "".join(item if isinstance(item, str) else text_of(item.content) for item in content)


def free_text(content: Content) -> str:
    """Returns the text outside of kept elements."""
    items = (item if isinstance(item, str) else "" if item.is_kept else free_text(item.content) for item in content)
    return "".join(items)


def mapped(content: Content, change: Callable[[str], str]) -> Content:
    """Returns content with changed texts; its kept elements stay as they are."""
    for item in content:
        if isinstance(item, Node) and not item.is_kept:
            item.content = mapped(item.content, change)
    return [change(item) if isinstance(item, str) else item for item in content]


@dataclass(eq=False)
class Span:
    """The characters that an element covers, and the elements within it."""

    begin: int
    end: int
    node: Node
    children: "list[Span]" = field(default_factory=list)


@dataclass(eq=False)
class Kept:
    """Characters that are not translated; ``content`` is written in their place."""

    begin: int
    end: int
    content: Content


class SourceText:
    """Content as text with elements and kept texts, each in order. Kept texts don't overlap.

    Args:
        content: of a block.
        pattern: the text that is kept, beside nodes that are.
    """

    def __init__(self, content: Content, pattern: re.Pattern[str]) -> None:
        self.text, self.spans, self.kept = text_of(content), list[Span](), list[Kept]()
        self._read(content, 0, self.spans)
        rest, end = [], 0
        for kept in self.kept:
            rest += [self.text[end : kept.begin], "\n" * (kept.end - kept.begin)]
            end = kept.end
        for match in pattern.finditer("".join([*rest, self.text[end:]])):
            self.kept.append(Kept(*match.span(), self._taken_out(*match.span())))
        self.kept.sort(key=lambda kept: kept.begin)

    @staticmethod
    def check_size(content: Content, pattern: re.Pattern[str]) -> None:
        """Raises a UserError if the content of a block has more kept texts than :data:`MAX_KEPT`."""
        text = text_of(content)
        if len(text) > MAX_KEPT and next(islice(pattern.finditer(text), MAX_KEPT, None), None):
            raise UserError(
                f"The paragraph {shortened(text)!r} has more than {MAX_KEPT:,} numbers, addresses and placeholders.",
                "Split it into several paragraphs.",
            )

    def _read(self, content: Content, begin: int, spans: list[Span]) -> int:
        """Add the elements of content that begins at a character; where it ends."""
        for item in content:
            if isinstance(item, str):
                begin += len(item)
            elif item.is_kept and (text := text_of(item.content)):
                self.kept.append(Kept(begin, begin + len(text), [item]))
                begin += len(text)
            else:
                span = Span(begin, begin, item)
                begin = span.end = self._read(item.content, begin, span.children)
                spans.append(span)
        return begin

    def _taken_out(self, begin: int, end: int) -> Content:
        """Returns the content of a kept text, with the elements inside it, which are no others' any more."""
        inside: list[Span] = []

        def take(spans: list[Span]) -> None:
            first = bisect_right(spans, begin, key=lambda span: span.end)
            for span in list(takewhile(lambda span: span.begin < end, islice(spans, first, None))):
                if span.begin == span.end:
                    continue
                if begin <= span.begin and span.end <= end and (span.begin, span.end) != (begin, end):
                    spans.remove(span)
                    inside.append(span)
                else:
                    take(span.children)

        take(self.spans)
        content: Content = []
        for span in inside:
            content += [self.text[begin : span.begin], span.node]
            begin = span.end
        return [*content, self.text[begin:end]]


def append_item(content: Content, item: str | Node) -> None:
    """Append an item; text becomes part of the text at the end."""
    if isinstance(item, str) and content and isinstance(content[-1], str):
        content[-1] += item
    elif item != "":
        content.append(item)


class ContentBuilder:
    """Builds content from text and tags, some of which may have no partner; those become places in the text.

    The tag of a node is the text before its content and the text after it.
    """

    _TAG = re.compile(r"<(/?)([\w-]+)")
    _VOID = frozenset({"br", "hr", "img", "input", "wbr"})

    def __init__(self) -> None:
        self._levels: list[tuple[str, Node]] = [("", Node(("", "")))]

    def add(self, item: str | Node) -> None:
        """Append text or a whole element."""
        append_item(self._levels[-1][1].content, item)

    def place(self, tag: str, text: str = "") -> None:
        """Append something that is kept and, in the text, stands for ``text``."""
        self.add(Node((tag, ""), [text] if text else [], is_kept=True))

    def open(self, name: str, first: str, last: str = "", is_unique: bool = False) -> None:
        """Begins an element; one that is nested too deeply becomes a place."""
        if len(self._levels) < MAX_DEPTH:
            self._levels.append((name, Node((first, last), is_unique=is_unique)))
        else:
            self.place(first)

    def close(self, name: str, last: str | None = None) -> bool:
        """End the element of this name; False if there is none."""
        if name not in [open_name for open_name, _ in self._levels[1:]]:
            return False
        while self._levels[-1][0] != name:
            self._give_up()
        _, node = self._levels.pop()
        node.tag = node.tag if last is None else (node.tag[0], last)
        self.add(node)
        return True

    def tag(self, text: str) -> None:
        """Append a tag of HTML or something like it."""
        match = self._TAG.match(text)
        name = f"<{match[2].lower()}" if match else ""
        if not match or text.endswith("/>") or name[1:] in self._VOID:
            self.place(text)
        elif not match[1]:
            self.open(name, text)
        elif not self.close(name, text):
            self.place(text)

    def content(self) -> Content:
        """Returns the content."""
        while len(self._levels) > 1:
            self._give_up()
        return self._levels[0][1].content

    def _give_up(self) -> None:
        """Make a place of the innermost open element."""
        _, node = self._levels.pop()
        self.place(node.tag[0])
        for item in node.content:
            self.add(item)
