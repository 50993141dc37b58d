"""Ids of tokenizers and rows of embeddings."""

from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.extensions.interchange.pretrained.tokenizers import MAX_UNNAMED, _pieces

IDS = {"a": 0, "b": 2}


def test_each_id_has_a_row_and_few_rows_have_no_piece() -> None:
    assert _pieces(Path("vocab.json"), IDS, 3) == ["a", "madeupword0001", "b"]
    assert len(_pieces(Path("vocab.json"), IDS, 2 + MAX_UNNAMED)) == 2 + MAX_UNNAMED
    for size in (2, 3 + MAX_UNNAMED):
        with pytest.raises(UserError, match="doesn't fit the weights"):
            _pieces(Path("vocab.json"), IDS, size)
    with pytest.raises(UserError, match="doesn't fit the weights"):
        _pieces(Path("vocab.json"), {"a": 0, "b": 1, "c": 1}, 3)
