"""Slow results are computed once for each text, and the oldest are dropped."""

import pytest

from nmt.metrics import remembered
from nmt.metrics.remembered import Remembered


def test_each_key_is_computed_once_in_batches() -> None:
    batches: list[list[str]] = []

    def lengths(texts: list[str]) -> list[int]:
        batches.append(texts)
        return [len(text) for text in texts]

    function = Remembered(lengths, "lengths", batch_size=2)
    assert function(["a", "bb", "a", "ccc"]) == [1, 2, 1, 3]
    assert function(["ccc", "dddd"]) == [3, 4]
    assert function([]) == []
    assert batches == [["a", "bb"], ["ccc"], ["dddd"]]


def test_the_oldest_results_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MAX_KEPT", 2)
    calls: list[str] = []
    function = Remembered(lambda keys: [calls.append(key) or key for key in keys], "calls")
    assert function(["a", "b", "c"]) == ["a", "b", "c"]
    function(["b", "c", "a"])
    assert calls == ["a", "b", "c", "a"]
