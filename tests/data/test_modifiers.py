"""Changed copies of training sentences: what each modifier does, how often, and that the rest stays."""

from pathlib import Path

import numpy as np
import pytest

from nmt.config import Modifier, VocabularyOptions
from nmt.data.corpus import GivenText, TaggedText
from nmt.data.encoded_corpus import EncodedCorpus, encode_corpus
from nmt.data.modifiers import MODIFIERS, Modifiers
from nmt.data.vocabulary import Vocabularies, train_vocabularies

PAIRS = [(f"der müde Hund schläft {number}.", f"the tired dog sleeps {number}.") for number in range(400)]
CHARACTERS = "".join(chr(code) for code in range(65, 123) if chr(code).isalpha()) + "ÜÄ"


@pytest.fixture(scope="module")
def vocabularies() -> Vocabularies:
    pairs = [*PAIRS, *((letter, letter) for letter in CHARACTERS)]
    options = VocabularyOptions(type="unigram", size=100)
    return train_vocabularies(options, GivenText(pairs, "pairs"), tags=["<2en>"])


@pytest.fixture(scope="module")
def corpus(vocabularies: Vocabularies) -> EncodedCorpus:
    return encode_corpus(TaggedText(GivenText(PAIRS, "pairs"), "<2en>"), vocabularies, 60)


def read(
    corpus: EncodedCorpus, vocabularies: Vocabularies, shares: dict[Modifier, float], epoch: int = 0, length: int = 60
) -> list[tuple[str, str]]:
    """The pairs as an epoch reads them."""
    source, target = Modifiers(shares, vocabularies, length)(corpus.sides, 1, epoch)
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
    corpus: EncodedCorpus, vocabularies: Vocabularies, name: Modifier, expected: tuple[str, str]
) -> None:
    assert MODIFIERS[name][0](PAIRS[7][1], np.random.default_rng(0)) == expected[1]
    assert read(corpus, vocabularies, {name: 1.0})[7] == expected


def test_typos_are_in_the_source_alone(corpus: EncodedCorpus, vocabularies: Vocabularies) -> None:
    found = read(corpus, vocabularies, {"typos": 1.0})
    assert [target for _, target in found] == [target for _, target in PAIRS]
    mistyped = [ours for (ours, _), (theirs, _) in zip(found, PAIRS, strict=True) if ours != theirs]
    # Three words of four letters or more, each with a typing error in 15 of 100.
    assert 0.25 < len(mistyped) / len(PAIRS) < 0.5
    assert {len(line.split()) for line in mistyped} == {5}


def test_shares_seeds_and_epochs(corpus: EncodedCorpus, vocabularies: Vocabularies) -> None:
    shares: dict[Modifier, float] = {"title_case": 0.1, "no_end_punctuation": 0.3}
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
    corpus = encode_corpus(TaggedText(GivenText([(".", ".")], "marks"), "<2en>"), vocabularies, 60)
    assert read(corpus, vocabularies, {"no_end_punctuation": 1.0}) == [(".", ".")]


def test_a_sentence_with_unknown_words_stays_as_it_was(tmp_path: Path) -> None:
    made = train_vocabularies(VocabularyOptions(type="word"), [("der Hund", "the dog"), ("Der", "The Dog")])
    pairs = [("der Hund", "the dog"), ("der Wal", "the dog"), ("hund", "the the")]
    corpus = encode_corpus(GivenText(pairs, "x"), made, 9)
    source, target = Modifiers({"title_case": 1.0}, made, 9)(corpus.sides, 1, 0)
    found = [(made.source.decode(source[i].tolist()), made.target.decode(target[i].tolist())) for i in range(3)]
    assert found[0] == ("Der Hund", "The Dog")
    assert source[1].tolist() == corpus.source[1].tolist()
    assert target[1].tolist() == corpus.target[1].tolist()
