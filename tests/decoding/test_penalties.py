"""Length penalties against their formulas."""

import pytest

from nmt.config import DecodingOptions
from nmt.decoding.penalties import length_penalty


@pytest.mark.parametrize(
    ("kind", "alpha", "length", "expected"),
    [
        ("none", 1.0, 7, 1.0),
        ("average", 1.0, 7, 7.0),
        ("average", 0.5, 9, 3.0),
        ("average", 0.0, 9, 1.0),
        ("gnmt", 1.0, 7, 2.0),
        ("gnmt", 2.0, 13, 9.0),
        ("gnmt", 0.6, 1, 1.0),
        ("gnmt", 0.6, 20, 2.5**0.6 * (10 / 6) ** 0.6),
    ],
)
def test_formulas(kind: str, alpha: float, length: int, expected: float) -> None:
    options = DecodingOptions(length_penalty=kind, alpha=alpha)
    assert length_penalty(options, length) == pytest.approx(expected)
