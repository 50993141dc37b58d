"""Held-out text for validation and test, of which nothing like it is trained on."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence

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
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]|[^\W\d_\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]+")
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
    keys = [tuple(" ".join(_WORD.findall(text.lower())) for text in pair) for pair in pairs]
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
    valid, test = set[int](), set[int]()
    for group in order:
        if group in candidates:
            done = [_size(part, sizes) / most if most else 1.0 for part, most in ((valid, num_valid), (test, num_test))]
            if min(done) >= 1:
                break
            (valid if done[0] < done[1] else test).add(group)
    train = [pair for pair, group in zip(pairs, groups, strict=True) if group not in valid and group not in test]
    held = [[pair for pair, group in zip(pairs, groups, strict=True) if group in part] for part in (valid, test)]
    return train, held[0], held[1]


def _size(groups: set[int], sizes: Counter[int]) -> int:
    return sum(sizes[group] for group in groups)


def _alike(keys: Sequence[tuple[str, ...]]) -> list[int]:
    """Returns the group of each pair: the place of the first pair that it shares a side with, directly or by others."""
    parents, first = list(range(len(keys))), dict[tuple[int, str], int]()

    def root(at: int) -> int:
        while parents[at] != at:
            parents[at] = at = parents[parents[at]]
        return at

    for at, key in enumerate(keys):
        for side in enumerate(key):
            before, own = sorted((root(first.setdefault(side, at)), root(at)))
            parents[own] = before
    return [root(at) for at in range(len(keys))]


def _similar(texts: Sequence[str], groups: Sequence[int], candidates: set[int]) -> set[int]:
    """Returns the groups of which a text shares most of its groups of words with a text of another one."""
    holders: dict[tuple[str, ...], list[int]] = {}
    num_words = {}
    for at, (text, group) in enumerate(zip(texts, groups, strict=True)):
        if group in candidates:
            own = set(_triples(text))
            num_words[at] = len(own)
            for triple in own:
                holders.setdefault(triple, []).append(at)
    similar = set[int]()
    for text, group in zip(texts, groups, strict=True):
        shared = Counter(holder for triple in set(_triples(text)) for holder in holders.get(triple, ()))
        for holder, count in shared.items():
            if count > MAX_SHARED * num_words[holder] and groups[holder] != group:
                similar.add(groups[holder])
    return similar


def _triples(text: str) -> Iterator[tuple[str, ...]]:
    words = ["", *text.split(), ""]
    return zip(words, words[1:], words[2:], strict=False)


def sizes_of(num_pairs: int) -> tuple[int, int]:
    """Returns how many pairs of a text are held out for validation and for the test."""
    if num_pairs < MIN_PAIRS:
        return 0, 0
    valid, test = (max(2, min(most, int(MAX_SHARE * num_pairs))) for most in SIZES)
    return valid, test
