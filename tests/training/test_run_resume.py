"""Resuming: from which checkpoint, with which recipe, and with a log that doesn't double back."""

import json
import re
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fixture_types import RecipeMaker
from run_files import assert_same_run, read_checkpoint, read_metrics

from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.metrics.degenerate import DegenerateCount
from nmt.training.checkpoint import CheckpointFolder, step_of
from nmt.training.distributed import Interrupted
from nmt.training.events import Ended, Sample, Started, Validated
from nmt.training.run import train
from nmt.training.sinks import open_sinks
from nmt.training.validation import Validator


def steps(directory: Path) -> list[int]:
    return [step_of(path) for path in CheckpointFolder(directory).all()]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_a_damaged_checkpoint_is_passed_over_and_the_run_ends_as_if_nothing_had_happened(
    make_recipe: RecipeMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"dropout": 0.2, "checkpoint_every": 3, "validate_every": 3, "log_every": 1, "ema": 0.5, "keep_last": 3}
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    train(make_recipe(max_steps=9, **options), broken)
    model = (broken / "model.safetensors").read_bytes()
    weights = broken / "checkpoints" / "step-000009" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    capsys.readouterr()
    train(make_recipe(max_steps=7, **options), broken, resume=True)
    message = said(capsys)
    assert "step-000009 is damaged (weights.safetensors is not what was written): going back" in message
    assert "resumed at step 6" in message
    assert steps(broken)[-1] == 7, "the damaged one doesn't push it out"
    assert (broken / "model.safetensors").read_bytes() != model, "the best of step 9 is in the future again"
    train(make_recipe(max_steps=9, **options), broken, resume=True)
    train(make_recipe(max_steps=9, **options), whole)
    assert_same_run(broken, whole, 9)


def test_the_model_is_the_best_checkpoints_even_where_a_kill_came_before_it_was_written(
    make_recipe: RecipeMaker, tmp_path: Path
) -> None:
    recipe = make_recipe(max_steps=3, validate_every=1, checkpoint_every=1, ema=0.5)
    train(recipe, tmp_path)
    model = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").unlink()
    train(recipe, tmp_path, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == model


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("progress", {"step": "many"}), ("schedule", None), ("", "[" * 3000 + "]" * 3000),
    ],
)  # fmt: skip
def test_a_state_of_another_type_is_refused(make_recipe: RecipeMaker, tmp_path: Path, key: str, value: object) -> None:
    train(make_recipe(max_steps=1, checkpoint_every=1), tmp_path)
    path = CheckpointFolder(tmp_path).all()[-1] / "state.json"
    state = json.loads(path.read_text()) | {key: value}
    path.write_text(json.dumps(state) if key else value if isinstance(value, str) else json.dumps(value))
    (path.parent / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=r"state\.json is (damaged|not the state of this run)"):
        train(make_recipe(max_steps=2, checkpoint_every=1), tmp_path, resume=True)


