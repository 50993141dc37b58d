"""JSON from outside is bounded in depth, size and numbers."""

import json
from pathlib import Path
from typing import Any

import pytest

from nmt.core import jsonlines
from nmt.core.jsonlines import parse_object, read_object

SOUND: list[Any] = [
    {},
    {"a": [1, -2.5, None, True, "ä€😀"], "b": {"c": "x" * 5000}},
    {"number": 2**127, "list": list(range(1000))},
    json.loads('{"a":' * jsonlines.MAX_DEPTH + "1" + "}" * jsonlines.MAX_DEPTH),
]


@pytest.mark.parametrize("value", SOUND)
def test_sound_objects_are_read(value: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps(value))
    assert parse_object(json.dumps(value)) == read_object(tmp_path / "file") == value


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[1, 2]", "3", "null", '"a"', "[" * 3000 + "]" * 3000, "[" * 200_000, '{"a":' * 101 + "1" + "}" * 101,
        '{"a": 1e400}', '{"a": -1e400}', '{"a": NaN}', '{"a": Infinity}', '{"a": 1' + "0" * 400 + "}",
        '{"a": 1' + "0" * 5000 + "}", '{"a": "\\ud800"}', '{"\\udfff": 1}', b"\xff\xfe", b"\x00",
    ],
)  # fmt: skip
def test_anything_else_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_object(text)


def test_our_own_state_may_have_infinite_numbers() -> None:
    assert parse_object('{"a": [1e400, -Infinity]}', finite=False) == {"a": [float("inf"), -float("inf")]}


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "MAX_FILE_BYTES", 10)
    (tmp_path / "file").write_text('{"a":   1}')
    assert read_object(tmp_path / "file") == {"a": 1}
    (tmp_path / "file").write_text('{"a":    1}')
    with pytest.raises(ValueError, match="longer than 10 bytes"):
        read_object(tmp_path / "file")
