"""Words in place of UNK."""

from nmt.data.vocabulary.words import WordVocabulary
from nmt.translation.results import spell_unknown

WORDS = WordVocabulary(["▁the", "▁dog", ".", "▁of"])
THE, DOG, DOT, OF = range(4, 8)


def test_words_take_the_places_of_unk_with_the_right_spaces() -> None:
    unk = WORDS.unk
    assert spell_unknown([THE, unk, DOT], WORDS, {1: "Fritz"}) == "the Fritz."
    assert spell_unknown([unk, OF, THE, unk], WORDS, {0: "Karl", 3: "Wald"}) == "Karl of the Wald"
    assert spell_unknown([unk, unk], WORDS, {0: "a", 1: "b"}) == "a b"
    assert spell_unknown([THE, DOG, DOT], WORDS, {}) == WORDS.decode([THE, DOG, DOT])
