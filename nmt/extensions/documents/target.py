"""The words of a translation: which source words each translates, and the texts that are kept as they were."""

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from nmt.data.vocabulary.words import WordVocabulary
from nmt.data.words import Words
from nmt.extensions.documents.segmentation import Segment, has_letters, translated
from nmt.extensions.documents.tags import Interval, Kept, SourceText
from nmt.translation.results import Translation

REACH = 5
"""Words on each side of something without words among which a linked one is sought."""
MAX_LINKS = 10_000
"""Links between the parts of two linked words; where there would be more, parts are linked by position."""

BEFORE_ITS_WORD = re.compile(r"\w|[(\[{¿¡„«‹$€£¥#@]")


@dataclass(eq=False)
class Word:
    """A word or punctuation mark of the translation."""

    gap: str
    """The text between it and the word before."""
    text: str
    sentence: int
    sources: list[int]
    """The source words that it translates."""
    kept: Kept | None = None
    """The kept text that it is, if it is one."""


class AlignedTarget:
    """The words of a translation with every kept text in it once. It doesn't depend on the elements.

    Words of both sides are separated from the punctuation marks around them, and kept texts are words.

    Attributes:
        source_words: characters of each.
        words: of the translation.
        end: the text after the last word.
    """

    def __init__(
        self,
        source: SourceText,
        segments: Sequence[Segment],
        translations: Sequence[Translation],
        pattern: re.Pattern[str],
    ) -> None:
        self._source, self._pattern = source, pattern
        self._kept_words = {(kept.begin, kept.end) for kept in source.kept}
        self.source_words = _split(list(self._kept_words), source.text)
        texts = translated(segments, iter([translation.text for translation in translations]))
        self._text = "".join(texts)
        copies = self._find_copies()
        self._intervals = _split(list(copies), self._text)
        begins = [0, *(end for _, end in self._intervals)]
        self.words = [
            Word(self._text[before:begin], self._text[begin:end], 0, [], copies.get((begin, end)))
            for before, (begin, end) in zip(begins, self._intervals, strict=False)
        ]
        self.end = self._text[begins[-1] :]
        self._link(segments, texts, translations)
        copied = set(copies.values())
        self._add([kept for kept in source.kept if kept not in copied])
        self._take_out_surplus()
        for before, word in pairwise(self.words):
            is_joined = word.gap == "" and (before.kept is not None or word.kept is not None)
            word.gap = " " if is_joined and (before.text[-1] + word.text[0]).isalnum() else word.gap
        self.targets_of = self._inverted()

    def surround(self, around: Mapping[int, tuple[str, str]]) -> None:
        """Puts texts before and behind sentences, given by the numbers of their segments."""
        for number, (first, last) in around.items():
            if own := [t for t, word in enumerate(self.words) if word.sentence == number]:
                if own[-1] + 1 < len(self.words):
                    self.words[own[-1] + 1].gap = last + self.words[own[-1] + 1].gap
                else:
                    self.end = last + self.end
                self.words[own[0]].gap += first

    def _find_copies(self) -> dict[Interval, Kept]:
        """Returns the kept texts that the translation has as they are, by the place where it has them."""
        copies: dict[Interval, Kept] = {}
        is_taken = bytearray(len(self._text))
        by_text: dict[str, list[Kept]] = {}
        for kept in self._source.kept:
            by_text.setdefault(self._source.text[kept.begin : kept.end], []).append(kept)
        for text, wanted in sorted(by_text.items(), key=lambda each: -len(each[0])):
            places = [place for place in _occurrences(self._text, text) if not any(is_taken[slice(*place)])]
            if len(places) > len(wanted) and not all(isinstance(kept.content[0], str) for kept in wanted):
                continue  # a word that is kept may be one of the target language, too
            copies.update(zip(places, wanted, strict=False))
            for begin, end in places:
                is_taken[begin:end] = b"\1" * (end - begin)
        return copies

    def _take_out_surplus(self) -> None:
        """Remove copies of kept texts in excess of those in the source."""
        intervals, end = [], 0
        for word in self.words:
            intervals.append((end + len(word.gap), end + len(word.gap) + len(word.text)))
            end = intervals[-1][1]
        text, surplus = "".join(word.gap + word.text for word in self.words), set[int]()
        for kept in {match.group() for match in self._pattern.finditer(self._source.text)}:
            for place in _occurrences(text, kept):
                found = words_within(intervals, *place)
                surplus.update(found if all(self.words[t].kept is None for t in found) else ())
        self._take_out(surplus)

    def _link(self, segments: Sequence[Segment], texts: Sequence[str], translations: Sequence[Translation]) -> None:
        remaining = iter(translations)
        begin = target_begin = 0
        for number, (segment, text) in enumerate(zip(segments, texts, strict=True)):
            found = next(remaining) if segment.is_sentence else None
            sources = words_within(self.source_words, begin, begin + len(segment.text))
            targets = words_within(self._intervals, target_begin, target_begin + len(text))
            for t in targets:
                self.words[t].sentence = number
            if found is not None and found.alignment:
                self._link_words(segment.text, found, (begin, target_begin + len(text) - len(found.text)))
            else:
                for s, t in diagonal(len(sources), len(targets)):
                    if self.source_words[sources[s]] not in self._kept_words:  # which would replace a guessed word
                        self.words[targets[t]].sources.append(sources[s])
            begin, target_begin = begin + len(segment.text), target_begin + len(text)
        copied = {self._index(word.kept) for word in self.words if word.kept is not None}
        for word in self.words:
            linked = [s for s in word.sources if s not in copied]
            word.sources = linked if word.kept is None else [self._index(word.kept)]

    def _link_words(self, source: str, found: Translation, offsets: Interval) -> None:
        """Links between words with their punctuation as links between words, and between equal punctuation marks."""
        divide = Words.split_punctuation if found.with_punctuation else Words.split
        first, second = offsets
        of_source = [words_within(self.source_words, first + b, first + e) for b, e in divide(source).spans]
        of_target = [words_within(self._intervals, second + b, second + e) for b, e in divide(found.text).spans]
        for source_word, target_word in found.alignment or ():
            sources, targets = of_source[source_word], of_target[target_word]
            if len(sources) * len(targets) > MAX_LINKS:
                for s, t in diagonal(len(sources), len(targets)):
                    self.words[targets[t]].sources.append(sources[s])
                continue
            names = {s: self._source.text[slice(*self.source_words[s])] for s in sources}
            letters = [s for s in sources if has_letters(names[s])] or list(sources)
            for t in targets:
                name = self.words[t].text
                # A word of marks alone, such as a dash, has the links of a word.
                is_word = has_letters(name) or len(targets) == 1
                equal = [s for s in sources if names[s] == name or self.source_words[s] in self._kept_words]
                self.words[t].sources += letters if is_word else equal

    def _index(self, kept: Kept) -> int:
        return bisect_left(self.source_words, (kept.begin, kept.end))

    def _inverted(self) -> list[list[int]]:
        targets: list[list[int]] = [[] for _ in self.source_words]
        for t, word in enumerate(self.words):
            for s in word.sources:
                targets[s].append(t)
        return targets

    def _add(self, missing: Sequence[Kept]) -> None:
        """Put kept texts in the place of the words that are linked to them, or else beside their neighbours."""
        linked: dict[int, list[int]] = defaultdict(list)
        for t, word in enumerate(self.words):
            for s, count in Counter(word.sources).items():
                if 2 * count > len(word.sources):
                    linked[s].append(t)
        taken, others = set[int](), []
        for kept in missing:
            index = self._index(kept)
            if not linked[index]:
                others.append(kept)
                continue
            first = longest_run(linked[index])[0]
            taken.update(t for t in linked[index] if t != first)
            self.words[first] = self._kept_word(kept, self.words[first].gap, self.words[first].sentence)
        self._take_out(taken)
        self.targets_of = self._inverted()
        added: dict[int, list[Word]] = defaultdict(list)
        for number, kept in enumerate(others):
            place = self.boundary(kept.begin, kept.end)
            following = self.words[place] if place < len(self.words) else None
            word = self._kept_word(kept, "", (following or self.words[-1]).sentence if self.words else 0)
            self._make_room(word, place, kept, is_first=place == 0 and number == 0)
            added[place].append(word)
        self.words = [word for t in range(len(self.words) + 1) for word in (*added.get(t, ()), *self.words[t : t + 1])]

    def _kept_word(self, kept: Kept, gap: str, sentence: int) -> Word:
        return Word(gap, self._source.text[kept.begin : kept.end], sentence, [self._index(kept)], kept)

    def _take_out(self, taken: set[int]) -> None:
        """Remove words; where one had space around it, the words beside it still have, but marks such as commas."""
        words, gap = [], ""
        for t, word in enumerate(self.words):
            if t in taken:
                gap = gap or word.gap
            else:
                word.gap, gap = word.gap or (gap if word.kept or BEFORE_ITS_WORD.match(word.text) else ""), ""
                words.append(word)
        self.words = words

    def _make_room(self, word: Word, place: int, kept: Kept, is_first: bool) -> None:
        """Give a new word the gaps that it needs: those of the source, and none beside white space."""
        text = self._source.text
        space_before, space_after = text[kept.begin - 1 : kept.begin].isspace(), text[kept.end : kept.end + 1].isspace()
        following = self.words[place].gap if place < len(self.words) else self.end
        next_text = self.words[place].text if place < len(self.words) else ""
        is_behind = not space_before or following == ""
        if word.text.isspace():
            word.gap, following = "", following.lstrip(" ")
        elif is_behind or not next_text:
            word.gap = " " * (space_before and not is_first)
        else:
            word.gap, following = following, ""
        if not word.text.isspace() and not following and next_text:
            following = " " * space_after
        if place < len(self.words):
            self.words[place].gap = following
        else:
            self.end = following

    def boundary(self, begin: int, end: int) -> int:
        """Returns the word before which something stands that has no word, by the words beside it in the source.

        A place before or after all words stays there.
        """
        before = bisect_right(self.source_words, begin, key=lambda word: word[1]) - 1
        after = bisect_left(self.source_words, end, key=lambda word: word[0])
        if before < 0 or after == len(self.source_words):
            return 0 if before < 0 else len(self.words)
        is_behind = self.source_words[before][1] == begin or self.source_words[after][0] != end
        left = range(before, max(before - REACH, -1), -1)
        right = range(after, min(after + REACH, len(self.source_words)))
        first = next((max(self.targets_of[s]) + 1 for s in left if self.targets_of[s]), None)
        second = next((min(self.targets_of[s]) for s in right if self.targets_of[s]), None)
        for place in (first, second) if is_behind else (second, first):
            if place is not None:
                return place
        return round((before + 1) * len(self.words) / max(len(self.source_words), 1))


