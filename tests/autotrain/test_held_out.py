"""Held-out text: how much, and that nothing like it is trained on."""

import random

from nmt.autotrain.held_out import MAX_SHARED, hold_out, near_copies, sizes_of

DIGITS = "abcdefghij"


def word(number: int) -> str:
    return "".join(DIGITS[int(digit)] for digit in str(number))


def sentence(number: int) -> tuple[str, str]:
    """A pair that shares no group of three words with those of other numbers."""
    words = [f"{word(number)}{letter}" for letter in "pqrst"]
    return " ".join(words), " ".join(reversed(words))


def test_sizes_are_shares_of_the_text_with_an_upper_limit() -> None:
    assert sizes_of(39) == (0, 0)
    assert sizes_of(40) == (2, 2)
    assert sizes_of(1000) == (50, 50)
    assert sizes_of(10**6) == (400, 1000)


def test_all_pairs_are_in_one_part_and_the_parts_are_as_large_as_asked_for() -> None:
    pairs = [sentence(n) for n in range(500)]
    train, valid, test = hold_out(pairs, 20, 30, seed=1)
    assert (len(train), len(valid), len(test)) == (450, 20, 30)
    assert sorted([*train, *valid, *test]) == sorted(pairs)
    assert hold_out(pairs, 20, 30, seed=1) == (train, valid, test)
    assert hold_out(pairs, 20, 30, seed=2)[1] != valid
    assert hold_out(pairs, 0, 0, seed=1) == (pairs, [], [])


def test_repeated_and_nearly_repeated_sentences_are_not_divided() -> None:
    pairs = []
    for number in range(200):
        source, target = sentence(number)
        pairs += [(source, target), (f"{source.upper()}!", f"{number} {target}"), (source, sentence(1000 + number)[1])]
    train, valid, test = hold_out(pairs, 20, 30, seed=1)
    assert len(valid) >= 20
    assert len(test) >= 30
    groups = [{source.lower().strip("!") for source, _ in part} for part in (train, valid, test)]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]

    long = " ".join(sentence(n)[0] for n in range(3000, 3004))
    versions = [(f"{long} {word(n)}", f"{word(n)} {long}") for n in range(50)]
    train, valid, test = hold_out([sentence(n) for n in range(200)] + versions, 20, 30, seed=1)
    assert not [pair for pair in (*valid, *test) if long in pair[0]]


def test_a_repeated_pair_is_held_out_once() -> None:
    pairs = [sentence(n) for n in range(60) for _ in range(3)]
    train, valid, test = hold_out(pairs, 15, 15, seed=1)
    assert (len(train), len({*train}), len(valid), len({*valid}), len(test), len({*test})) == (90, 30, 15, 15, 15, 15)


def test_no_pair_like_text_that_a_model_was_trained_on_is_held_out() -> None:
    pairs = [sentence(n) for n in range(400)]
    seen = [(source.upper(), "?") for source, _ in pairs[:150]]
    seen += [("!", f"{target} {target}") for _, target in pairs[150:200]]
    train, valid, test = hold_out(pairs, 20, 30, seed=1, seen=seen)
    assert (len(train), len(valid), len(test)) == (350, 20, 30)
    assert {*valid, *test} <= {*pairs[200:]}


def test_sentences_of_all_scripts_are_held_out_and_vowel_signs_tell_them_apart() -> None:
    def sentences(letters: str) -> list[str]:
        words = [f"{one}{other}" for one in letters for other in letters]
        return [" ".join(words[(n * step + n) % len(words)] for step in (1, 3, 7, 11)) for n in range(60)]

    emoji = sentences("😀😃🐶🐱🏠🚗🌳🌞👍🐟")
    assert [len(part) for part in hold_out(list(zip(emoji, reversed(emoji), strict=True)), 3, 3, seed=1)[1:]] == [3, 3]
    syllables = [f"क{one} क{two} क{three}" for one in "ािीुूे" for two in "ािीुूे" for three in "ाे"]
    pairs = [(text, sentence(n)[1]) for n, text in enumerate(syllables)]
    train, valid, test = hold_out(pairs, 4, 4, seed=1)
    assert (len(valid), len(test)) == (4, 4)
    composed = [(f"{text} caf\u00e9 Stra\u00dfe", text) for text, _ in map(sentence, range(100))]
    decomposed = [(f"{text} cafe\u0301 STRAS\u00adSE", f"{text} {word(n)}") for n, (_, text) in enumerate(composed)]
    train, valid, test = hold_out(composed + decomposed, 10, 10, seed=1)
    starts = [{source.split()[0] for source, _ in part} for part in (train, valid, test)]
    assert not starts[0] & (starts[1] | starts[2])


def test_near_copies_are_the_pairs_that_comparing_all_of_them_finds() -> None:
    rng = random.Random(3)
    texts = [" ".join(rng.choices("abcdef", (9, 5, 3, 2, 1, 1), k=rng.randint(1, 14))) for _ in range(300)]
    triples = [{*zip(words, words[1:], words[2:], strict=False)} for words in (["", *t.split(), ""] for t in texts)]
    both = [(held, other) for held in range(100) for other in range(300)]
    most = {(h, o) for h, o in both if len(triples[h] & triples[o]) > MAX_SHARED * len(triples[h])}
    found = list(near_copies([*enumerate(texts)][:100], enumerate(texts)))
    assert len(most) > 150
    assert set(found) == most
    assert len(found) == len(most)
