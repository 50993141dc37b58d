"""``nmt plan``: what it reads from a text, the arithmetic of minutes, the recipe it writes, and its messages."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nmt.core.errors import UserError
from nmt.data.vocabulary.sentencepiece import UnigramVocabulary
from nmt.extensions.planning import plan as planning
from nmt.extensions.planning.plan import (
    NUM_VALIDATIONS,
    VALIDATION_UPDATES,
    WIDTHS,
    Plan,
    PlanFiles,
    TextProfile,
    Trial,
    expected_chrf,
    languages_of,
    plan,
    try_width,
)
from nmt.recipe import registry
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import VocabularyOptions

RunNmt = Callable[..., "subprocess.CompletedProcess[str]"]
PROFILE = TextProfile(30_000, 12.0, 0.5, 0.7)


def test_a_text_that_repeats_itself_is_familiar_and_another_one_is_not() -> None:
    same = TextProfile.read([("ein Hund", "a dog sleeps")] * 200)
    assert same == TextProfile(200, 3.0, 1.0, 1.0)
    other = TextProfile.read([("x", f"w{n} v{n} u{n} t{n}") for n in range(200)] + [("", "lost"), ("x", " ")])
    assert other == TextProfile(200, 4.0, 0.0, 0.0)
    half = TextProfile.read([("x", "a b")] * 100 + [("x", f"w{n} v{n}") for n in range(100)])
    assert (half.familiar, half.familiar_pairs) == (pytest.approx(0.5), pytest.approx(0.5))
    mixed = TextProfile.read([("x", text) for n in range(100) for text in (f"a v{n}", f"u{n} b")])
    assert mixed.familiar == 0
    assert mixed.familiar_pairs == pytest.approx(1 / 3)  # "a" begins a sentence, or "b" ends it
    assert TextProfile.read([("x", "狗在睡觉")] * 100).num_words == 4
    with pytest.raises(UserError, match="too few for a plan"):
        TextProfile.read([("a", "b")] * 39)


def test_the_updates_of_a_run_leave_time_for_preparation_and_validation() -> None:
    trial = Trial(128, preparation=30.0, update=0.5, memory_mb=900)
    minutes = (30 + 0.5 * (1000 + NUM_VALIDATIONS * VALIDATION_UPDATES)) / 60
    assert trial.num_updates(minutes) == 1000
    assert trial.num_updates(0.4) == 0


def test_more_updates_and_more_familiar_text_are_better_and_the_best_width_is_chosen() -> None:
    figures = [expected_chrf(PROFILE, 128, n) for n in (100, 1000, 10_000, 10**6)]
    assert figures == sorted(figures)
    assert 0 < figures[0] < figures[-1] < 100
    assert expected_chrf(replace(PROFILE, familiar=0.3), 128, 1000) < figures[1]
    assert expected_chrf(replace(PROFILE, familiar_pairs=0.4), 128, 1000) < figures[1]
    assert expected_chrf(replace(PROFILE, num_words=1000.0), 128, 1000) == expected_chrf(
        replace(PROFILE, num_words=25.0), 128, 1000
    )
    slow, fast = Trial(256, 10.0, 4.0, None), Trial(64, 10.0, 0.2, None)
    found = Plan(PROFILE, [slow, fast], [5.0])
    assert found.best(5.0) == fast
    assert found.chrf(slow, 1.0) is None


def test_the_recipe_can_be_trained(tmp_path: Path) -> None:
    files = PlanFiles(tmp_path / "a.de.gz", tmp_path / "a.en", None, {"model.decoder.num_layers": 2})
    values = files.recipe(PROFILE, 128, 3000)
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    recipe = load_recipe(path)
    assert (recipe.data.source, recipe.data.target) == ("de", "en")
    assert recipe.training.max_steps == 3000
    assert recipe.training.schedule["warmup_steps"] == 300
    assert (recipe.model.encoder["num_layers"], recipe.model.decoder["num_layers"]) == (4, 2)
    rates = [files.recipe(PROFILE, 128, n)["model"]["encoder"]["dropout"] for n in (1000, 5000, 50_000)]
    assert rates == [0.1, 0.2, 0.3]
    other = PlanFiles(tmp_path / "x.txt", tmp_path / "y.txt").recipe(TextProfile(4_000, 12.0, 0.5, 0.7), 64, 10)
    assert other["vocabulary"]["size"] == 2000
    assert files.recipe(replace(PROFILE, max_pieces=7851), 64, 10)["vocabulary"]["size"] == 7851


@pytest.mark.parametrize(
    ("source", "target", "languages"),
    [
        ("texts.de", "texts.en.gz", ("de", "en")),
        ("de.txt", "en.txt", ("de", "en")),
        ("corpus.de-en.de.txt", "corpus.de-en.en.txt", ("de", "en")),
        ("news_de.txt", "news_en.txt", ("de", "en")),
        ("app.pt-BR", "app.en", ("pt-BR", "en")),
        ("german.txt", "english.txt.zst", ("german", "english")),
        ("x.txt", "y.txt", ("source", "target")),
        ("text.1", "text.2", ("source", "target")),
        ("a/text", "b/text", ("source", "target")),
    ],
)
def test_languages_are_those_of_the_file_names(source: str, target: str, languages: tuple[str, str]) -> None:
    assert languages_of(Path(source), Path(target)) == languages


@pytest.mark.slow
def test_the_command_estimates_and_writes_a_recipe_that_trains(
    tiny_corpus: Path, run_nmt: RunNmt, tmp_path: Path
) -> None:
    for side in ("de", "en"):
        text = (tiny_corpus / f"train.{side}").read_text("utf-8")
        (tmp_path / f"all.{side}").write_text(3 * text, "utf-8")
    given = [tmp_path / "all.de", tmp_path / "all.en", "--minutes", "5"]
    done = run_nmt("plan", *given, "--json", "-o", tmp_path / "plan.yaml")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["text"]["num_pairs"] == 120
    assert [trial["width"] for trial in found["trials"]] == list(WIDTHS)
    small, _, large = found["trials"]
    assert 0 < small["update"] < large["update"]
    assert small["memory_mb"] > 100
    (run,) = small["runs"]
    assert run["minutes"] == 5
    assert run["updates"] > 0
    assert 0 < run["chrf"] < 100
    done = run_nmt("train", tmp_path / "plan.yaml", "-o", tmp_path / "run", "--set", "training.max_steps=3",
                   "--set", "training.schedule.warmup_steps=1")  # fmt: skip
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


def test_a_vocabulary_is_no_larger_than_the_text_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["der Hund", "the dog"] * 30
    for side, line in zip(("de", "en"), lines, strict=False):
        (tmp_path / f"all.{side}").write_text(f"{line}\n" * 60, "utf-8")

    def learn(values: dict[str, Any], folder: Path, preparation: float | None) -> Trial:
        """A trial that learns its vocabulary, and shows an error as the process of a trial does."""
        folder.mkdir()
        try:
            if "size" in (options := values["vocabulary"]):
                UnigramVocabulary.learn(lines, VocabularyOptions(**options), [], "The training text")
        except UserError as error:
            raise UserError(f"Error: {error.message}\n{error.remedy}", "") from None
        return Trial(values["model"]["embedding_size"], 1.0, 1.0, None)

    monkeypatch.setattr(planning, "try_width", learn)
    found = plan(PlanFiles(tmp_path / "all.de", tmp_path / "all.en"))
    assert found.profile.max_pieces is not None
    assert 8 < found.profile.max_pieces < 100
    assert len(found.trials) == len(WIDTHS)
    with pytest.raises(UserError, match=r"pieces, but vocabulary\.size is 90"):
        plan(PlanFiles(tmp_path / "all.de", tmp_path / "all.en", overrides={"vocabulary.size": 90}))


@pytest.mark.slow
def test_a_trial_that_fails_says_why(tiny_corpus: Path, run_nmt: RunNmt, tmp_path: Path) -> None:
    for side in ("de", "en"):
        (tmp_path / f"all.{side}").write_text(3 * (tiny_corpus / f"train.{side}").read_text("utf-8"), "utf-8")
    done = run_nmt("plan", tmp_path / "all.de", tmp_path / "all.en", "--set", "model.width=3")
    assert done.returncode == 2
    assert "model.width" in done.stderr


@pytest.mark.slow
def test_a_trial_knows_the_components_of_plugins(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lengths.py").write_text(
        'from nmt.decoding.ranking import Average\nclass Mine(Average): ...\nCOMPONENTS = {"mine": Mine}\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "named", ["lengths"])
    changes = {"decoding.length_penalty": "mine", "vocabulary.size": 60}
    files = PlanFiles(tiny_corpus / "train.de", tiny_corpus / "train.en", overrides=changes)
    assert try_width(files.recipe(PROFILE, 32, 10), tmp_path, None).update > 0
