"""What a run writes for TensorBoard: the same as in metrics.jsonl."""

import json
import math
import shutil
from pathlib import Path

import pytest
from fixture_types import RecipeMaker
from run_files import read_metrics

from nmt.core.model_directory import ModelDirectory
from nmt.training.events import Started, Warned
from nmt.training.run import train
from nmt.training.sinks import open_sinks


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


def test_tensorboard_has_all_that_metrics_and_samples_have(make_recipe: RecipeMaker, tmp_path: Path) -> None:
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
    assert [step for step, _ in texts["samples"]] == [4, 8, 9]
    written = (tmp_path / "samples" / "step-000008.txt").read_text("utf-8")
    shown = dict(texts["samples"])[8]
    assert [line.strip() for line in shown.splitlines()] == written.splitlines()
    assert all(line.startswith("    ") for line in shown.splitlines() if line), "as it is, not as Markdown"


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


def test_tensorboard_hides_what_came_after_the_checkpoint(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    options = {"tensorboard": True, "log_every": 1, "checkpoint_every": 2, "keep_last": 9}
    train(make_recipe(max_steps=6, **options), tmp_path)
    shutil.rmtree(tmp_path / "checkpoints" / "step-000006")
    train(make_recipe(max_steps=5, **options), tmp_path, resume=True)
    assert [step for step, _ in read_board(tmp_path)[0]["train/loss"]] == [1, 2, 3, 4, 5]
