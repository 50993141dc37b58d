"""Scores of changed test sets: with a model that copies they are known; the command; what is refused."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixture_types import RunNmt

import nmt
from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.extensions.augmentation.robustness import AS_IT_IS, robustness
from nmt.tasks import task_of

PAIRS = [(line, line) for line in ("The tired dog sleeps in the garden.", "Nobody knows what happened then!")] * 10


def copying(tiny_model: Path) -> Any:
    """A translator that copies its source."""
    task = nmt.load(tiny_model, "cpu").task
    return SimpleNamespace(task=task, translate=lambda lines: [SimpleNamespace(text=line) for line in lines])


def test_a_copy_is_right_but_where_the_source_alone_is_changed(tiny_model: Path) -> None:
    found = {name: scores["bleu"].score for name, scores in robustness(copying(tiny_model), PAIRS, ["bleu"])}
    assert found.pop("typos") < 90
    assert set(found) == {AS_IT_IS, "upper_case", "title_case", "no_end_punctuation", "noise", "join"}
    assert all(score == pytest.approx(100) for score in found.values())


def test_warnings_name_no_lines_of_changed_text(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    translator, translate = copying(tiny_model), copying(tiny_model).translate
    translator.translate = lambda lines: [warn("line 1 is long"), translate(lines)][1]
    assert len(list(robustness(translator, PAIRS, ["bleu"]))) == 7
    assert capsys.readouterr().err.count("line 1 is long") == 1


def test_the_changes_hang_on_the_seed_alone(tiny_model: Path) -> None:
    first, again, other = (list(robustness(copying(tiny_model), PAIRS, ["bleu"], seed)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.slow
def test_the_command_has_a_table_json_and_a_picture(
    run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path, tmp_path: Path
) -> None:
    files = [tmp_path / f"test.{side}" for side in ("de", "en")]
    for path in files:
        path.write_text("".join((tiny_corpus / f"train{path.suffix}").read_text("utf-8").splitlines(True)[:8]), "utf-8")
    done = run_nmt("inspect", "robustness", tiny_model, *files, "-o", tmp_path / "bars.png", check=True)
    assert "no end punctuation" in done.stdout
    assert "chrF" in done.stdout
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    done = run_nmt("inspect", "robustness", tiny_model, *files, "--json", "--metrics", "chrf")
    assert json.loads(done.stdout)[AS_IT_IS]["chrf"]["score"] > json.loads(done.stdout)["noise"]["chrf"]["score"]


def test_labels_are_not_changed(tiny_model: Path) -> None:
    classifier = copying(tiny_model)
    recipe = nmt.load(tiny_model, "cpu").recipe
    model = recipe.model.model_copy(update={"decoder": {"type": "classifier"}})
    classifier.task = task_of(recipe.model_copy(update={"model": model}))
    with pytest.raises(UserError, match="sentence by sentence"):
        list(robustness(classifier, PAIRS, ["bleu"]))
