"""Lists of candidates that are no such lists are refused with their line."""

from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.translation.rerank import read_candidates

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
