"""Slow results are computed once for each text, and the oldest are dropped."""

import pytest

from nmt.metrics import remembered
from nmt.metrics.remembered import Remembered


def test_each_key_is_computed_once_in_batches_and_the_oldest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MAX_KEPT", 3)
    batches: list[list[str]] = []
    function = Remembered(lambda texts: batches.append(texts) or map(len, texts), "lengths", batch_size=2)
    assert function(["a", "bb", "a", "ccc"]) == [1, 2, 1, 3]
    assert function(["ccc", "dddd"]) == [3, 4]
    assert function([]) == []
    assert function(["a"]) == [1]
    assert batches == [["a", "bb"], ["ccc"], ["dddd"], ["a"]]
