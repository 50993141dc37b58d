"""Reranking by the formula; lists of candidates that are no such lists are refused with their line."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nmt.core.errors import UserError
from nmt.extensions.reranking.rerank import Candidates, Weights, features, read_candidates, rerank

GOOD = '{"source": "a", "n_best": [{"translation": "b"}]}'


@pytest.mark.parametrize(
    "line",
    [
        "[" * 3000 + "]" * 3000, '{"source": ' + "[" * 3000 + "]" * 3000 + "}", "[]", "1", "{}",
        '{"source": "a", "n_best": 1}', '{"source": "a", "n_best": [{"translation": "\\ud800"}]}',
        '{"source": 1e400, "n_best": []}',
        '{"source": {}, "n_best": []}', '{"source": "a", "n_best": [{"translation": null}]}',
    ],
)  # fmt: skip
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "nbest").write_text(f"{GOOD}\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match='nbest, line 2: not a JSON object with "source" and "n_best"'):
        list(read_candidates(str(tmp_path / "nbest")))


def test_the_last_feature_of_a_candidate_is_its_number_of_words() -> None:
    unread: Any = SimpleNamespace(score=lambda pairs: [None for _ in pairs])
    found = features([Candidates("x", ("one", "two three")), Candidates("y", ("",))], unread, None, None)
    assert [features_CF[:, -1].tolist() for features_CF in found] == [[1, 2], [0]]
    assert np.isneginf(found[0][:, 0]).all()


def test_a_candidate_that_a_model_can_not_read_loses_only_where_the_model_counts() -> None:
    candidates = [Candidates("x", ("one", "two three"))]
    found = [np.array([[-1.0, -9.0, -1.0, 1.0], [-2.0, -np.inf, -2.0, 2.0]])]
    for weights, best in (((0, 0, 0), 0), ((0, 0, 2), 1), ((0.5, 0, 20), 0), ((0, 2, 0), 0)):
        assert rerank(candidates, found, Weights(*weights)) == [candidates[0].texts[best]]
