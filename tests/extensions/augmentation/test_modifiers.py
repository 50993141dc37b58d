"""Changed copies of training sentences: what each modifier does, how often, and that the rest stays."""

import re
from itertools import chain
from pathlib import Path

import pytest

from nmt.alignment.links import LINKS
from nmt.data.cache import EncodedCorpus, encode_corpus
from nmt.data.sources import GivenText, ReadText
from nmt.data.vocabulary.base import Piece, Vocabulary
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.data.words import Words
from nmt.extensions.augmentation.modifiers import MODIFIERS, Augmentations, modified
from nmt.extensions.augmentation.modifiers import Words as TextWords
from nmt.recipe.schema import DataOptions, VocabularyOptions

PAIRS = [(f"der müde Hund schläft {number}.", f"the tired dog sleeps {number}.") for number in range(400)]
CHARACTERS = "".join(chr(code) for code in range(65, 123) if chr(code).isalpha()) + "ÜÄ"


@pytest.fixture(scope="module")
def vocabularies() -> Vocabularies:
    pairs = [*PAIRS, *((letter, letter) for letter in CHARACTERS)]
    options = VocabularyOptions(type="unigram", size=100)
    return train_vocabularies(options, GivenText(pairs, "pairs"), tags=["<2en>"])


@pytest.fixture(scope="module")
def corpus(vocabularies: Vocabularies) -> EncodedCorpus:
    return encode_corpus(ReadText(GivenText(PAIRS, "pairs"), tag="<2en>"), vocabularies, 60)


def read(
    corpus: EncodedCorpus, vocabularies: Vocabularies, shares: dict[str, float], epoch: int = 0, length: int = 60
) -> list[tuple[str, str]]:
    """The pairs as an epoch reads them."""
    (source, target), _ = Augmentations(shares, vocabularies, length)(corpus.sides, {}, 1, epoch)
    assert source.lengths.tolist() == [len(source[i]) for i in range(len(source))]
    assert target.lengths.tolist() == [len(target[i]) for i in range(len(target))]
    tag = vocabularies.source.tags["<2en>"]
    assert all(source[i].tolist().index(tag) == 0 for i in range(len(source)))
    decode = vocabularies.source.decode
    return [(decode(source[i].tolist()), decode(target[i].tolist())) for i in range(len(source))]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("upper_case", ("DER MÜDE HUND SCHLÄFT 7.", "THE TIRED DOG SLEEPS 7.")),
        ("title_case", ("Der Müde Hund Schläft 7.", "The Tired Dog Sleeps 7.")),
        ("no_end_punctuation", ("der müde Hund schläft 7", "the tired dog sleeps 7")),
    ],
)
def test_what_a_modifier_does(
    corpus: EncodedCorpus, vocabularies: Vocabularies, name: str, expected: tuple[str, str]
) -> None:
    assert modified(name, PAIRS[7:8], seed=0) == [expected]
    assert read(corpus, vocabularies, {name: 1.0})[7] == expected


def test_typos_are_in_the_source_alone(corpus: EncodedCorpus, vocabularies: Vocabularies) -> None:
    found = read(corpus, vocabularies, {"typos": 1.0})
    assert [target for _, target in found] == [target for _, target in PAIRS]
    mistyped = [ours for (ours, _), (theirs, _) in zip(found, PAIRS, strict=True) if ours != theirs]
    # Three words of four letters or more, each with a typing error in 15 of 100.
    assert 0.25 < len(mistyped) / len(PAIRS) < 0.5
    assert {len(line.split()) for line in mistyped} == {5}


def test_shares_seeds_and_epochs(corpus: EncodedCorpus, vocabularies: Vocabularies) -> None:
    shares: dict[str, float] = {"title_case": 0.1, "no_end_punctuation": 0.3}
    first, again, second = (read(corpus, vocabularies, shares, epoch) for epoch in (0, 0, 1))
    assert first == again != second
    kinds = [(target[0].isupper(), target.endswith(".")) for _, target in first]
    counts = {kind: kinds.count(kind) / len(kinds) for kind in kinds}
    assert counts[True, True] == pytest.approx(0.1, abs=0.04)
    assert counts[False, False] == pytest.approx(0.3, abs=0.06)
    assert sum(counts.values()) - counts[False, True] == pytest.approx(0.4, abs=0.06)


def test_what_gets_too_long_stays_as_it_was(corpus: EncodedCorpus, vocabularies: Vocabularies) -> None:
    longest = int(max(side.lengths.max() for side in corpus.sides))
    found = read(corpus, vocabularies, {"upper_case": 1.0}, length=longest)
    assert any(not target.isupper() for _, target in found)


def test_nothing_but_a_tag_is_never_left_over(vocabularies: Vocabularies) -> None:
    corpus = encode_corpus(ReadText(GivenText([(".", ".")], "marks"), tag="<2en>"), vocabularies, 60)
    assert read(corpus, vocabularies, {"no_end_punctuation": 1.0}) == [(".", ".")]


def test_a_sentence_with_unknown_words_stays_as_it_was(tmp_path: Path) -> None:
    made = train_vocabularies(VocabularyOptions(type="word"), [("der Hund", "the dog"), ("Der", "The Dog")])
    pairs = [("der Hund", "the dog"), ("der Wal", "the dog"), ("hund", "the the")]
    corpus = encode_corpus(GivenText(pairs, "x"), made, 9)
    (source, target), _ = Augmentations({"title_case": 1.0}, made, 9)(corpus.sides, {}, 1, 0)
    found = [(made.source.decode(source[i].tolist()), made.target.decode(target[i].tolist())) for i in range(3)]
    assert found[0] == ("Der Hund", "The Dog")
    assert source[1].tolist() == corpus.source[1].tolist()
    assert target[1].tolist() == corpus.target[1].tolist()


