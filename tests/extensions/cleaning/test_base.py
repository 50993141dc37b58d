"""Flagged pairs: the limit, the order, and what is not judged."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nmt.extensions.cleaning.base import Flagged
from nmt.extensions.cleaning.table import FILTERS


def test_the_worst_come_first_and_the_limit_itself_is_good() -> None:
    scores = np.array([0.5, 0.25, 1.0, 0.75, 9.0])
    found = Flagged.above(scores, 0.5, judged=np.array([True, True, True, True, False]))
    assert found.indices.tolist() == [2, 3]


def test_the_language_of_a_compressed_file_is_in_its_name() -> None:
    pytest.importorskip("py3langid")
    language: Any = FILTERS["language"](FILTERS["language"].Options())
    statistics: Any = SimpleNamespace(sides=[SimpleNamespace(name=name) for name in ("train.de.gz", "train.en")])
    language.prepare(statistics)
    assert language._codes == ["de", "en"]
