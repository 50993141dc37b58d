"""A metric from outside, not sacreBLEU's, that needs the source: one class and one row, and every command has it."""

import json
from pathlib import Path

import pytest
from length_error import REFERENCES, SOURCES, SYSTEMS, LengthError

from nmt.core.errors import UserError
from nmt.evaluation.scores import score_corpus
from nmt.plotting.history import read_history
from nmt.recipe import registry as plugins
from nmt.recipe.load import parse_settings
from nmt.training.run import train

SHORT = ["training.max_steps=6", "training.validate_every=2", "training.keep_last=1"]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_added", [])
    plugins.add_component("length_error", LengthError)


@pytest.mark.extension("comparison")
def test_its_corpus_score_is_the_mean_and_has_an_interval() -> None:
    score = score_corpus(SYSTEMS["base"], [REFERENCES], ["length_error"], num_resamples=100, sources=SOURCES)
    found = score["length_error"]
    assert (found.score, found.signature) == (1.5, "LenErr|bs:100|seed:12345")
    assert found.confidence is not None
    assert 0 < found.confidence["half_width"] < 0.5
    with pytest.raises(UserError, match="'length_error' needs the source"):
        score_corpus(["a"], [["a"]], ["length_error"])


def test_a_model_is_selected_by_it(tiny_recipe: Path, tmp_path: Path) -> None:
    train(tiny_recipe, tmp_path / "run", overrides=parse_settings([*SHORT, "training.metric=length_error"]))
    run = tmp_path / "run"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    valid = {line["step"]: line for line in lines if line["event"] == "valid"}
    assert all(line.keys() >= {"loss", "length_error", "best"} for line in valid.values())
    lowest = min(valid, key=lambda step: valid[step]["length_error"])
    assert max(step for step, line in valid.items() if line["best"]) == lowest
    assert (run / "checkpoints" / f"step-{lowest:06d}").is_dir()
    summary = read_history(run).summary()
    assert (summary["length_error"], summary["length_error_step"]) == (valid[lowest]["length_error"], lowest)


def test_an_unknown_metric_is_refused_before_the_run(tiny_recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'lengt_error'") as caught:
        train(tiny_recipe, tmp_path / "run", overrides=parse_settings([*SHORT, "training.metric=lengt_error"]))
    assert caught.value.remedy.startswith("Did you mean 'length_error'?")
    assert not (tmp_path / "run").exists()