def test_noise_is_letters_of_the_source_that_are_to_be_copied(
    corpus: EncodedCorpus, vocabularies: Vocabularies
) -> None:
    found = read(corpus, vocabularies, {"noise": 1.0})
    assert sum(source == target for source, target in found) > 0.9 * len(found)
    for (source, target), (before, _) in zip(found, PAIRS, strict=True):
        assert source != target or sorted(source.replace(" ", "")) == sorted(before.replace(" ", ""))
    assert found != PAIRS


def test_joined_sentences_stand_in_the_same_order_on_both_sides(
    corpus: EncodedCorpus, vocabularies: Vocabularies
) -> None:
    counts = set()
    for (source, target), (first, _) in zip(read(corpus, vocabularies, {"join": 1.0}, length=200), PAIRS, strict=True):
        assert source.startswith(first)
        numbers = [re.findall(r"\d+", side) for side in (source, target)]
        assert numbers[0] == numbers[1]
        assert source == " ".join(PAIRS[int(number)][0] for number in numbers[0])
        counts.add(len(numbers[0]))
    assert counts == {2, 3, 4}


LINKED = [("der müde Hund schläft.", "the tired dog sleeps."), ("und schläft der Hund?", "and does the dog sleep?")]
OF_WORDS = ["0-0 1-1 2-2 3-3 4-4", "0-0 1-1 1-4 2-2 3-3 4-5"]


@pytest.fixture(params=["unigram", "word"])
def linked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Vocabularies, EncodedCorpus]:
    """A corpus with links between words, with a tag in front of each source."""
    from nmt.extensions.techniques.guided_alignment import LinkFile

    changed = [pair for name in MODIFIERS if name != "noise" for pair in modified(name, LINKED, seed=0)]
    pairs = [*LINKED, *changed, *((letter, letter) for letter in CHARACTERS)]
    options = VocabularyOptions(type=request.param, size=90 if request.param == "unigram" else 200)
    made = train_vocabularies(options, pairs, tags=["<2en>"], terms=True)  # type: ignore[arg-type]
    (tmp_path / "links").write_text("\n".join(OF_WORDS * 50) + "\n")
    links = LinkFile(tmp_path / "links", True, DataOptions(source="de", target="en"), made)
    return made, encode_corpus(ReadText(GivenText(LINKED * 50, "linked"), tag="<2en>"), made, 200, annotations=[links])


def words_of(text: str, vocabulary: Vocabulary) -> list[str]:
    """For each piece of a text without tags its word."""
    words = Words.split_punctuation(text)
    return [words.words[word] if word >= 0 else "" for word in words.of_pieces(vocabulary.pieces(text))]


@pytest.mark.extension("techniques")
@pytest.mark.parametrize("name", [name for name in MODIFIERS if name != "noise"])
def test_links_go_along(linked: tuple[Vocabularies, EncodedCorpus], name: str) -> None:
    """Each link is between the words that it was between, changed or not."""
    made, corpus = linked
    (source, target), annotations = Augmentations({name: 1.0}, made, 200)(corpus.sides, corpus.annotations, 1, 0)
    words = [
        [[word.strip("▁").casefold() for word, *_ in WordVocabulary.split(side)] for side in pair] for pair in LINKED
    ]
    links = [(pair, link.split("-")) for pair, line in zip(words, OF_WORDS, strict=True) for link in line.split()]
    known = {(pair[0][int(i)], pair[1][int(j)]) for pair, (i, j) in links}
    num_changed = 0
    for row, (before, _) in enumerate(LINKED * 50):
        texts = made.source.decode(source[row].tolist()), made.target.decode(target[row].tolist())
        num_changed += texts[0] != before
        of_source, of_target = words_of(texts[0], made.source), words_of(texts[1], made.target)
        linked_words = {(of_source[i - 1].casefold(), of_target[j].casefold()) for i, j in annotations[LINKS][row]}
        if name == "typos":
            assert len(linked_words) >= 5
            continue
        assert linked_words <= known
        assert len({a for a, _ in linked_words}) >= (4 if name == "no_end_punctuation" else 5)
    has_letters = not isinstance(made.source, WordVocabulary)  # a mistyped word is unknown
    assert num_changed >= (20 if name != "typos" or has_letters else 0)


@pytest.mark.extension("techniques")
def test_a_term_is_the_translation_of_the_word_before(linked: tuple[Vocabularies, EncodedCorpus]) -> None:
    made, corpus = linked
    (source, target), _ = Augmentations({"terms": 1.0}, made, 200)(corpus.sides, corpus.annotations, 1, 0)
    texts = [made.source.decode(source[row].tolist()) for row in range(len(source))]
    hints = set(chain.from_iterable(re.findall(r"(\S+)<term> (\S+)</term>", text) for text in texts))
    assert hints == {("der", "the"), ("müde", "tired"), ("Hund", "dog"), ("und", "and"), ("schläft", "sleeps")}
    assert [re.sub(r"<term>.*?</term>", "", text) for text in texts] == [text for text, _ in LINKED * 50]
    assert [made.target.decode(target[row].tolist()) for row in range(len(target))] == [text for _, text in LINKED * 50]


def test_all_bytes_of_a_character_belong_to_its_word() -> None:
    """Only the last byte of a character covers it; the others are empty spans at its beginning."""
    pieces = [Piece(1, 0, 1), Piece(2, 2, 2), Piece(3, 2, 2), Piece(4, 2, 3)]
    assert TextWords.of("a ☃").in_pieces(pieces).tolist() == [[True, False]] + [[False, True]] * 3
