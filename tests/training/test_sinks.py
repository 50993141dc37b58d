"""The files that a run writes while it trains, and the events that a program gets."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from fixture_types import RecipeMaker
from run_files import read_metrics

from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.training import sinks
from nmt.training.events import Event, Observed, Saved, Started, TrainingLoss, Validated
from nmt.training.run import train
from nmt.training.sinks import open_sinks


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with (
        pytest.raises(UserError, match=r"metrics\.jsonl can't be written: no space left on device"),
        open_sinks(ModelDirectory(tmp_path), tensorboard=False) as emit,
    ):
        emit(Started(name="resume", step=2, seconds=0.0, total_steps=9, max_minutes=None))


def test_a_program_gets_every_event_in_order(make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path) -> None:
    seen: list[Event] = []
    train(make_recipe(max_steps=8, validate_every=4, metric="bleu"), tmp_path, on_event=seen.append)
    kinds = [type(event).__name__ for event in seen]
    assert (kinds[0], kinds[-1]) == ("Started", "Ended")
    assert kinds.count("Updated") == 8
    assert kinds.count("EpochEnded") == 1
    logged = [(event.name, event.step) for event in seen if event.name]
    assert logged == [(line["event"], line["step"]) for line in read_metrics(tmp_path)]
    losses = [event.loss for event in seen if isinstance(event, TrainingLoss)]
    assert losses == [line["loss"] for line in read_metrics(tmp_path, "train")]
    validations = [event for event in seen if isinstance(event, Validated)]
    assert [event.step for event in validations] == [4, 8]
    assert validations[1].samples[0].reference == (tiny_corpus / "val.en").read_text("utf-8").split("\n")[0]
    assert validations[1].score is not None
    assert [event.checkpoint.name for event in seen if isinstance(event, Saved)] == ["step-000004", "step-000008"]
    resumed: list[Event] = []
    train(make_recipe(max_steps=9, validate_every=4, metric="bleu"), tmp_path, resume=True, on_event=resumed.append)
    assert isinstance(resumed[0], Started)
    assert {event.step for event in resumed} == {8, 9}


@pytest.mark.extension("lecture")
def test_a_film_of_a_long_run_is_covered_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last validation are there, and no two frames are far apart."""
    monkeypatch.setattr(sinks, "MAX_OBSERVATIONS", 20)
    with open_sinks(ModelDirectory(tmp_path), tensorboard=False) as emit:
        for step in range(1, 151):
            emit(Observed(step=step, seconds=1.0, observer="film", values={"gradients": [1.0]}))
    lines = [json.loads(line) for line in (tmp_path / "film.jsonl").read_text("utf-8").splitlines()]
    assert lines[0] == {"event": "film", "step": 1, "seconds": 1.0, "gradients": [1.0]}
    steps = [line["step"] for line in lines]
    assert len(steps) == 20
    assert (steps[0], steps[-1]) == (1, 150)
    gaps = [after - before for before, after in pairwise(steps)]
    assert max(gaps) <= 2 * 150 / 20
    assert not (tmp_path / "metrics.jsonl").exists()
