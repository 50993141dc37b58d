"""Held-out text for validation and test, of which nothing like it is trained on."""

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from nmt.autotrain.texts import Pairs

MAX_SHARE = 0.05
"""Largest share of the pairs that is held out for validation, and again for the test."""
SIZES = 400, 1000
"""Most pairs of validation and test."""
MIN_PAIRS = 40
"""Fewest pairs of which some are held out."""
MAX_SHARED = 0.8
"""Largest share of a held-out sentence's groups of words that one sentence for training may have."""
CANDIDATES = 2
"""Candidates for each pair that is held out, because some are too similar to text for training."""
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_MARKS = "".join(mark for mark in map(chr, range(0x300, 0x10000)) if unicodedata.category(mark).startswith("M"))
"""Vowel signs and accents, which stand inside words of many scripts and are no letters."""
_LETTER = rf"[^\W\d_{_UNSPACED}]"
_WORD = re.compile(rf"[{_UNSPACED}]|{_LETTER}+(?:[{_MARKS}]+{_LETTER}*)*")
"""A word, or a character of a script without spaces; no digits, in which versions of a sentence differ."""


def hold_out(pairs: Pairs, num_valid: int, num_test: int, seed: int) -> tuple[Pairs, Pairs, Pairs]:
    """Divides a text into pairs for training, validation and test.

    Pairs whose source or target is the same but for case, digits and punctuation stay together, and so do those of
    which one has most groups of three words of the other: none is held out while another is trained on.

    Args:
        num_valid, num_test: the most pairs to hold out; fewer where most of the text is alike.
    """
    wanted = num_valid + num_test
    if not wanted:
        return pairs, [], []
    keys = [tuple(map(key_of, pair)) for pair in pairs]
    groups = _alike(keys)
    order = list(dict.fromkeys(groups))
    random.Random(seed).shuffle(order)
    sizes, candidates, count = Counter(groups), set[int](), 0
    for group in order:
        if count >= CANDIDATES * wanted:
            break
        if sizes[group] <= max(1, wanted // 10):
            candidates.add(group)
            count += sizes[group]
    for side in (0, 1):
        candidates -= _similar([key[side] for key in keys], groups, candidates)
    parts, most, held = (set[int](), set[int]()), (num_valid, num_test), [0, 0]
    for group in order:
        if group in candidates:
            done = [number / limit if limit else 1.0 for number, limit in zip(held, most, strict=True)]
            if min(done) >= 1:
                break
            part = int(done[0] >= done[1])
            parts[part].add(group)
            held[part] += sizes[group]
    both = parts[0] | parts[1]
    train = [pair for pair, group in zip(pairs, groups, strict=True) if group not in both]
    valid, test = ([pair for pair, group in zip(pairs, groups, strict=True) if group in part] for part in parts)
    return train, valid, test


def key_of(text: str) -> str:
    """Returns the words of a text; the text itself where it has none, such as numbers and emoji."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold())) or text.strip()


def _alike(keys: Sequence[tuple[str, ...]]) -> list[int]:
    """Returns the group of each pair: the place of the first pair that it shares a side with, directly or by others."""
    parents, first = list(range(len(keys))), dict[tuple[int, str], int]()

    def root(at: int) -> int:
        while parents[at] != at:
            parents[at] = at = parents[parents[at]]
        return at

    for at, key in enumerate(keys):
        for side, text in enumerate(key):
            letters = text.replace(" ", "")  # a hyphen or a character of no width may divide a word
            before, own = sorted((root(first.setdefault((side, letters), at)), root(at)))
            parents[own] = before
    return [root(at) for at in range(len(keys))]


def _similar(texts: Sequence[str], groups: Sequence[int], candidates: set[int]) -> set[int]:
    """Returns the groups of which a text shares most of its groups of words with a text of another one."""
    held = {at: set(triples_of(texts[at])) for at, group in enumerate(groups) if group in candidates}
    holders, similar = holders_of(held), set[int]()
    for text, group in zip(texts, groups, strict=True):
        for at in {at for triple in triples_of(text) for at in holders.get(triple, ()) if groups[at] not in similar}:
            if groups[at] != group and len(held[at].intersection(triples_of(text))) > MAX_SHARED * len(held[at]):
                similar.add(groups[at])
    return similar


def holders_of(held: Mapping[int, set[tuple[str, ...]]]) -> dict[tuple[str, ...], list[int]]:
    """Returns the texts that have a group of words, for as many of the rarest groups of each text as are needed."""
    counts = Counter(triple for own in held.values() for triple in own)
    holders: dict[tuple[str, ...], list[int]] = {}
    for at, own in held.items():  # a text that shares more than MAX_SHARED has one of these rare ones (Chaudhuri 2006)
        for triple in sorted(own, key=counts.__getitem__)[: len(own) - int(MAX_SHARED * len(own))]:
            holders.setdefault(triple, []).append(at)
    return holders


def triples_of(text: str) -> Iterator[tuple[str, ...]]:
    words = ["", *text.split(), ""]
    return zip(words, words[1:], words[2:], strict=False)


def sizes_of(num_pairs: int) -> tuple[int, int]:
    """Returns how many pairs of a text are held out for validation and for the test."""
    valid, test = (max(2, min(most, int(MAX_SHARE * num_pairs))) for most in SIZES)
    return (valid, test) if num_pairs >= MIN_PAIRS else (0, 0)
