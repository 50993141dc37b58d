"""Which target tokens the lexicon proposes."""

import pytest

from nmt.alignment.lexicon import Lexicon
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.extensions.shortlist import candidates as shortlist
from nmt.extensions.shortlist.search import special_ids

SOURCE = WordVocabulary(["▁hund", "▁Hund", "▁katze", "▁Oslo", ",", "katze"])
OTHERS = [f"x{i}" for i in range(90)]
TARGET = WordVocabulary([f"▁{word}" for word in ["dog", "Dog", "hound", "cat", "Oslo", *OTHERS, "cur", "the"]])
LEXICON = Lexicon({"hund": {"hound": 5.0, "dog": 20.0, "cur": 1.0}, "katze": {"cat": 9.0}, "die": {"the": 99.0}})


def words(size: int, *sentences: str) -> set[str]:
    """The words of a shortlist."""
    found = shortlist.LexicalShortlist(LEXICON, Vocabularies(SOURCE, TARGET), size)
    ids = found([SOURCE.encode(sentence) for sentence in sentences])
    assert ids == sorted(set(ids))
    assert set(special_ids(TARGET)) <= set(ids)
    return {TARGET.token(i).lstrip("▁") for i in ids}


def test_the_likeliest_translations_of_each_word_the_word_itself_and_common_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shortlist, "COMMON", 1)
    monkeypatch.setattr(shortlist, "MULTIPLE", 1)
    specials = {TARGET.token(i) for i in special_ids(TARGET)}
    assert words(1, "hund") - specials == {"the", "dog", "Dog"}
    assert words(2, "Hund katze") - specials == {"the", "dog", "Dog", "hound", "cat"}
    assert words(1, "Oslo") - specials == {"the", "Oslo"}
    # Of a word that the lexicon doesn't have: the translations of words that share a token with it.
    assert words(1, "hund,katze") - specials == {"the", "dog", "Dog"}


def test_it_is_filled_to_a_multiple_with_the_most_frequent_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist, "COMMON", 0)
    found = words(1, "katze")
    assert len(found) == shortlist.MULTIPLE
    assert {"cat", "the", "dog", "hound", "cur"} <= found
    monkeypatch.setattr(shortlist, "MULTIPLE", 1000)
    assert len(words(1, "katze")) == len(TARGET)
