"""Unigram models of pieces: their probabilities, and the file that keeps the counts."""

from pathlib import Path

import numpy as np
import pytest

from nmt.core.errors import UserError
from nmt.data.sources import GivenText
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.extensions.serving.piece_counts import SMOOTHING, UNKNOWN, PieceModel, load_models, save_counts
from nmt.recipe.schema import VocabularyOptions


@pytest.fixture(scope="module")
def vocabularies() -> Vocabularies:
    text = GivenText([("Hund Katze", "dog"), ("Hund", "dog cat")], "pairs")
    return train_vocabularies(VocabularyOptions(type="word", joint=False), text, tags=["<2en>"])


def test_a_text_has_the_product_of_its_pieces(vocabularies: Vocabularies) -> None:
    source = vocabularies.source
    counts = np.bincount([*source.encode("Hund Katze"), *source.encode("Hund")], minlength=len(source))
    model, total = PieceModel(source, counts), 3 + SMOOTHING * len(source)
    expected = 2 * np.log((2 + SMOOTHING) / total) + np.log((1 + SMOOTHING) / total)
    assert model.log_probability("<2en> Hund Katze Hund") == pytest.approx(expected)
    assert model.log_probability("Maus") == pytest.approx(4 * UNKNOWN)  # each of its characters is unknown
    assert model.log_probability("") == 0


def test_counts_are_read_as_they_were_written(vocabularies: Vocabularies, tmp_path: Path) -> None:
    path, sides = tmp_path / "pieces.tsv", (vocabularies.source, vocabularies.target)
    counts = [np.arange(len(side)) + 1 for side in sides]
    save_counts(path, counts)
    for side, numbers, model in zip(sides, counts, load_models(path, vocabularies), strict=True):
        for text in ("Hund", "cat"):
            assert model.log_probability(text) == PieceModel(side, numbers).log_probability(text)


@pytest.mark.parametrize("text", ["1\t2\n", "1\n" * 7, "-1\t1\n" * 7, "a\tb\n" * 7, "9" * 30 + "\t1\n"])
def test_other_files_are_refused(vocabularies: Vocabularies, tmp_path: Path, text: str) -> None:
    (tmp_path / "pieces.tsv").write_text(text)
    assert max(len(vocabularies.source), len(vocabularies.target)) == 7
    with pytest.raises(UserError, match="two counts for each piece"):
        load_models(tmp_path / "pieces.tsv", vocabularies)
