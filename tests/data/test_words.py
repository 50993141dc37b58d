"""Words of a text and the pieces that belong to them."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.alignment.aligner import membership, merge_to_turns, turns_of_words
from nmt.alignment.links import WordAlignment, to_json
from nmt.core.errors import UserError
from nmt.data.dialogue import LineReader
from nmt.data.vocabulary.base import SEPARATOR, Piece, Vocabulary
from nmt.data.vocabulary.files import train_vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.data.words import Words, split_pairs
from nmt.recipe.schema import VocabularyOptions


@pytest.fixture(scope="module", params=["nmt_nfkc", "identity"])
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    """Pieces with bytes for unknown characters."""
    lines = ["Der Hund schläft im Garten.", "Die Katze sieht den Mond.", "Das Kind trinkt kaltes Wasser."]
    options = VocabularyOptions(type="unigram", size=290, byte_fallback=True, normalization=request.param)
    return train_vocabularies(options, [(line, line) for line in lines]).source


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("रामायण की कथा।", ["▁रामायण", "▁की", "▁कथा", "।"]),
        ("cafe\u0301s, l'e\u0301te\u0301-la!", ["▁cafe\u0301s", ",", "▁l'e\u0301te\u0301-la", "!"]),
        ("don't x- 'y' a--b", ["▁don't", "▁x", "-", "▁'", "y", "'", "▁a", "-", "-", "b"]),
        ("❤\ufe0f ไม่", ["▁❤", "\ufe0f", "▁ไม", "่"]),  # marks of scripts without spaces divide them
    ],
)
def test_marks_belong_to_the_word_of_their_letter(text: str, words: list[str]) -> None:
    assert [word for word, _, _ in WordVocabulary.split(text)] == words


@given(st.text())
def test_split_gives_what_stands_between_white_space(text: str) -> None:
    words = Words.split(text)
    assert list(words.words) == text.split()
    assert [text[begin:end] for begin, end in words.spans] == text.split()


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("Der Hund schläft , weil er müde ist .", "Der Hund schläft, weil er müde ist."),
        ("Ein Mann ( mit Hut ) lacht !", "Ein Mann (mit Hut) lacht!"),
        ('Er sagt : " Komm ! " und geht .', 'Er sagt: "Komm!" und geht.'),
        ("Er sagt : „ Komm ! “ und geht .", "Er sagt: „Komm!“ und geht."),
        ("He says : “ Come ! ” and leaves .", "He says: “Come!” and leaves."),
        ("Il dit : « Viens ! » et part .", "Il dit: «Viens!» et part."),
        ("Er sagt : » Komm ! « und geht .", "Er sagt: »Komm!« und geht."),
        ('" Ja " , sagt er , " und nein " .', '"Ja", sagt er, "und nein".'),
        ("The dog 's ball is n't here ; we 've looked .", "The dog's ball isn't here; we've looked."),
        ("l' homme qui m' a vu", "l'homme qui m'a vu"),
        ("¿ Qué ? ¡ Nada !", "¿Qué? ¡Nada!"),
        ("Um .5 Prozent , bei .NET , bleibt es .", "Um .5 Prozent, bei .NET, bleibt es."),
        ("Was ?! Wirklich ...", "Was?! Wirklich..."),
    ],
)
def test_detokenised_text_reads_as_it_was_written(tokens: str, text: str) -> None:
    assert Words.detokenise(tokens.split()).text == text


@given(
    st.lists(st.text(min_size=1).map(lambda text: "".join(text.split())).filter(bool) | st.sampled_from('.,()"„“”«»'))
)
def test_every_token_stays_a_word_of_its_own(tokens: Sequence[str]) -> None:
    words = Words.detokenise(tokens)
    assert list(words.words) == list(tokens)
    assert [words.text[begin:end] for begin, end in words.spans] == list(tokens)
    assert "".join(words.text.split()) == "".join(tokens)


@pytest.mark.parametrize(
    "text",
    [
        "Der Hund schläft im Garten.",
        "Übergrößenträger äußern Ärger über Fußgänger!",
        "😀 Der 👩‍👩‍👧 Hund 🏳️‍🌈 bellt.",
        "吾輩は猫である。 名前は",
    ],
)
def test_every_word_has_pieces_that_spell_it(vocabulary: Vocabulary, text: str) -> None:
    words = Words.split(text)
    pieces = vocabulary.pieces(text)
    owners = words.of_pieces(pieces)
    for index, word in enumerate(words.words):
        spelt = vocabulary.decode([piece.id for piece, owner in zip(pieces, owners, strict=True) if owner == index])
        # The normalisation of sentencepiece drops joiners and the like.
        assert spelt.replace(" ", "") == vocabulary.decode(vocabulary.encode(word)).replace(" ", ""), word


def test_a_piece_over_very_many_words_takes_time_that_is_linear_in_their_number() -> None:
    """It took minutes for an unknown piece of 100,000 emoji."""
    words = Words.split_punctuation("\U0001f600" * 100_000)
    assert len(words.spans) == 100_000
    assert words.of_pieces([Piece(0, 0, 100_000)]) == [0]


def test_joined_texts_keep_their_words_and_places() -> None:
    parts = [Words.detokenise(["Yes", "."]), Words.split(""), Words.split("a  bc")]
    joined = Words.join(parts, "\t")
    assert joined.text == "Yes.\t\ta  bc"
    assert joined.words == ("Yes", ".", "a", "bc")
    assert [joined.text[begin:end] for begin, end in joined.spans] == list(joined.words)


VOCABULARY = WordVocabulary([SEPARATOR, "▁a", "▁b", ","])
LINE = "a b,\t\tb a"


def test_each_word_has_the_turn_it_stands_in() -> None:
    assert turns_of_words(Words.split(LINE)) == (0, 0, 2, 2)
    assert turns_of_words(Words.split("a")) == (0,)
    assert turns_of_words(Words.split("")) == ()


def test_the_weight_of_a_turn_is_that_of_its_pieces_and_of_its_end() -> None:
    words, pieces = Words.split(LINE), LineReader(2).source_pieces(VOCABULARY, LINE)
    assert len(pieces) == 7  # a b , SEPARATOR SEPARATOR b a
    weights_TS = np.array([
        [0.1, 0.2, 0.1, 0.1, 0.2, 0.1, 0.1],  # 0.1 is left for EOS
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5],
        [0.0, 0.5, 0.0, 0.0, 0.5, 0.0, 0.0],
    ])  # fmt: skip
    # The second target word has the last two pieces; the third one has none.
    merged = merge_to_turns(weights_TS, words, pieces, membership([0, 1, 1], 3))
    np.testing.assert_allclose(merged, [[0.5, 0.2, 0.3], [0.25, 0.25, 0.5], [0, 0, 0]], atol=1e-6)


def test_turns_that_were_not_read_get_nothing() -> None:
    words, pieces = Words.split(LINE), LineReader(0).source_pieces(VOCABULARY, LINE)
    merged = merge_to_turns(np.array([[0.3, 0.4]]), words, pieces, membership([0], 1))
    np.testing.assert_allclose(merged, [[0, 0, 1]])


def alignment(turn_weights: list[list[float]] | None, source: str = LINE) -> WordAlignment:
    words = Words.split(source)
    weights = np.full((2, len(words.words)), 0.2, dtype=np.float32)
    matrix = None if turn_weights is None else np.array(turn_weights, dtype=np.float32)
    return WordAlignment(words.words, ("x", "y"), weights, (), turns=turns_of_words(words), turn_weights=matrix)


def test_json_has_turns_only_for_dialogues() -> None:
    row = to_json(alignment([[0.3, 0.30001, 0.4], [1, 0, 0]]))
    assert (row["turns"], row["turn_weights"]) == ([0, 0, 2, 2], [[0.3, 0.3, 0.4], [1, 0, 0]])
    assert {"turns", "turn_weights"}.isdisjoint(to_json(alignment(None)))


@pytest.mark.parametrize(
    "pairs", [("Ein Hund", "A dog"), [("ab", "cd"), "ab"], [("Ein Hund",)], [{"de": "Ein Hund", "en": "A dog"}], [None]]
)
def test_what_is_not_a_pair_of_texts_is_refused(pairs: Sequence[tuple[str, str]]) -> None:
    with pytest.raises(UserError, match="isn't two texts"):
        list(split_pairs(pairs, tokenized=False, split_punctuation=False))
