"""The quality that is expected of a text, and ``nmt plan``."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fixture_types import RunNmt

from nmt.extensions.planning.quality import TextProfile, expected_chrf
from nmt.recipe.load import load_recipe

PROFILE = TextProfile(30_000, 12.0, 0.5, 0.7)


def test_a_text_that_repeats_itself_is_familiar_and_another_one_is_not() -> None:
    assert TextProfile.read([("ein Hund", "a dog sleeps")] * 200) == TextProfile(200, 3.0, 1.0, 1.0)
    other = TextProfile.read([("x", f"w{n} v{n} u{n} t{n}") for n in range(200)])
    assert other == TextProfile(200, 4.0, 0.0, 0.0)
    half = TextProfile.read([("x", "a b")] * 100 + [("x", f"w{n} v{n}") for n in range(100)])
    assert (half.familiar, half.familiar_pairs) == (pytest.approx(0.5), pytest.approx(0.5))
    mixed = TextProfile.read([("x", text) for n in range(100) for text in (f"a v{n}", f"u{n} b")])
    assert mixed.familiar == 0
    assert mixed.familiar_pairs == pytest.approx(1 / 3)  # "a" begins a sentence, or "b" ends it
    chinese = TextProfile.read([("x", "狗在睡觉")] * 100)
    assert (chinese.num_words, chinese.unspaced) == (2, 1)  # groups of up to three characters


def test_more_updates_and_more_familiar_text_are_better() -> None:
    scores = [expected_chrf(PROFILE, 128, n) for n in (100, 1000, 10_000, 10**6)]
    assert scores == sorted(scores)
    assert 0 < scores[0] < scores[-1] < 100
    assert expected_chrf(replace(PROFILE, familiar=0.3), 128, 1000) < scores[1]
    assert expected_chrf(replace(PROFILE, familiar_pairs=0.4), 128, 1000) < scores[1]
    assert expected_chrf(replace(PROFILE, num_words=1e3), 128, 9) == expected_chrf(
        replace(PROFILE, num_words=25.0), 128, 9
    )
    assert expected_chrf(PROFILE, 128, 100, "adam") < scores[0]
    assert expected_chrf(replace(PROFILE, unspaced=1.0), 128, 1000) < scores[1]


@pytest.mark.slow
def test_the_command_estimates_and_writes_a_recipe(tiny_corpus: Path, run_nmt: RunNmt, tmp_path: Path) -> None:
    given = [tiny_corpus / "train.de", tiny_corpus / "train.en", "--minutes", "5"]
    done = run_nmt("plan", *given, "--json", "-o", tmp_path / "plan.yaml")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["minutes"] == [5]
    assert {row["optimizer"] for row in plan["rows"]} == {"adam", "muon"}
    assert all(0 < row["chrf"][0] < 100 and row["update"] > 0 for row in plan["rows"])
    recipe = load_recipe(tmp_path / "plan.yaml")
    assert (recipe.data.source, recipe.data.target) == ("de", "en")
    done = run_nmt("train", tmp_path / "plan.yaml", "-o", tmp_path / "run", "--set", "training.max_steps=3")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "plan.yaml"], "Give --minutes"),
        (["--minutes", "0.5"], "minutes"),
        (["--minutes", "1e308"], "less than or equal to 527040"),
        (["--set", "nothing"], "has no '='"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(
    tiny_corpus: Path, run_nmt: RunNmt, arguments: list[str], message: str
) -> None:
    done = run_nmt("plan", tiny_corpus / "train.de", tiny_corpus / "train.en", *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
