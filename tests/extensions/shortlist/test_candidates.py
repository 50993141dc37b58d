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


@pytest.fixture(autouse=True)
def constants(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COMMON": 1, "MULTIPLE": 1, "TOKENS": 2}.items():
        monkeypatch.setattr(shortlist, name, value)


def test_the_likeliest_tokens_of_each_token_its_own_text_and_common_tokens() -> None:
    specials = {TARGET.token(i) for i in special_ids(TARGET)}
    assert words(1, "hund") - specials == {"the", "dog", "Dog"}
    assert words(2, "Hund katze") - specials == {"the", "dog", "Dog", "hound", "cur", "cat"}
    assert words(1, "Oslo") - specials == {"the", "Oslo"}
    # A word that the lexicon doesn't have: its tokens are those of other words.
    assert words(1, "hund,katze") - specials == {"the", "dog", "Dog"}


def test_it_is_filled_to_a_multiple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist, "MULTIPLE", 64)
    found = words(1, "katze")
    assert len(found) == 64
    assert {"cat", "the"} <= found
    monkeypatch.setattr(shortlist, "MULTIPLE", 1000)
    assert len(words(1, "katze")) == len(TARGET)
