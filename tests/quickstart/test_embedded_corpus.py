"""The embedded corpus: distinct splits, links that cover the words, and text as people write it."""

import hashlib

import pytest

from nmt.quickstart.embedded_corpus import AlignedPair, splits


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[AlignedPair]]:
    return splits()


@pytest.mark.slow  # the golden losses of the ordinary run are computed on its first pairs
def test_the_corpus_is_the_one_that_figures_are_published_for(corpus: dict[str, list[AlignedPair]]) -> None:
    digest = hashlib.sha256()
    for name in ("train", "valid", "test"):
        for pair in corpus[name]:
            digest.update(f"{pair.source}\t{pair.target}\t{pair.links}\n".encode())
    assert digest.hexdigest() == "7a69956fbf5179c0dcab1433deb5a0f0aeeca4a76e4eb5013a922877afa3ca1e"


@pytest.mark.slow
def test_smaller_splits_are_the_first_pairs(corpus: dict[str, list[AlignedPair]]) -> None:
    small = splits(train=10, valid=20, test=500)
    assert (small["valid"], small["test"]) == (corpus["valid"][:20], corpus["test"])
    for sizes in ((1, 500, 501), (24_001, 500, 500)):
        with pytest.raises(ValueError, match="25,000 pairs"):
            splits(*sizes)
