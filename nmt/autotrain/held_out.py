"""Held-out text for validation and test, of which nothing like it is trained on."""

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from nmt.autotrain.texts import Pairs
from nmt.core.text import UNSPACED
from nmt.data.vocabulary.words import MARKS

MAX_SHARE = 0.05
"""Largest share of the pairs that is held out for validation, and again for the test."""
SIZES = 400, 1000
"""Most pairs of validation and test."""
MIN_PAIRS = 40
"""Fewest pairs of which some are held out."""
MAX_SHARED, MIN_RARE = 0.8, 3
"""Largest share of a held-out sentence's groups of words that one for training may have; rare ones compared first."""
CANDIDATES = 2
"""Groups of pairs that are looked at for each pair to hold out, because some are too similar to text for training."""
_LETTER = rf"[^\W\d_{UNSPACED}]"
_WORD = re.compile(rf"[{UNSPACED}]|{_LETTER}+(?:[{MARKS}]+{_LETTER}*)*")
"""A word, or a character of a script without spaces; no digits, in which versions of a sentence differ."""


def hold_out(
    pairs: Pairs, num_valid: int, num_test: int, seed: int, seen: Sequence[tuple[str, str]] = ()
) -> tuple[Pairs, Pairs, Pairs]:
    """Divides a text into pairs for training, validation and test.

    Pairs whose source or target is the same but for case, digits and punctuation stay together, and so do those of
    which one has most groups of three words of the other: none is held out while another is trained on. A pair that is
    repeated is held out once.

    Args:
        num_valid, num_test: the most pairs to hold out; fewer where most of the text is alike.
        seen: further text for training, which isn't in the result.
    """
    if not (wanted := num_valid + num_test):
        return pairs, [], []
    keys = [tuple(map(key_of, pair)) for pair in (*pairs, *seen)]
    groups = _alike(keys)
    own, known = groups[: len(pairs)], set(groups[len(pairs) :])
    order = [group for group in dict.fromkeys(own) if group not in known]
    random.Random(seed).shuffle(order)
    sizes, distinct = Counter(groups), Counter(group for _, group in set(zip(pairs, own, strict=True)))
    candidates = set([group for group in order if sizes[group] <= max(1, wanted // 10)][: CANDIDATES * wanted])
    for side in (0, 1):
        numbered = [(group, key[side]) for group, key in zip(groups, keys, strict=True)]
        for others in (numbered[:1000], numbered[1000:]):  # the first ones suffice where all of a text is alike
            near = near_copies([each for each in numbered if each[0] in candidates], others)
            candidates -= {group for group, other in near if group != other}
    parts, most, held = (set[int](), set[int]()), (num_valid, num_test), [0, 0]
    for group in filter(candidates.__contains__, order):
        done = [number / limit if limit else 1.0 for number, limit in zip(held, most, strict=True)]
        if min(done) >= 1:
            break
        part = int(done[0] >= done[1])
        parts[part].add(group)
        held[part] += distinct[group]
    every = set(own).difference(*parts), *parts
    train, valid, test = ([pair for pair, group in zip(pairs, own, strict=True) if group in part] for part in every)
    return train, list(dict.fromkeys(valid)), list(dict.fromkeys(test))


def key_of(text: str) -> str:
    """Returns the words of a text; the text itself where it has none, such as numbers and emoji."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold())) or text.strip()


def _alike(keys: Sequence[tuple[str, ...]]) -> list[int]:
    """Returns the group of each pair: the place of the first pair that it shares a side with, directly or by others."""
    parents = list(range(len(keys)))

    def root(at: int) -> int:
        while parents[at] != at:
            parents[at] = at = parents[parents[at]]
        return at

    for side in (0, 1):
        first = dict[str, int]()
        for at, key in enumerate(keys):
            letters = key[side].replace(" ", "")  # a hyphen or a character of no width may divide a word
            before, own = sorted((root(first.setdefault(letters, at)), root(at)))
            parents[own] = before
    return [root(at) for at in range(len(keys))]


def near_copies(held: Iterable[tuple[int, str]], others: Iterable[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    """Yields the numbers of a held-out text and of another one that has most of its groups of three words.

    Args:
        held, others: each text by its :func:`key_of`, after its number, which several may have.
    """
    numbered = [(number, set(_triples_of(text))) for number, text in held]
    counts = Counter(triple for _, own in numbered for triple in own)
    holders: dict[tuple[str, ...], list[int]] = {}
    for at, (_, own) in enumerate(numbered):  # a text that has most of them has rare ones (Chaudhuri et al. 2006)
        for triple in sorted(own, key=counts.__getitem__)[: len(own) - int(MAX_SHARED * len(own)) + MIN_RARE - 1]:
            holders.setdefault(triple, []).append(at)
    for other, text in others:
        triples = set(_triples_of(text))
        for at, shared in Counter(at for triple in triples for at in holders.get(triple, ())).items():
            number, own = numbered[at]
            if shared >= min(MIN_RARE, len(own)) and len(own & triples) > MAX_SHARED * len(own):
                yield number, other


def _triples_of(text: str) -> Iterator[tuple[str, ...]]:
    words = ["", *text.split(), ""]
    return zip(words, words[1:], words[2:], strict=False)


def sizes_of(num_pairs: int) -> tuple[int, int]:
    """Returns how many pairs of a text are held out for validation and for the test."""
    valid, test = (max(2, min(most, int(MAX_SHARE * num_pairs))) for most in SIZES)
    return (valid, test) if num_pairs >= MIN_PAIRS else (0, 0)
