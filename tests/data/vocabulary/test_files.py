"""Text to ids and back: what comes back, what never comes in, what is refused, and vocabularies of other packages."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from fixture_types import TrainTiny

import nmt
from nmt.core.errors import UserError
from nmt.data.vocabulary.base import SPACE, Vocabulary
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import VocabularyOptions

GERMAN = [
    "Der Hund schläft im Garten.",
    "Die müde Katze sieht den Mond, nicht wahr?",
    "Heute trinkt das Kind kaltes Wasser!",
    "„Wo ist der Bahnhof?“, fragte sie.",
    "Straßenbahn-Haltestelle: um 7.30 Uhr",
    "Ärger über Öl übertrifft Grüße",
]
ENGLISH = [
    "The dog sleeps in the garden.",
    "The tired cat sees the moon, doesn't it?",
    "Today the child drinks cold water!",
    "'Where is the station?' she asked.",
    "Tram stop: at 7.30",
    "Anger about oil beats greetings",
]
PAIRS = list(zip(GERMAN, ENGLISH, strict=True))
SIZES = {"unigram": 90, "bpe": 130, "character": 1000, "word": 1000}


def train(kind: str, pairs: Sequence[tuple[str, str]] = PAIRS, **options: Any) -> Vocabularies:
    return train_vocabularies(VocabularyOptions(**{"type": kind, "size": SIZES[kind], **options}), pairs)


@pytest.fixture(scope="module", params=SIZES)
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    return train(request.param).source


def test_pieces_stand_for_what_they_say(vocabulary: Vocabulary) -> None:
    text = GERMAN[1]
    pieces = vocabulary.pieces(text)
    assert "".join(text[begin:end].strip() for _, begin, end in pieces) == text.replace(" ", "")
    for index, begin, end in pieces:
        assert vocabulary.token(index).strip("▁") == text[begin:end].strip()


@pytest.mark.parametrize(("kind", "size", "size_split"), [("unigram", 36, 27), ("bpe", 60, 60)])
def test_each_digit_is_a_piece_where_digits_are_split(kind: str, size: int, size_split: int) -> None:
    pairs = [(f"Zimmer 1234 um {hour}.30 Uhr", f"room 1234 at {hour}.30") for hour in range(10, 20)]
    whole, split = (train(kind, pairs, size=size).source, train(kind, pairs, size=size_split, split_digits=True).source)
    assert any(sum(map(str.isdigit, whole.token(i))) > 1 for i in range(len(whole)))
    assert not any(set("0123456789") & set(piece := split.token(i)) and len(piece) > 1 for i in range(len(split)))
    assert split.decode(split.encode("um 1390 Uhr")) == "um 1390 Uhr"


@pytest.mark.parametrize("text", ["", " ", "\t \u00a0"])
def test_text_without_words_has_no_ids(vocabulary: Vocabulary, text: str) -> None:
    assert vocabulary.encode(text) == []
    assert vocabulary.pieces(text) == []
    assert vocabulary.decode([]) == ""


def test_what_was_never_seen_is_unknown(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode("der ☃")
    assert vocabulary.unk in ids
    assert "☃" not in vocabulary.decode(ids)


def test_the_special_ids_are_first(vocabulary: Vocabulary) -> None:
    assert (vocabulary.pad, vocabulary.unk, vocabulary.sos, vocabulary.eos) == (0, 1, 2, 3)


def words_of(vocabulary: Vocabulary) -> list[str]:
    return [vocabulary.token(index) for index in range(4, len(vocabulary))]


def test_words_come_by_frequency_and_then_by_the_alphabet() -> None:
    pairs = [("b a c", "b"), ("d b", "a")]
    assert words_of(train("word", pairs).source) == ["▁b", "▁a", "▁c", "▁d"]
    assert words_of(train("word", pairs[::-1]).source) == ["▁b", "▁a", "▁c", "▁d"]


def test_rare_words_are_unknown() -> None:
    pairs = [("b a c", "b"), ("d b", "a")]
    vocabulary = train("word", pairs, min_count=2).source
    assert words_of(vocabulary) == ["▁b", "▁a"]
    assert vocabulary.encode("a c b") == [5, vocabulary.unk, 4]
    assert vocabulary.decode(vocabulary.encode("a c b")) == "a <unk> b"


def test_the_size_counts_the_specials_and_keeps_the_most_frequent() -> None:
    pairs = [(f"{'w ' * number}x{number}", "y") for number in range(9)]
    vocabulary = train("word", pairs, size=8).source
    assert len(vocabulary) == 8
    assert words_of(vocabulary)[:2] == ["▁w", "▁y"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop-gap, (really)!", ["▁Don't", "▁stop-gap", ",", "▁(", "really", ")", "!"]),
        ("L’été – 7.30", ["▁L’été", "▁–", "▁7", ".", "30"]),
        ("a  b\tc", ["▁a", "▁b", "▁c"]),
    ],
)
def test_words_are_split_at_spaces_and_punctuation(text: str, words: list[str]) -> None:
    assert [word for word, _, _ in WordVocabulary.split(text)] == words


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("joint", [True, False])
def test_vocabularies_are_the_same_after_saving(tmp_path: Path, kind: str, joint: bool) -> None:
    vocabularies = train(kind, joint=joint, size=55 if kind == "unigram" and not joint else SIZES[kind])
    vocabularies.save(tmp_path)
    files = list(tmp_path.iterdir())
    assert len(files) == (1 if joint else 2)
    for path in [tmp_path, *files] if joint else [tmp_path]:
        loaded = Vocabularies.load(path)
        assert loaded.joint is vocabularies.joint is joint
        assert loaded.fingerprint == vocabularies.fingerprint
        assert loaded.source.encode(GERMAN[1]) == vocabularies.source.encode(GERMAN[1])
        assert loaded.target.encode(ENGLISH[1]) == vocabularies.target.encode(ENGLISH[1])


def test_separate_vocabularies_know_only_their_side() -> None:
    vocabularies = train("word", joint=False)
    assert vocabularies.source.unk not in vocabularies.source.encode("Katze Mond")
    assert set(vocabularies.target.encode("Katze Mond")) == {vocabularies.target.unk}
    assert vocabularies.source.unk not in train("word").source.encode("Katze moon")


def test_a_sentencepiece_model_with_ids_of_its_own_works(tmp_path: Path) -> None:
    model = tmp_path / "own.model"
    ids_of_its_own = {"unk_id": 0, "pad_id": 1, "bos_id": 2, "eos_id": 3}
    with model.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(GERMAN), model_writer=file, vocab_size=80, hard_vocab_limit=False,
            character_coverage=1.0, minloglevel=2, **ids_of_its_own,
        )  # fmt: skip
    vocabulary = Vocabularies.load(model).source
    assert (vocabulary.unk, vocabulary.pad, vocabulary.sos, vocabulary.eos) == (0, 1, 2, 3)
    text = GERMAN[0]
    ids = vocabulary.encode(text)
    assert vocabulary.decode([vocabulary.sos, *ids, vocabulary.eos, vocabulary.pad, vocabulary.pad]) == text
    assert min(ids) > 3
    assert "⁇" in vocabulary.decode(vocabulary.encode("☃ Hund"))


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_size_beyond_what_the_text_gives_names_the_limit_and_the_limit_works(kind: str) -> None:
    with pytest.raises(
        UserError, match=r"training text gives at most \d+ pieces, but vocabulary\.size is 8000"
    ) as caught:
        train(kind, size=8000)
    limit = int(caught.value.remedy.partition("vocabulary.size=")[2].split()[0])
    assert len(train(kind, size=limit).source) == limit
    with pytest.raises(UserError, match=f"at most {limit}"):
        train(kind, size=limit + 1)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_size_below_the_alphabet_names_it(kind: str) -> None:
    with pytest.raises(UserError, match=r"(?s)for characters and specials.*vocabulary\.size is 10.*Raise"):
        train(kind, size=10)
    with pytest.raises(UserError, match=r"needs 3\d\d pieces for.*\n.*byte_fallback takes 256"):
        train(kind, size=120, byte_fallback=True)


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("pairs", [[], [("", ""), (" ", "\t")]], ids=["no lines", "empty lines"])
def test_empty_text_gives_no_vocabulary(kind: str, pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(UserError, match="the training text is empty"):
        train(kind, pairs)


def test_the_empty_side_is_named() -> None:
    with pytest.raises(UserError, match="the target side is empty"):
        train("word", [("a", ""), ("b", "")], joint=False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocabulary.model", b"", "not a sentencepiece model"),
        ("vocabulary.model", b"not a model", "not a sentencepiece model"),
        ("vocabulary.txt", b"one\ntwo\n", "not a word vocabulary"),
        ("vocabulary.txt", b"", "not a word vocabulary"),
        ("vocabulary.txt", b"<pad>\n<unk>\n<s>\n</s>\n\xff\n", "can't be read as a vocabulary"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(UserError, match=rf"{name}.*{message}"):
            Vocabularies.load(path)


def test_a_model_without_padding_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(GERMAN), model_prefix=str(tmp_path / "foreign"), vocab_size=60, minloglevel=2
    )
    with pytest.raises(UserError, match=r"(?s)foreign\.model: .*lacks a padding.*--pad_id"):
        Vocabularies.load(tmp_path / "foreign.model")


def test_a_folder_without_a_vocabulary_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no vocabulary at"):
        Vocabularies.load(tmp_path)


@pytest.mark.parametrize("kind", SIZES)
def test_what_is_wrong_with_the_text_is_told_as_it_is(kind: str) -> None:
    def pairs() -> Iterator[tuple[str, str]]:
        yield from PAIRS
        raise UserError("train.de, line 7: not UTF-8.")

    with pytest.raises(UserError, match=r"^train\.de, line 7: not UTF-8\.$"):
        train_vocabularies(VocabularyOptions(type=kind, size=SIZES[kind]), pairs())


class Letters(WordVocabulary):
    """Each character is a word."""

    suffix = ".letters"

    @staticmethod
    def split(text: str) -> list[tuple[str, int, int]]:
        return [
            ((SPACE if not i or text[i - 1].isspace() else "") + letter, i, i + 1)
            for i, letter in enumerate(text)
            if not letter.isspace()
        ]


@pytest.mark.quick("True")
@pytest.mark.parametrize("joint", [False, True])
def test_an_outside_vocabulary_is_learned_saved_and_loaded(train_tiny: TrainTiny, joint: bool) -> None:
    nmt.add_component("letters", Letters)
    directory = train_tiny("training.max_steps=1", "vocabulary.type=letters", f"vocabulary.joint={joint}")
    found = Vocabularies.load(directory)
    assert isinstance(found.source, Letters)
    assert found.joint == joint
    names = ["vocabulary.letters"] if joint else ["vocabulary.source.letters", "vocabulary.target.letters"]
    assert sorted(path.name for path in directory.glob("vocabulary.*")) == names
    ids = found.source.encode("Der Hund")
    assert [found.source.token(i) for i in ids] == ["▁D", "e", "r", "▁H", "u", "n", "d"]
    assert found.source.decode(ids) == "Der Hund"
    assert load_recipe(directory / "recipe.yaml").plugins == {__name__: ""}  # without it the model can't be loaded


def test_a_sentencepiece_model_with_a_piece_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """It was damaged, or made to stop a server at the first sentence that has the piece."""
    content = train("bpe").source.to_bytes()
    (path := tmp_path / "vocabulary.model").write_bytes(content.replace("ä".encode(), b"\xff\xff", 1))
    with pytest.raises(UserError, match=r"vocabulary\.model: This is not a sentencepiece model"):
        Vocabularies.load(path)
