"""Length penalties against their formulas, and one from outside."""

import re
from pathlib import Path

import pytest
import torch

from nmt.decoding.ranking import LENGTH_PENALTIES, length_normalised, length_penalty
from nmt.recipe.schema import DecodingOptions


@pytest.mark.parametrize(
    ("kind", "alpha", "length", "expected"),
    [
        ("none", 1.0, 7, -6.0),
        ("average", 1.0, 6, -1.0),
        ("average", 0.5, 9, -2.0),
        ("average", 0.0, 9, -6.0),
        ("gnmt", 1.0, 7, -3.0),
        ("gnmt", 2.0, 13, -6.0 / 9.0),
        ("gnmt", 0.6, 1, -6.0),
        ("gnmt", 0.6, 20, -6.0 / (2.5**0.6 * (10 / 6) ** 0.6)),
        ("word_reward", 0.5, 7, -2.5),
        ("word_reward", 0.0, 7, -6.0),
    ],
)
def test_length_penalties(kind: str, alpha: float, length: int, expected: float) -> None:
    options = DecodingOptions(length_penalty=kind, alpha=alpha)
    scores = length_normalised(options, torch.tensor([-6.0, -12.0]), length)
    assert scores[0].item() == pytest.approx(expected)
    by_row = length_normalised(options, torch.tensor([-6.0, -12.0]), torch.tensor([length, 1]))
    assert by_row[0].item() == pytest.approx(expected)


@pytest.mark.parametrize("name", list(LENGTH_PENALTIES))
def test_a_score_does_not_fall_with_the_length(name: str) -> None:
    """The bound of ``early_stopping: exact`` relies on it."""
    scores = length_normalised(DecodingOptions(length_penalty=name, alpha=0.7), torch.tensor(-6.0), torch.arange(1, 50))
    assert len(scores.expand(49)) == 49
    assert bool((scores.expand(49).diff() >= 0).all())


@pytest.mark.parametrize("name", list(LENGTH_PENALTIES))
def test_what_is_impossible_scores_least_under_any_penalty(name: str) -> None:
    options = DecodingOptions(length_penalty=name, alpha=1000.0)
    possible, impossible = length_normalised(options, torch.tensor([-6.0, -torch.inf]), 9).tolist()
    assert possible > impossible == -torch.inf


def test_the_page_of_the_search_shows_the_formula_of_each_penalty(repo_root: Path) -> None:
    page = (repo_root / "docs" / "concepts" / "seq2seq.md").read_text("utf-8")
    shown = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", page)  # links as their text
    for name, penalty in LENGTH_PENALTIES.builtin.items():
        assert f"| `{name}` | {(penalty.__doc__ or '').removesuffix('.')} |" in shown


def test_programs_that_divide_by_a_power_of_the_length_get_its_exponent() -> None:
    exponents = {
        name: length_penalty(DecodingOptions(length_penalty=name, alpha=0.7)).exponent for name in LENGTH_PENALTIES
    }
    assert exponents == {**dict.fromkeys(LENGTH_PENALTIES, 1.0), "none": 0.0, "average": 0.7}
