"""What a run writes down: the same in metrics.jsonl and, where it is wanted, for TensorBoard."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.recipe.schema import Recipe
from nmt.training import sinks
from nmt.training.events import Event, Filmed, Saved, Started, TrainingLoss, Validated, Warned
from nmt.training.run import train
from nmt.training.sinks import open_sinks

RecipeMaker = Callable[..., Recipe]
MetricsReader = Callable[..., list[dict[str, Any]]]


def read_board(directory: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, list[tuple[int, str]]]]:
    """Scalars and texts by tag, with their steps, as TensorBoard itself reads them."""
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = module.EventAccumulator(str(directory / "tensorboard"), size_guidance={"tensors": 0, "scalars": 0})
    events.Reload()
    scalars = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    texts = {
        tag.removesuffix("/text_summary"): [
            (e.step, e.tensor_proto.string_val[0].decode()) for e in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }
    return scalars, texts


def test_tensorboard_has_all_that_metrics_have(
    make_recipe: RecipeMaker, read_metrics: MetricsReader, tmp_path: Path
) -> None:
    train(make_recipe(max_steps=9, validate_every=4, metric="bleu", tensorboard=True), tmp_path)
    scalars, texts = read_board(tmp_path)
    lines = read_metrics(tmp_path)
    assert {line["event"] for line in lines} == {"train", "valid", "epoch", "end"}
    compared = 0
    for line in lines:
        for name, value in line.items():
            tag = f"{line['event']}/{name}"
            if name in ("event", "step") or value is None:
                continue
            found = dict(texts[tag] if isinstance(value, str) else scalars[tag])[line["step"]]
            assert found == (value if isinstance(value, str) else pytest.approx(float(value), rel=1e-6)), tag
            compared += 1
    assert compared > 60
    assert {"train/peak_memory_mb", "train/waiting_for_data", "valid/bleu", "epoch/padding"} <= scalars.keys()


def test_what_is_not_finite_is_null_in_json_and_itself_on_the_board(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with open_sinks(ModelDirectory(tmp_path), tensorboard=True) as emit:
        emit(Started(step=0, seconds=0.0, total_steps=9, max_minutes=None))
        values = {"loss": math.nan, "gradient_norm": 2.0, "scale": None}
        emit(Warned(name="skip", step=3, seconds=1.5, message="", values=values))
    assert json.loads((tmp_path / "metrics.jsonl").read_text("utf-8")) == {
        "event": "skip", "step": 3, "seconds": 1.5, "loss": None, "gradient_norm": 2.0, "scale": None
    }  # fmt: skip
    scalars, texts = read_board(tmp_path)
    [(step, loss)] = scalars["skip/loss"]
    assert step == 3
    assert math.isnan(loss)
    assert scalars.keys() == {"skip/loss", "skip/gradient_norm", "skip/seconds"}
    assert not texts


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with (
        pytest.raises(UserError, match=r"metrics\.jsonl can't be written: no space left on device"),
        open_sinks(ModelDirectory(tmp_path), tensorboard=False) as emit,
    ):
        emit(Started(name="resume", step=2, seconds=0.0, total_steps=9, max_minutes=None))


def test_a_program_gets_every_event_in_order(
    make_recipe: RecipeMaker, read_metrics: MetricsReader, tmp_path: Path
) -> None:
    seen: list[Event] = []
    recipe = make_recipe(max_steps=8, validate_every=4, metric="bleu")
    train(recipe, tmp_path, on_event=seen.append)
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
    assert validations[1].samples[0].reference == read_first_line(recipe.data.root, "val.en")
    assert validations[1].score is not None
    assert [event.checkpoint.name for event in seen if isinstance(event, Saved)] == ["step-000004", "step-000008"]
    resumed: list[Event] = []
    train(make_recipe(max_steps=9, validate_every=4, metric="bleu"), tmp_path, resume=True, on_event=resumed.append)
    assert isinstance(resumed[0], Started)
    assert {event.step for event in resumed} == {8, 9}


def read_first_line(folder: Path | None, name: str) -> str:
    assert folder is not None
    return (folder / name).read_text("utf-8").split("\n")[0]


def test_a_film_of_a_long_run_is_covered_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last validation are there, and no two frames are far apart."""
    monkeypatch.setattr(sinks, "MAX_FRAMES", 20)
    with open_sinks(ModelDirectory(tmp_path), tensorboard=False) as emit:
        for step in range(1, 151):
            emit(Filmed(step=step, seconds=1.0, sentences=[{"text": "a"}], gradients=[1.0]))
    lines = [json.loads(line) for line in (tmp_path / "film.jsonl").read_text("utf-8").splitlines()]
    assert lines[0] == {"event": "film", "step": 1, "seconds": 1.0, "sentences": [{"text": "a"}], "gradients": [1.0]}
    steps = [line["step"] for line in lines]
    assert len(steps) == 20
    assert (steps[0], steps[-1]) == (1, 150)
    gaps = [after - before for before, after in pairwise(steps)]
    assert max(gaps) <= 2 * 150 / 20
    assert not (tmp_path / "metrics.jsonl").exists()
