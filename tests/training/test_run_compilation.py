"""``training.compile``: the same numbers, the same files, and a message where there is no compiler."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.core.errors import UserError
from nmt.models.weights import read_tensors
from nmt.recipe.schema import Recipe
from nmt.training.run import train

RecipeMaker = Callable[..., Recipe]
MetricsReader = Callable[..., list[dict[str, Any]]]
Compile = Callable[..., Any]


@pytest.mark.slow
@pytest.mark.parametrize("system", ["bahdanau", "transformer"])
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="needs a C++ compiler")
def test_a_compiled_model_has_the_same_losses_and_files(
    make_recipe: RecipeMaker, read_metrics: MetricsReader, tmp_path: Path, system: str
) -> None:
    losses, files = [], []
    for compiled in (False, True):
        directory = tmp_path / str(compiled)
        train(make_recipe(system, max_steps=8, log_every=1, compile=compiled), directory)
        losses.append([line["loss"] for line in read_metrics(directory) if "loss" in line])
        files.append({path.relative_to(directory) for path in directory.rglob("*") if path.is_file()})
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert files[1] == files[0]
    names = [read_tensors(tmp_path / str(c) / "model.safetensors").keys() for c in (False, True)]
    assert names[1] == names[0], "no prefix of the compiler's"


def test_training_uses_the_compiled_pass_and_validation_the_plain_one(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []

    def compile_nothing(function: Compile, **options: Any) -> Compile:
        assert options == {"dynamic": True}

        def called(*arguments: Any, **named: Any) -> Any:
            calls.append(torch.is_grad_enabled())
            return function(*arguments, **named)

        return called

    monkeypatch.setattr(torch, "compile", compile_nothing)
    train(make_recipe(max_steps=4, validate_every=2, compile=True), tmp_path / "compiled")
    train(make_recipe(max_steps=4, validate_every=2), tmp_path / "plain")
    assert calls == [True] * 4
    ours, theirs = (read_tensors(tmp_path / name / "model.safetensors") for name in ("compiled", "plain"))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_missing_compiler_is_told_with_the_way_on(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = type("InductorError", (RuntimeError,), {"__module__": "torch._inductor.exc"})

    def compile_later(function: Compile, **options: Any) -> Compile:
        def called(*arguments: Any, **named: Any) -> Any:
            raise missing("No working C++ compiler found.\nSet TORCHDYNAMO_VERBOSE=1 for the stack trace.")

        return called

    monkeypatch.setattr(torch, "compile", compile_later)
    with pytest.raises(UserError, match=r"(?s)can't be compiled: No working C\+\+ compiler found\.\n.*compile=false"):
        train(make_recipe(max_steps=1, compile=True), tmp_path / "later")

    def compile_never(function: Compile, **options: Any) -> Compile:
        raise RuntimeError("torch.compile is not supported on Python 3.99+")

    monkeypatch.setattr(torch, "compile", compile_never)
    with pytest.raises(UserError, match=r"can't be compiled: torch\.compile is not supported on Python 3\.99"):
        train(make_recipe(max_steps=1, compile=True), tmp_path / "never")


def test_errors_of_the_model_are_not_called_errors_of_the_compiler(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **named: Any) -> Any:
        raise ZeroDivisionError("in the model")

    monkeypatch.setattr(torch, "compile", lambda function, **options: fails)
    with pytest.raises(ZeroDivisionError, match="in the model"):
        train(make_recipe(max_steps=1, compile=True), tmp_path)