def test_what_a_run_cannot_go_on_with_is_refused(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    train(make_recipe(max_steps=1), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    decoder = {"type": "luong", "cell": "gru", "hidden_size": 48, "dropout": 0.0, "attention": {"type": "dot"}}
    cases: dict[str, dict[str, Any]] = {
        "data.source is 'en', was 'de'; data.target is 'de'": {"recipe": {"data": {"source": "en", "target": "de"}}},
        "vocabulary.size is 77, was 200": {"recipe": {"vocabulary": {"size": 77}}},
        "model.encoder.type is 'transformer', was 'recurrent'": {"system": "transformer"},
        "model.decoder.attention.type is 'dot', was 'general'": {"recipe": {"model": {"decoder": decoder}}},
        "training.metric is 'bleu', was 'loss'": {"metric": "bleu"},
        "training.finetune_from is 'other', was None": {"finetune_from": "other"},
        "data.valid is None, was 'val'": {"recipe": {"data": {"valid": None}}},
    }
    for message, changes in cases.items():
        with pytest.raises(UserError, match=rf"(?s){message}.*\n.*recipe\.yaml"):
            train(make_recipe(max_steps=2, **changes), tmp_path, resume=True)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_no_pairs_that_were_trained_on_are_held_out_later(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    divided = {"data.valid": None, "data.hold_out": 3}
    train(make_recipe(max_steps=1), tmp_path, overrides=divided)
    with pytest.raises(UserError, match=r"seed is 5, was 1; data\.hold_out is 4, was 3"):
        train(make_recipe(max_steps=2), tmp_path, overrides={**divided, "data.hold_out": 4, "seed": 5}, resume=True)
    train(make_recipe(max_steps=2), tmp_path, overrides={"seed": 5}, resume=True)  # on a validation split


def test_no_other_pairs_are_held_out_of_a_text_that_has_changed(
    make_recipe: RecipeMaker, tiny_pairs: list[tuple[str, str]], tmp_path: Path
) -> None:
    train(make_recipe(max_steps=1), tmp_path, pairs=tiny_pairs)
    train(make_recipe(max_steps=2), tmp_path, pairs=tiny_pairs, resume=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"(?s)The text has changed: other pairs than before.*name a validation"):
        train(make_recipe(max_steps=3), tmp_path, pairs=tiny_pairs[1:], resume=True)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    train(make_recipe(max_steps=3), tmp_path, pairs=tiny_pairs[1:], valid=tiny_pairs[:1], resume=True)


def test_other_changes_are_said(make_recipe: RecipeMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(make_recipe(max_steps=1), tmp_path)
    capsys.readouterr()
    train(make_recipe(max_steps=2, expected_score=30), tmp_path, resume=True)
    assert "other settings" not in said(capsys), "more steps are what resuming is for, and a score is only shown"
    train(make_recipe(max_steps=3, dropout=0.1, learning_rate=0.02), tmp_path, resume=True)
    message = said(capsys)
    assert "resuming with other settings: model.encoder.dropout is 0.1, was 0.0;" in message
    assert "training.learning_rate is 0.02, was 0.01" in message
    assert "max_steps is" not in message
    train(make_recipe(max_steps=4, optimizer="muon"), tmp_path, resume=True)
    assert "the moments begin anew" in said(capsys)


def test_the_best_model_on_other_validation_text_is_looked_for_anew(
    make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A better figure on easier text would keep the weights of before to the end."""

    def best_of(step: int) -> float:
        return float(read_checkpoint(tmp_path, step)[2]["progress"]["best"])

    options = {"validate_every": 20, "patience": 1}
    train(make_recipe(max_steps=20, **options), tmp_path)
    words = [line.split() for line in (tiny_corpus / "val.en").read_text("utf-8").splitlines()]
    (tmp_path / "hard.en").write_text("".join(" ".join(line[::-1]) + "\n" for line in words), encoding="utf-8")
    hard = {"data.valid": {"source": str(tiny_corpus / "val.de"), "target": str(tmp_path / "hard.en")}}
    train(make_recipe(max_steps=21, **options), tmp_path, overrides=hard, resume=True)
    assert "validates on other text: the best model is looked for anew" in said(capsys)
    assert best_of(21) > best_of(20)
    (tmp_path / "hard.en").write_bytes((tmp_path / "hard.en").read_bytes().replace(b"\n", b"\r\n"))
    train(make_recipe(max_steps=22, **options), tmp_path, overrides=hard, resume=True)
    assert "looked for anew" not in said(capsys), "the pairs are the same"


def test_a_run_from_before_an_option_was_added_is_resumed(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    train(make_recipe(max_steps=1), tmp_path)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(re.sub(r" +attend_embeddings: .*\n", "", recipe.read_text("utf-8")), "utf-8")
    train(recipe, tmp_path, resume=True, overrides={"training.max_steps": 2})
    assert steps(tmp_path)[-1] == 2
    recipe.write_text(recipe.read_text("utf-8").replace("techniques: {}", "techniques: {of_a_plugin: {}}"), "utf-8")
    with pytest.raises(UserError, match="scale_embeddings is True, was False"):
        train(make_recipe(recipe={"model": {"scale_embeddings": True}}, max_steps=3), tmp_path, resume=True)


def test_another_training_text_is_said(
    make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(tiny_corpus, tmp_path / "data"))
    recipe = {"recipe": {"data": {"root": str(data)}}}
    train(make_recipe(max_steps=1, **recipe), tmp_path / "run")
    train(make_recipe(max_steps=2, **recipe), tmp_path / "run", resume=True)
    assert "training text" not in said(capsys)
    for language in ("de", "en"):
        with (data / f"train.{language}").open("a", encoding="utf-8") as file:
            file.write("Der Hund schläft.\n")
    train(make_recipe(max_steps=3, **recipe), tmp_path / "run", resume=True)
    assert "the training text isn't the one that the run was started with" in said(capsys)


def test_the_log_goes_back_to_the_checkpoint(tmp_path: Path) -> None:
    validated = partial(Validated, loss=1.0, metric="loss", score=None, degenerate=DegenerateCount(), best=True)
    with open_sinks(ModelDirectory(tmp_path), tensorboard=False) as emit:
        emit(Started(step=0, seconds=0, total_steps=9, max_minutes=None))
        for step in (2, 4, 6):
            emit(validated(step=step, seconds=step, samples=(Sample("a", "b", "c"),)))
        emit(Ended(step=4, seconds=7, reason="max_steps"))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"event": "train", "step": 4, "sec')  # a kill came in the middle
    (tmp_path / "samples" / "mine.txt").write_text("notes")
    with open_sinks(ModelDirectory(tmp_path), tensorboard=False) as emit:
        emit(Started(name="resume", step=4, seconds=8, total_steps=9, max_minutes=None))
    logged = [(line["event"], line["step"]) for line in read_metrics(tmp_path)]
    assert logged == [("valid", 2), ("valid", 4), ("resume", 4)]
    samples = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert samples == ["mine.txt", "step-000002.txt", "step-000004.txt"]
    with open_sinks(ModelDirectory(tmp_path), tensorboard=False) as emit:  # a kill came between it and its checkpoint
        emit(Started(name="resume", step=4, seconds=8, total_steps=9, max_minutes=None, validation_due=True))
    logged = [(line["event"], line["step"]) for line in read_metrics(tmp_path)]
    assert logged == [("valid", 2), ("resume", 4), ("resume", 4)]


@pytest.mark.quick("in the middle-loss")
@pytest.mark.parametrize("metric", ["loss", "bleu"])
@pytest.mark.parametrize("at", [6, 9], ids=["in the middle", "at the end"])
def test_a_signal_ends_a_validation_and_resuming_makes_up_for_it(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, at: int
) -> None:
    recipe = make_recipe(
        dropout=0.2, max_steps=9, validate_every=3, batch_tokens=64, metric=metric, patience=5, ema=0.5, log_every=1,
        recipe={"decoding": {"batch_size": 2}},
    )  # fmt: skip
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    real, asked = Validator.__call__, []

    def interrupted(self: Validator, model: Any, stop: Callable[[], bool]) -> Any:
        def signalled() -> bool:
            asked.append(True)
            if len(asked) == 2:
                signal.raise_signal(signal.SIGINT)
            return stop()

        return real(self, model, signalled if validations.pop(0) == at else stop)

    validations = [3, 6, 9]
    with monkeypatch.context() as patch:
        patch.setattr(Validator, "__call__", interrupted)
        with pytest.raises(Interrupted, match="SIGINT"):
            train(recipe, broken)
    assert len(asked) == 2, "it ended after the batch in which the signal came"
    assert [line["step"] for line in read_metrics(broken, "valid")] == list(range(3, at, 3))
    assert read_checkpoint(broken, at)[2]["progress"]["validation_due"]
    train(recipe, broken, resume=True)
    train(recipe, whole)
    assert_same_run(broken, whole, 9)
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    valid = [
        [{key: value for key, value in line.items() if key != "seconds"} for line in read_metrics(directory, "valid")]
        for directory in (broken, whole)
    ]
    assert valid[0] == valid[1]
    assert steps(broken) == steps(whole)


@pytest.mark.extension("techniques")
def test_a_run_without_gain_goes_on_with_a_technique_that_asks_for_another_best_model(
    make_recipe: RecipeMaker, tmp_path: Path
) -> None:
    options = {"validate_every": 1, "patience": 1, "learning_rate": 1e-12}
    train(make_recipe(max_steps=9, **options), tmp_path)
    before = steps(tmp_path)[-1]
    assert before < 9
    guided = {"training.techniques.guided_alignment.links": "learned"}
    train(make_recipe(max_steps=9, **options), tmp_path, overrides=guided, resume=True)
    assert steps(tmp_path)[-1] > before, "training.patience counts anew"
