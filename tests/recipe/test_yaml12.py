"""Numbers of YAML 1.2, and text that is none."""

import pytest

from nmt.recipe import yaml12


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("012", 12),
        ("-012", -12),
        ("+7", 7),
        ("0o12", 10),
        ("0x1F", 31),
        ("1e-3", 0.001),
        (".5", 0.5),
        *((text, text) for text in ("12:30", "0x_", "1_000", "2024-13-45", "<<", "=", "~x", "9" * 200 + "x")),
    ],
)
def test_numbers_are_those_of_the_core_schema(text: str, value: object) -> None:
    assert yaml12.load(f"a: {text}") == {"a": value}
