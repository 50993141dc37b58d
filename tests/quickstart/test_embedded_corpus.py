"""The embedded corpus: distinct splits, links that cover the words, and text as people write it."""

import hashlib
from collections import Counter

import pytest

from nmt.quickstart.embedded_corpus import AlignedPair, splits


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[AlignedPair]]:
    return splits()


def test_the_corpus_is_the_one_that_figures_are_published_for(corpus: dict[str, list[AlignedPair]]) -> None:
    digest = hashlib.sha256()
    for name in ("train", "valid", "test"):
        for pair in corpus[name]:
            digest.update(f"{pair.source}\t{pair.target}\t{pair.links}\n".encode())
    assert digest.hexdigest() == "7a69956fbf5179c0dcab1433deb5a0f0aeeca4a76e4eb5013a922877afa3ca1e"


def test_splits_share_no_sentence(corpus: dict[str, list[AlignedPair]]) -> None:
    assert {name: len(pairs) for name, pairs in corpus.items()} == {"train": 24_000, "valid": 500, "test": 500}
    for side in ("source", "target"):
        texts = {name: [getattr(pair, side) for pair in pairs] for name, pairs in corpus.items()}
        assert not set(texts["train"]) & {*texts["valid"], *texts["test"]}
        assert len({*texts["valid"], *texts["test"]}) == 1_000
    assert len({pair.source for pairs in corpus.values() for pair in pairs}) == 25_000


@pytest.mark.slow
def test_smaller_splits_are_the_first_pairs(corpus: dict[str, list[AlignedPair]]) -> None:
    small = splits(train=10, valid=20, test=500)
    assert (small["valid"], small["test"]) == (corpus["valid"][:20], corpus["test"])
    for sizes in ((1, 500, 501), (24_001, 500, 500)):
        with pytest.raises(ValueError, match="25,000 pairs"):
            splits(*sizes)


def test_links_are_in_range_and_cover_the_words(corpus: dict[str, list[AlignedPair]]) -> None:
    unlinked: Counter[str] = Counter()
    for sentence in corpus["train"]:
        assert list(sentence.links) == sorted(set(sentence.links))
        assert all(
            0 <= source < len(sentence.source_tokens) and 0 <= target < len(sentence.target_tokens)
            for source, target in sentence.links
        )
        for side, tokens in ((0, sentence.source_tokens), (1, sentence.target_tokens)):
            linked = {link[side] for link in sentence.links}
            unlinked.update(token.lower() for index, token in enumerate(tokens) if index not in linked)
    assert set(unlinked) == {",", "of", "to", "do", "does", "did"}


def test_text_is_detokenised(corpus: dict[str, list[AlignedPair]]) -> None:
    assert len(corpus["test"]) > 10
    for sentence in corpus["test"]:
        for text in (sentence.source, sentence.target):
            assert text[0].isupper()
            assert text[-1] in ".?"
            assert "  " not in text
            assert " ," not in text
            assert ",." not in text


def test_lengths_and_constructions(corpus: dict[str, list[AlignedPair]]) -> None:
    lengths = [len(pair.source_tokens) for pair in corpus["train"]]
    assert 8 <= sum(lengths) / len(lengths) <= 10
    assert min(lengths) >= 3
    assert max(lengths) <= 26
    constructions = Counter(pair.construction for pair in corpus["train"])
    assert len(constructions) == 11
    assert min(constructions.values()) > 400
    questions = {pair.construction for pair in corpus["train"] if pair.target.endswith("?")}
    assert questions == {"yes_no", "wh_question"}