def _split(kept: list[Interval], text: str) -> list[Interval]:
    """Returns the words and punctuation marks of a text; kept texts are words."""
    words, end = [], 0
    for begin, after in [*sorted(kept), (len(text), len(text))]:
        words += [(end + b, end + e) for _, b, e in WordVocabulary.split(text[end:begin])]
        words += [(begin, after)] * (begin < after)
        end = after
    return words


def _occurrences(text: str, wanted: str) -> Iterator[Interval]:
    """Finds a text where it isn't part of a longer word or number."""
    before, after = "(?<![A-Za-z0-9_])" * wanted[0].isalnum(), "(?![A-Za-z0-9_])" * wanted[-1].isalnum()
    return (match.span() for match in re.finditer(before + re.escape(wanted) + after, text))


def words_within(words: Sequence[Interval], begin: int, end: int) -> range:
    """Returns the words that share a character with ``begin`` to ``end``."""
    first = bisect_right(words, begin, key=lambda word: word[1])
    return range(first, bisect_left(words, end, key=lambda word: word[0]))


def longest_run(numbers: Sequence[int]) -> list[int]:
    """Returns the longest run of consecutive numbers among rising ones."""
    runs = [[n for _, n in group] for _, group in groupby(enumerate(numbers), lambda each: each[1] - each[0])]
    return max(runs, key=len)


def diagonal(num_source: int, num_target: int) -> list[tuple[int, int]]:
    """Returns links of each target word with the source word at the same relative position."""
    return [(int((t + 0.5) * num_source / num_target), t) for t in range(num_target)] if num_source else []
