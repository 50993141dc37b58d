"""From a recipe to a model directory: what is learned, when it ends, what is written, what is refused."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import RecipeMaker
from run_files import read_checkpoint, read_metrics

import nmt
from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.build import build
from nmt.models.cells.standard import GruCell
from nmt.models.weights import load_weights, read_tensors
from nmt.recipe.load import load_recipe
from nmt.training.checkpoint import CheckpointFolder, step_of
from nmt.training.data import prepare_data
from nmt.training.resolve import resolve
from nmt.training.run import train
from nmt.training.validation import Validator


def test_the_model_directory_holds_what_the_design_says_and_nothing_pickled(
    make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(max_steps=4, validate_every=2, metric="bleu")
    train(recipe, tmp_path)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    checkpoint = {"weights.safetensors", "training.safetensors", "state.json", "SHA256SUMS"}
    assert files - {"README.md", "machine.txt"} == {  # which the extension `cards` writes
        ".lock", "recipe.yaml", "vocabulary.txt", "model.safetensors", "metrics.jsonl",
        "samples/step-000002.txt", "samples/step-000004.txt",
        *(f"checkpoints/step-{step:06d}/{name}" for step in (2, 4) for name in checkpoint),
    }  # fmt: skip
    assert load_recipe(tmp_path / "recipe.yaml") == resolve(recipe)
    sample = (tmp_path / "samples" / "step-000004.txt").read_text("utf-8").splitlines()
    for kind, language in (("source", "de"), ("reference", "en")):
        shown = [line.removeprefix(f"{kind}:").strip() for line in sample if line.startswith(kind)]
        assert shown == (tiny_corpus / f"val.{language}").read_text("utf-8").splitlines()[:5]


def test_metrics_have_the_figures_that_scripts_rely_on(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    train(make_recipe(max_epochs=2, log_every=4, metric="bleu"), tmp_path)
    lines = read_metrics(tmp_path)
    assert [(line["event"], line["step"]) for line in lines] == [
        ("train", 4), ("epoch", 7), ("valid", 7), ("train", 8), ("train", 12), ("train", 14), ("epoch", 14),
        ("valid", 14), ("end", 14),
    ]  # fmt: skip
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    for line in read_metrics(tmp_path, "train"):
        assert line.keys() >= {"loss", "tokens_per_second", "learning_rate", "gradient_norm", "padding"}
        assert all(line[key] > 0 for key in ("loss", "tokens_per_second", "learning_rate", "gradient_norm"))
        assert 0 <= line["padding"] < 0.3
    assert [line["learning_rate"] for line in read_metrics(tmp_path, "train")] == pytest.approx(
        [0.01 * 4 / 5, *(0.01 * (5 / step) ** 0.5 for step in (8, 12, 14))]
    )
    assert all(line.keys() >= {"loss", "bleu", "best"} for line in read_metrics(tmp_path, "valid"))


def test_no_update_is_missing_from_the_log(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    """A validation between two lines takes nothing away from the second one."""
    losses = {}
    for every in (1, 8):
        directory = tmp_path / str(every)
        train(make_recipe(max_steps=8, validate_every=7, log_every=every, learning_rate=0.05), directory)
        losses[every] = [line["loss"] for line in read_metrics(directory, "train")]
    mean = sum(losses[1]) / 8
    assert losses[8] == [pytest.approx(mean, rel=0.02)]
    assert losses[1][7] < mean * 0.9  # so the last update alone would be told from all eight


@pytest.mark.quick("0.9")
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_model_is_the_best_checkpoints_which_is_kept_whatever_the_rhythm_of_checkpoints(
    make_recipe: RecipeMaker, tmp_path: Path, ema: float
) -> None:
    """Validations between two checkpoints, with a rate so high at the end that the last ones are not the best."""
    options = {"schedule": {"type": "constant", "warmup_steps": 60}, "learning_rate": 0.3, "clip_norm": None}
    train(make_recipe(max_steps=50, validate_every=5, checkpoint_every=24, keep_best=2, ema=ema, **options), tmp_path)
    lines = read_metrics(tmp_path, "valid")
    best = min(lines, key=lambda line: line["loss"])
    assert best["step"] < 48
    improved = [line["step"] for line in lines if line["best"]]
    assert improved[-1] == best["step"]
    assert [step_of(path) for path in CheckpointFolder(tmp_path).all()] == [*improved[-2:], 48, 50]
    assert step_of(CheckpointFolder(tmp_path).best()[0]) == best["step"]
    weights, tensors, _ = read_checkpoint(tmp_path, best["step"])
    expected = {n.removeprefix("average/"): t for n, t in tensors.items() if n.startswith("average/")} or weights
    assert bool(ema) == (expected is not weights)
    torch.testing.assert_close(read_tensors(tmp_path / "model.safetensors"), expected, rtol=0, atol=0)
    # The figure was measured on these weights, and not on those of the update.
    recipe = load_recipe(tmp_path / "recipe.yaml")
    data = prepare_data(recipe, resumed=tmp_path)
    model = build(recipe.model, data.vocabularies)
    load_weights(model, tmp_path / "model.safetensors")
    validator = Validator(recipe, data, 64, "fp32")
    assert validator(model).loss == pytest.approx(best["loss"], abs=1e-4)


def test_components_of_a_program_get_a_warning(
    make_recipe: RecipeMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Mine(GruCell): ...

    Mine.__module__ = "__main__"
    nmt.register("cell", "of_a_program")(Mine)
    train(make_recipe(max_steps=1), tmp_path, overrides={"model.encoder.cell": "of_a_program"})
    assert "components of this program" in capsys.readouterr().err


def last_step(directory: Path, reason: str) -> int:
    line = read_metrics(directory)[-1]
    assert line["event"] == "end"
    assert reason in line["reason"]
    return int(line["step"])


def test_epochs_count_across_accumulated_batches(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    assert last_step(train(make_recipe(max_epochs=3), tmp_path / "1"), "max_epochs") == 21
    assert last_step(train(make_recipe(max_epochs=3, accumulate=4), tmp_path / "4"), "max_epochs") == 6


def test_minutes_are_counted_over_all_resumes(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = make_recipe(max_minutes=0.005, checkpoint_every=1)
    train(recipe, tmp_path)
    first = last_step(tmp_path, "max_minutes")
    assert read_metrics(tmp_path, "end")[0]["seconds"] >= 0.3
    train(recipe, tmp_path, resume=True)
    assert last_step(tmp_path, "max_minutes") == first


def test_a_deadline_ends_a_run_without_a_number_of_minutes(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    train(make_recipe(max_steps=10_000), tmp_path, deadline=time.monotonic())
    assert last_step(tmp_path, "the deadline reached") == 1


def test_a_time_limit_inside_the_warm_up_is_named(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    schedule = {"type": "inverse_sqrt", "warmup_steps": 100_000}
    train(make_recipe(max_minutes=0.001, schedule=schedule), tmp_path)
    assert "before the warm-up of 100,000 updates had ended" in read_metrics(tmp_path, "end")[0]["reason"]


@pytest.mark.parametrize(("warmup_steps", "is_told"), [(3, True), (2, False)])
def test_a_run_of_fewer_updates_than_the_warm_up_is_told_so_at_its_start(
    make_recipe: RecipeMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str], warmup_steps: int, is_told: bool
) -> None:
    train(make_recipe(max_steps=2, schedule={"warmup_steps": warmup_steps}), tmp_path)
    told = "ends in the warm-up of 3 updates: lower training.schedule.warmup_steps.\n"
    assert (told in capsys.readouterr().err) == is_told


def test_patience_ends_a_run_that_gains_nothing_even_across_a_resume(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    """No update changes anything at this rate, so the first validation stays the best."""
    options = {"learning_rate": 1e-30, "validate_every": 2}
    train(make_recipe(patience=3, max_steps=4, **options), tmp_path)
    train(make_recipe(patience=3, **options), tmp_path, resume=True)
    assert last_step(tmp_path, "no gain in 3 validations") == 8
    assert [line["best"] for line in read_metrics(tmp_path, "valid")] == [True, False, False, False]
    train(make_recipe(patience=1, **options), tmp_path / "one")
    assert last_step(tmp_path / "one", "no gain in 1 validation (training.patience)") == 4


def test_plateau_lowers_the_rate_and_ends_even_across_resumes(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    schedule = {"type": "plateau", "min_learning_rate": 4e-31, "patience": 1, "warmup_steps": 0}
    for resume, max_steps in ((False, 4), (True, 8), (True, 99)):
        recipe = make_recipe(schedule=schedule, max_steps=max_steps, validate_every=2, learning_rate=1e-30)
        train(recipe, tmp_path, resume=resume)
    assert last_step(tmp_path, "learning rate fell below") == 10
    rates = [line["learning_rate"] for line in read_metrics(tmp_path, "train")]
    assert rates == pytest.approx([1e-30, 1e-30, 1e-30, 5e-31, 5e-31])


def test_the_last_update_is_validated_even_where_a_checkpoint_was_due(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    train(make_recipe(max_steps=6, checkpoint_every=3, validate_every=4), tmp_path)
    assert [line["step"] for line in read_metrics(tmp_path, "valid")] == [4, 6]
    assert read_checkpoint(tmp_path, 6)[2]["progress"]["best_step"] == 6


def test_a_run_is_not_overwritten(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = make_recipe(max_steps=2)
    train(recipe, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"(?s)holds a training run already \(at step 2\).*--resume"):
        train(recipe, tmp_path)
    for path in (tmp_path / "checkpoints").glob("*/*"):
        path.unlink()
        before.pop(path)
    for resume, message in ((False, "a trained model already"), (True, "no checkpoint to resume from")):
        with pytest.raises(UserError, match=message):
            train(recipe, tmp_path, resume=resume)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.quick("*ema*", "*batch_tokens*")
@pytest.mark.parametrize(
    "changes",
    [{"batch_tokens": 500}, {"precision": "fp16"}, {"ema": 0.9}, {"optimizer": "adamw"}, {"optimizer": "muon"}],
    ids=str,
)
def test_a_run_can_be_resumed_with_other_settings(
    make_recipe: RecipeMaker, tmp_path: Path, changes: dict[str, Any]
) -> None:
    train(make_recipe(max_steps=5), tmp_path)
    train(make_recipe(max_steps=9, **changes), tmp_path, resume=True)
    assert last_step(tmp_path, "max_steps") == 9


def test_the_vocabulary_of_a_failed_attempt_is_not_used_again(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    (tmp_path / "vocabulary.model").write_bytes(b"half a file")
    (tmp_path / "vocabulary.source.txt").write_text("<pad>\n<unk>\n<s>\n</s>\nfalsch\n", encoding="utf-8")
    train(make_recipe(max_steps=1), tmp_path)
    assert [path.name for path in tmp_path.glob("vocabulary*")] == ["vocabulary.txt"]
    assert len(Vocabularies.load(tmp_path).source) > 50


def test_too_few_pairs_to_hold_some_out(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    for language in ("de", "en"):
        (tmp_path / f"train.{language}").write_text("eins\nzwei\n", encoding="utf-8")
    recipe = make_recipe(max_steps=1, recipe={"data": {"root": str(tmp_path), "valid": None}})
    with pytest.raises(UserError, match=r"(?s)2 sentence pairs are too few.*data\.valid"):
        train(recipe, tmp_path / "model")
