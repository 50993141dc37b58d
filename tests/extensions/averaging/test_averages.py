"""The mean of checkpoints: which ones, what comes out, and that it is a model like any other."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from fixture_types import TrainTiny

from nmt.core.errors import UserError
from nmt.extensions.averaging.averages import average_checkpoints, mean_weights
from nmt.models.weights import read_tensors, save_weights
from nmt.translation.load import load


@pytest.fixture(scope="module")
def run(train_tiny: TrainTiny) -> Path:
    """Checkpoints at 2, 4, 6, 8, 10 and 12, validated at 4, 8 and 12. Don't write into it."""
    return train_tiny(
        "training.max_steps=12", "training.checkpoint_every=2", "training.validate_every=4", "training.keep_last=9",
        "training.metric=loss",
    )  # fmt: skip


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """One to write into."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def rewrite_validations(directory: Path, higher_is_better: bool, values: dict[int, float]) -> None:
    for step, value in values.items():
        measured = {"value": value, "higher_is_better": higher_is_better}
        checkpoint = directory / "checkpoints" / f"step-{step:06d}"
        state = json.loads((checkpoint / "state.json").read_text("utf-8"))
        (checkpoint / "state.json").write_text(json.dumps(state | {"validation": measured}), encoding="utf-8")
        (checkpoint / "SHA256SUMS").unlink()


def test_the_mean_is_that_of_the_checkpoints_weight_by_weight(run: Path, tmp_path: Path) -> None:
    assert average_checkpoints(run, tmp_path / "mean", last=3) == [8, 10, 12]
    found = read_tensors(tmp_path / "mean" / "model.safetensors")
    parts = [read_tensors(run / "checkpoints" / f"step-{step:06d}" / "weights.safetensors") for step in (8, 10, 12)]
    assert found.keys() == parts[0].keys()
    for name, mean in found.items():
        assert mean.dtype == parts[0][name].dtype
        torch.testing.assert_close(mean, (parts[0][name] + parts[1][name] + parts[2][name]) / 3)
    assert any(not torch.equal(mean, parts[2][name]) for name, mean in found.items())
    kept = ("recipe", "vocabulary", "model.safetensors", "pieces.tsv")  # the last one is an extension's
    with_run = {path.name for path in run.iterdir() if path.name.startswith(kept)}
    assert {path.name for path in (tmp_path / "mean").iterdir()} == with_run


def test_it_aligns_as_the_run_does(copied: Path, tmp_path: Path) -> None:
    heads = '{"heads": ["attention"], "attention": "input"}'
    (copied / "alignment.json").write_text(heads)
    (copied / "lexicon.tsv").write_text("hund\tdog\t3\n")
    average_checkpoints(copied, tmp_path / "mean", last=2)
    translator = load(tmp_path / "mean", "cpu")
    assert translator.aligner.heads.attention == "input"
    assert translator.aligner.lexicon is not None
    assert len(translator.aligner.lexicon) == 1


def test_sums_are_exact_enough_for_many_and_large_numbers(tmp_path: Path) -> None:
    values = [1e8, 1.0, -1e8, 1.0]
    paths = [tmp_path / f"{number}.safetensors" for number in range(4)]
    for path, value in zip(paths, values, strict=True):
        save_weights({"x": torch.tensor([value])}, path)
    assert mean_weights(paths)["x"].tolist() == [0.5], "summed in float32, the ones are lost"


@pytest.mark.parametrize(("higher_is_better", "expected"), [(True, [4, 12]), (False, [8, 12])], ids=["BLEU", "loss"])
def test_the_best_are_those_of_validation(
    copied: Path, tmp_path: Path, higher_is_better: bool, expected: list[int]
) -> None:
    rewrite_validations(copied, higher_is_better, {4: 3.0, 8: 1.0, 12: 2.0})
    assert average_checkpoints(copied, tmp_path / "mean", best=2) == expected


def test_the_best_are_looked_for_among_those_on_disk(copied: Path, tmp_path: Path) -> None:
    shutil.rmtree(copied / "checkpoints" / "step-000008")
    assert average_checkpoints(copied, tmp_path / "mean", best=2) == [4, 12]
    with pytest.raises(UserError, match="holds 2 checkpoints that were validated, not 3"):
        average_checkpoints(copied, tmp_path / "more", best=3)


def test_replacing_keeps_everything_else(copied: Path) -> None:
    before = {path.name for path in copied.iterdir()}
    weights = (copied / "model.safetensors").read_bytes()
    average_checkpoints(copied, last=2)
    assert {path.name for path in copied.iterdir()} == before
    assert (copied / "model.safetensors").read_bytes() != weights


def test_what_cannot_be_averaged_is_told(copied: Path, tmp_path: Path) -> None:
    out = tmp_path / "mean"
    with pytest.raises(UserError, match=r"(?s)holds 6 checkpoints, not 7.*training\.keep_last"):
        average_checkpoints(copied, out, last=7)
    with pytest.raises(UserError, match=r"(?s)no checkpoint of step 5.*2, 4, 6, 8, 10, 12"):
        average_checkpoints(copied, out, steps=[4, 5])
    with pytest.raises(UserError, match="mean of one checkpoint"):
        average_checkpoints(copied, out, steps=[4, 4])
    with pytest.raises(UserError, match="exists already"):
        average_checkpoints(copied, tmp_path, last=2)
    with pytest.raises(UserError, match="holds no checkpoints"):
        average_checkpoints(tmp_path, out, last=2)
    assert not out.exists()


def test_a_damaged_checkpoint_is_not_averaged(copied: Path, tmp_path: Path) -> None:
    path = copied / "checkpoints" / "step-000010" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"(?s)step-000010 is damaged: weights\.safetensors.*--steps"):
        average_checkpoints(copied, tmp_path / "mean", last=3)
    assert average_checkpoints(copied, tmp_path / "mean", steps=[8, 12]) == [8, 12]


@pytest.mark.parametrize("change", ["shape", "name"])
def test_checkpoints_of_other_shapes_are_refused(tmp_path: Path, change: str) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    save_weights({"x": torch.zeros(2)}, paths[0])
    save_weights({"x": torch.zeros(3)} if change == "shape" else {"y": torch.zeros(2)}, paths[1])
    with pytest.raises(UserError, match=r"b\.safetensors doesn't fit .* '[xy]' is missing or has another shape"):
        mean_weights(paths)
