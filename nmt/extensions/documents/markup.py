"""Inline markup kept by word alignment: tags are taken out, the text is translated, and tags put around the same words.

Content is a list of texts and of :class:`nmt.extensions.documents.tags.Node`, each of which has content of its own;
what a tag is, only the caller knows. Any format with nested inline elements can therefore be translated. The translated
text doesn't depend on the tags. A translated word belongs to the element that its source words belong to, so elements
are nested as in the source.

URLs, e-mail addresses, numbers with units and placeholders are kept: each is in the translation once, as it was.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from nmt.core.text import INVISIBLE
from nmt.extensions.documents.segmentation import Segment, has_letters, split_sentences, translated
from nmt.extensions.documents.tags import KEPT, Content, Node, SourceText, Span, append_item, free_text, mapped, text_of
from nmt.extensions.documents.target import BEFORE_ITS_WORD, AlignedTarget, longest_run, words_within
from nmt.translation.results import Translation

Translate = Callable[[Sequence[str]], Sequence[Translation]]
"""Translates sentences; each translation has the links between its words if the model has attention."""
Insertion = tuple[Span, list[Span]]
"""An element without words, and the elements around it."""

AROUND = "around"
"""Field of a translation: what is written before and behind its sentence, outside of the elements in it."""
NEAR = 3
"""Words within which an element without linked words may take one that has no link."""

MAX_PART = 8_000
"""Characters of a block beyond which it is divided; an element counts as 100."""
_WORD = re.compile(rf"[^\s。！？]{{0,{MAX_PART}}}(?:[。！？]+[」』”’）]*|\s)?")
"""Text between places at which a block may be divided; a longer word is divided, too."""
_SENTENCE_ENDS = tuple(".!?。！？」』")
BLOCKS = 500
"""Blocks that are translated at a time, which bounds the memory that a long document needs."""


def translate_content(
    blocks: Sequence[Content], translate: Translate, language: str = "en", kept: re.Pattern[str] = KEPT
) -> list[Content]:
    """Translate the content of blocks, such as paragraphs, with one call of ``translate`` for some hundreds of them.

    Args:
        blocks: each has sentences of its own.
        translate: links between words that are separated by white space tell where tags belong; if it gives none,
            tags are placed by the position of the words in the sentence.
        language: of the source, for sentence boundaries.
        kept: the text that isn't translated.

    Raises:
        UserError: a block has more than 100,000 kept texts.
    """
    for block in blocks:
        SourceText.check_size(block, kept)
    divided = [_divided(block) for block in blocks]
    parts, results = [part for block in divided for part in block], list[Content]()
    for start in range(0, len(parts), BLOCKS):
        results += _translate_part(parts[start : start + BLOCKS], translate, language, kept)
    remaining = iter(results)
    return [[item for _ in block for item in next(remaining)] for block in divided]


def sentences_in(block: Content, language: str = "en") -> list[str]:
    """Returns the sentences that :func:`translate_content` translates, in order."""
    return [each.text for part in _divided(block) for each in _segments(part, language) if each.is_sentence]


def _segments(part: Content, language: str) -> list[Segment]:
    """Returns the segments of a part; a number is no sentence, and none is if kept elements alone have letters."""
    text = text_of(part)
    segments = split_sentences(text, language) if has_letters(free_text(part)) else [Segment(text, False)]
    return [Segment(each.text, each.is_sentence and any(map(str.isalpha, each.text))) for each in segments]


def _divided(block: Content) -> list[Content]:
    """Divides long content outside of its elements, after sentences or between words, and words of ``MAX_PART``.

    Time grows with the square of the length of a part.
    """
    block = mapped(block, lambda text: text.translate(INVISIBLE))  # which requests leave out
    if sum(len(item) if isinstance(item, str) else 100 for item in block) < MAX_PART:
        return [block]
    parts, length = list[Content]([[]]), 0
    for item in block:
        if not isinstance(item, str):
            length += len(text_of(item.content)) + 100
            parts[-1].append(item)
            continue
        begin = 0
        for match in _WORD.finditer(item):
            num_new = length + match.end() - begin
            if num_new > MAX_PART or (num_new > MAX_PART // 4 and match[0].rstrip().endswith(_SENTENCE_ENDS)):
                parts[-1].append(item[begin : match.end()])
                parts.append([])
                begin, length = match.end(), 0
        parts[-1].append(item[begin:])
        length += len(item) - begin
    return [part for part in parts if part]


def _translate_part(
    blocks: Sequence[Content], translate: Translate, language: str, kept: re.Pattern[str]
) -> list[Content]:
    sources = [SourceText(block, kept) for block in blocks]
    split = [_segments(block, language) for block in blocks]
    translations = translate([segment.text for segments in split for segment in segments if segment.is_sentence])
    remaining, results = iter(translations), []
    for block, source, segments in zip(blocks, sources, split, strict=True):
        own = [next(remaining) for segment in segments if segment.is_sentence]
        if not own:
            results.append(block)
            continue
        numbers = (number for number, segment in enumerate(segments) if segment.is_sentence)
        around = {n: each.fields[AROUND] for n, each in zip(numbers, own, strict=True) if AROUND in each.fields}
        if not (source.spans or source.kept or around):
            results.append(["".join(translated(segments, (each.text for each in own)))])
        else:
            target = AlignedTarget(source, segments, own, kept)
            target.surround(around)
            results.append(TagProjector(source, target).content())
    return results


class TagProjector:
    """Assigns the words of a translation to elements, from the outermost to the innermost, and writes them with these.

    Attributes:
        paths: of each word.
        places: elements without words, with those around them, by the word before which they stand.
    """

    def __init__(self, source: SourceText, target: AlignedTarget) -> None:
        self.source, self.target, self.words = source, target, target.words
        self.paths: list[list[Span]] = [[] for _ in self.words]
        self._linked = {1: self._with_links(1), -1: self._with_links(-1)}
        self._pending: list[Insertion] = []
        self._place(source.spans, list(range(len(self.words))), [])
        self.places: dict[int, list[Insertion]] = {}
        for span, parents in self._pending:
            expected = target.boundary(span.begin, span.end)
            nearby = (b for distance in range(len(self.paths) + 1) for b in (expected - distance, expected + distance))
            place = next(b for b in nearby if 0 <= b <= len(self.paths) and self._fits(b, parents))
            self.places.setdefault(place, []).append((span, parents))

    def _around(self, boundary: int) -> tuple[list[Span], list[Span], int]:
        """Returns the elements of the word before and of the word after, and how many of them are the same."""
        before = self.paths[boundary - 1] if boundary else []
        after = self.paths[boundary] if boundary < len(self.paths) else []
        pairs = enumerate(zip(before, after, strict=False))
        return before, after, next((n for n, (a, b) in pairs if a is not b), min(len(before), len(after)))

    def _fits(self, boundary: int, parents: list[Span]) -> bool:
        """Returns whether something inside the given elements, and no others, can stand between two words."""
        before, after, num_common = self._around(boundary)
        return parents in (before[: len(parents)], after[: len(parents)]) and num_common <= len(parents)

    def _place(self, children: Sequence[Span], own: Sequence[int], parents: list[Span]) -> None:
        """Choose the words of each child of an element, whose own words are given, and so on."""
        owner: dict[int, Span] = {}
        for child in children if own else ():
            owner.update((s, child) for s in self._covered(child) if s not in owner)
        labels: dict[int, Span | None] = {}
        for t in own:
            labels[t] = self._label(t, owner, labels) if owner else None
        words: dict[Span, list[int]] = {child: [] for child in children}
        for t, label in labels.items():
            if label is not None:
                words[label].append(t)
        for child in children:
            inner = [t for t in words[child] if labels[t] is child]
            if child.node.is_unique and inner:
                inner = self._longest_run(inner, labels)
            if not inner and child.begin < child.end:
                inner = self._nearest(child, labels)
            for t in inner:
                labels[t] = child
                self.paths[t].append(child)
            if inner:
                self._place(child.children, inner, [*parents, child])
            else:
                self._pending.append((child, parents))

    def _covered(self, span: Span) -> list[int]:
        """Returns the source words that mostly belong to a span, or the first one that it shares."""
        words = self.target.source_words
        shared = words_within(words, span.begin, span.end) if span.begin < span.end else range(0)
        overlaps = ((s, min(span.end, words[s][1]) - max(span.begin, words[s][0])) for s in shared)
        inner = [s for s, overlap in overlaps if 2 * overlap > words[s][1] - words[s][0]]
        return inner or list(shared[:1])

    def _label(self, t: int, owner: dict[int, Span], labels: dict[int, Span | None]) -> Span | None:
        """Returns the child that most links of a word lead to, or None; of equally many, that of the word before.

        A word without links goes with its neighbour.
        """
        step = 1 if BEFORE_ITS_WORD.match(self.words[t].text) else -1
        linked = next((each[t] for each in (self._linked[step], self._linked[-step]) if each[t] is not None), None)
        if linked is None:
            return None
        counts = Counter(owner.get(s) for s in self.words[linked].sources)
        [(best, most)] = counts.most_common(1)
        before = labels.get(t - 1)
        return before if linked == t and counts[before] == most else best

    def _with_links(self, step: int) -> list[int | None]:
        """Returns for each word the next one of its sentence with links, itself included, in a direction."""
        nearest: list[int | None] = [None] * len(self.words)
        last: int | None = None
        for t in range(len(self.words))[::-step]:
            word = self.words[t]
            if word.sources:
                last = t
            elif last is not None and self.words[last].sentence != word.sentence:
                last = None
            nearest[t] = last
        return nearest

    def _longest_run(self, found: Sequence[int], labels: dict[int, Span | None]) -> list[int]:
        """Returns the longest run of an element's words, which loses the others."""
        longest = longest_run(found)
        labels.update((t, None) for t in found if not longest[0] <= t <= longest[-1])
        return longest

    def _nearest(self, span: Span, labels: dict[int, Span | None]) -> list[int]:
        """Words for an element that has got none: those linked to its words that are free, or one where it is expected.

        A word is expected beside the words that are linked to the neighbours in the source.
        """
        linked = sorted({t for s in self._covered(span) for t in self.target.targets_of[s]})
        linked = [t for t in linked if t in labels and labels[t] is None]
        if linked:
            return linked if not span.node.is_unique else self._longest_run(linked, labels)
        expected = self.target.boundary(span.begin, span.end)
        near = sorted(range(expected - NEAR, expected + NEAR), key=lambda t: abs(t + 0.5 - expected))
        free = (t for t in near if t in labels and labels[t] is None and not self.words[t].sources)
        return [t for t in free if has_letters(self.words[t].text)][:1]

    def content(self) -> Content:
        """Returns the words with the elements around them."""
        opened: list[Content] = [[]]  # the content of each open element
        for boundary in range(len(self.words) + 1):
            before, after, num_common = self._around(boundary)
            first, second = self._waiting(boundary)
            word = self.words[boundary] if boundary < len(self.words) else None
            gap = word.gap if word else self.target.end
            for depth in range(len(before), num_common - 1, -1):
                del opened[depth + 1 :]
                for span in (span for span, parents in first if len(parents) == depth):
                    opened[-1] += [*self._space_around(span, is_wanted=boundary > 0), _emptied(span)]
            append_item(opened[-1], gap)
            for depth in range(num_common, len(after) + 1):
                for span in after[num_common:depth][-1:]:
                    node = Node(span.node.tag, [], span.node.is_unique)
                    opened[-1].append(node)
                    opened.append(node.content)
                for span in (span for span, parents in second if len(parents) == depth):
                    opened[-1] += self._space_around(span, is_wanted=boundary > 0 and not gap)
                    opened[-1].append(_emptied(span))
                    opened[-1] += self._space_around(span, is_wanted=word is not None and (gap != "" or not boundary))
            head, items, tail = self._divided_word(boundary) if word else ("", [], "")
            if head:
                opened[-2].insert(-1, head)
            for item in items:
                append_item(opened[-1], item)
            append_item(opened[-2 if tail else -1], tail)
        return opened[0]

    def _divided_word(self, t: int) -> tuple[str, Content, str]:
        """Returns the content of a word, with the text before and behind an element in it, such as an exponent."""
        word, path = self.words[t], self.paths[t]
        near = self.paths[max(t - 1, 0) : t] + self.paths[t + 1 : t + 2]
        if word.kept is None and len(set(word.sources)) == 1 and path and all(path[-1] not in each for each in near):
            (begin, end), span = self.target.source_words[word.sources[0]], path[-1]
            siblings = path[-2].children if path[1:] else self.source.spans
            if any(begin < a.end == span.begin or span.end == a.begin < end for a in siblings if a.begin < a.end):
                return "", [word.text], ""  # the word is divided between elements, of which it gets the first
            part = self.source.text[max(begin, span.begin) : min(end, span.end)]
            head, found, tail = (str.rpartition if begin < span.begin else str.partition)(word.text, part or word.text)
            if found and (head != "", tail != "") == (begin < span.begin, span.end < end):
                return head, [found], tail
        return "", word.kept.content if word.kept else [word.text], ""

    def _space_around(self, span: Span, is_wanted: bool) -> Content:
        """Returns a space for an element without text that has one on both sides, of which the gap is the other."""
        text = self.source.text
        is_empty = not text[span.begin : span.end].strip()
        is_between = is_empty and span.begin > 0 and text[span.begin - 1].isspace()
        return [" "] if is_wanted and is_between and text[span.end : span.end + 1].isspace() else []

    def _waiting(self, boundary: int) -> tuple[list[Insertion], list[Insertion]]:
        """Returns insertions at the end of the elements before the boundary, and at the beginning of those after it."""
        before, after, _ = self._around(boundary)
        sides: tuple[list[Insertion], list[Insertion]] = [], []
        for span, parents in self.places.get(boundary, []):
            text = self.source.text
            is_behind = not text[span.begin - 1].isspace() if span.begin else text[span.end : span.end + 1].isspace()
            can_be = [parents == path[: len(parents)] for path in (before, after)]
            sides[0 if can_be[0] and (is_behind or not can_be[1]) else 1].append((span, parents))
        return sides


def _emptied(span: Span) -> Node:
    """Returns an element without its text."""
    if span.node.is_kept:
        return span.node
    return Node(span.node.tag, [_emptied(child) for child in span.children], span.node.is_unique)
