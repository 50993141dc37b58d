"""Numbers of YAML 1.2."""

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
        ("12:30", "12:30"),
    ],
)
def test_numbers_are_those_of_the_core_schema(text: str, value: object) -> None:
    assert yaml12.load(f"a: {text}") == {"a": value}
