"""The mean of checkpoints, or of a model and its origin: which ones, what comes out, and that it is a model like any
other."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import RecipeMaker, RunNmt, TrainTiny
from refusals import refused
from saved_weights import spoil, weights

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.averaging.averages import average_checkpoints, average_with_origin, mean_weights
from nmt.models.weights import read_tensors, save_weights
from nmt.training.run import train
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


def test_the_mean_is_that_of_the_checkpoints_weight_by_weight(run_nmt: RunNmt, run: Path, tmp_path: Path) -> None:
    done = run_nmt("average", run, "--last", 3, "-o", tmp_path / "mean")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"wrote {tmp_path / 'mean'}: the average of 3 checkpoints, steps 8, 10, 12" in done.stderr.replace("\n", "")
    assert run_nmt("translate", tmp_path / "mean", stdin="Der Hund schläft.\n").returncode == 0
    found = weights(tmp_path / "mean")
    parts = [read_tensors(run / "checkpoints" / f"step-{step:06d}" / "weights.safetensors") for step in (8, 10, 12)]
    assert found.keys() == parts[0].keys()
    for name, mean in found.items():
        assert mean.dtype == parts[0][name].dtype
        torch.testing.assert_close(mean, (parts[0][name] + parts[1][name] + parts[2][name]) / 3)
    assert any(not torch.equal(mean, parts[2][name]) for name, mean in found.items())
    kept = ("recipe", "vocabulary", "model.safetensors")
    with_run = {path.name for path in run.iterdir() if path.name.startswith(kept)}
    assert {path.name for path in (tmp_path / "mean").iterdir()} == with_run


def test_it_aligns_as_the_run_does(copied: Path, tmp_path: Path) -> None:
    heads = '{"heads": ["attention"], "attention": "input"}'
    (copied / "alignment.json").write_text(heads)
    (copied / "lexicon.tsv").write_text("hund\tdog\t3\n")
    average_checkpoints(copied, tmp_path / "mean", last=2)
    translator = load(tmp_path / "mean", "cpu")
    assert translator.aligner.heads.attention == "input"
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
    for step, value in ((4, 3.0), (8, 1.0), (12, 2.0)):
        measured = {"value": value, "higher_is_better": higher_is_better}
        checkpoint = copied / "checkpoints" / f"step-{step:06d}"
        state = json.loads((checkpoint / "state.json").read_text("utf-8"))
        (checkpoint / "state.json").write_text(json.dumps(state | {"validation": measured}), encoding="utf-8")
        (checkpoint / "SHA256SUMS").unlink()
    assert average_checkpoints(copied, tmp_path / "mean", best=2) == expected


def test_the_best_are_looked_for_among_those_on_disk(copied: Path, tmp_path: Path) -> None:
    shutil.rmtree(copied / "checkpoints" / "step-000008")
    assert average_checkpoints(copied, tmp_path / "mean", best=2) == [4, 12]
    with pytest.raises(UserError, match=r"(?s)holds 2 validated checkpoints, not 3.*training\.keep_best=3"):
        average_checkpoints(copied, tmp_path / "more", best=3)


def test_what_cannot_be_averaged_is_told(copied: Path, tmp_path: Path) -> None:
    out = tmp_path / "mean"
    with pytest.raises(UserError, match=r"(?s)holds 6 checkpoints, not 7.*training\.keep_last=7"):
        average_checkpoints(copied, out, last=7)
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
    with pytest.raises(UserError, match=r"(?s)step-000010 is damaged: weights\.safetensors.*delete its folder"):
        average_checkpoints(copied, tmp_path / "mean", last=3)
    shutil.rmtree(path.parent)
    assert average_checkpoints(copied, tmp_path / "mean", last=3) == [6, 8, 12]


@pytest.mark.parametrize("change", ["shape", "name"])
def test_checkpoints_of_other_shapes_are_refused(tmp_path: Path, change: str) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    save_weights({"x": torch.zeros(2)}, paths[0])
    save_weights({"x": torch.zeros(3)} if change == "shape" else {"y": torch.zeros(2)}, paths[1])
    with pytest.raises(UserError, match=r"b\.safetensors doesn't fit .* '[xy]' is missing or has another shape"):
        mean_weights(paths)


@pytest.fixture
def trained(make_recipe: RecipeMaker, tmp_path: Path) -> Path:
    return train(make_recipe("luong", max_steps=30), tmp_path / "trained")


def test_the_average_with_the_origin_lies_between_both(
    make_recipe: RecipeMaker, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"finetune_from": trained, "max_steps": 5, "learning_rate": 0.01}
    tuned = train(make_recipe("luong", **options), tmp_path / "tuned")
    capfd.readouterr()
    average_with_origin(tuned, 0.25, tmp_path / "mean")
    assert capfd.readouterr().err == "", "nothing is started from a model"
    old, new, mean = weights(trained), weights(tuned), weights(tmp_path / "mean")
    assert mean.keys() == new.keys()
    for name, weight in mean.items():
        torch.testing.assert_close(weight, 0.25 * old[name] + 0.75 * new[name], atol=1e-6, rtol=0)
    assert any((old[name] - new[name]).abs().max() > 1e-3 for name in mean)
    assert load(tmp_path / "mean").translate(["Der Hund schläft."])[0].text is not None
    with pytest.raises(UserError, match="exists already"):
        average_with_origin(tuned, 0.25, tmp_path / "mean")
    with pytest.raises(UserError, match="was not fine-tuned"):
        average_with_origin(trained, 0.25, tmp_path / "other")
    trained.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"was fine-tuned from .*trained, which doesn't exist"):
        average_with_origin(tuned, 0.25, tmp_path / "other")


def test_weights_that_are_not_finite_are_not_averaged(make_recipe: RecipeMaker, trained: Path, tmp_path: Path) -> None:
    tuned = train(make_recipe("luong", finetune_from=trained, max_steps=1), tmp_path / "tuned")
    name = spoil(trained / "model.safetensors")
    with pytest.raises(UserError, match=f"(?s)model.safetensors.*not finite.*{name}"):
        average_with_origin(tuned, 0.5, tmp_path / "mean")
    checkpoint = tuned / "checkpoints" / "step-000001" / "weights.safetensors"
    with pytest.raises(UserError, match=f"(?s)weights.safetensors.*not finite.*{spoil(checkpoint)}"):
        mean_weights([checkpoint])


def test_new_pieces_are_as_fine_tuned(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    vocabulary = {"type": "unigram", "size": 60}
    trained = train(make_recipe("luong", recipe={"vocabulary": vocabulary}, max_steps=3), tmp_path / "trained")
    files = {"source": tmp_path / "new.source", "target": tmp_path / "new.target"}
    files["source"].write_text("Garçon, Forêt\n" * 50, encoding="utf-8")
    files["target"].write_text("boy zoo\n" * 50, encoding="utf-8")
    corpus: dict[str, Any] = {"name": "new", "new_pieces": True, **{side: str(path) for side, path in files.items()}}
    options = {"vocabulary": {"type": "unigram", "size": 90}, "data": {"corpora": [corpus]}}
    tuned = train(make_recipe("luong", recipe=options, finetune_from=trained, max_steps=2), tmp_path / "tuned")
    average_with_origin(tuned, 0.5, tmp_path / "mean")
    old, new, mean = (weights(run)["encoder.embedding.table.weight"] for run in (trained, tuned, tmp_path / "mean"))
    assert len(old) == len(Vocabularies.load(trained).source) < len(new)
    torch.testing.assert_close(mean[len(old) :], new[len(old) :], atol=0, rtol=0)
    torch.testing.assert_close(mean[: len(old)], (new[: len(old)] + old) / 2, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--last", "2", "--best", "2", "-o", "x"], "not clear what to average"),
        (["-o", "x"], "--origin SHARE"),
        (["--origin", "0.5", "--last", "2", "-o", "x"], "--origin averages no checkpoints"),
    ],
)
def test_wrong_usage_is_told(
    run_nmt: RunNmt, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(run_nmt("average", run, *arguments), message)
    assert not list(tmp_path.iterdir())
