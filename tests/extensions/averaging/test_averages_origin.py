"""The mean of a fine-tuned model and the model that it was fine-tuned from."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import RecipeMaker

import nmt
from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.averaging.averages import average_with_origin, mean_weights
from nmt.models.weights import read_tensors, save_weights
from nmt.training.run import train


@pytest.fixture
def trained(make_recipe: RecipeMaker, tmp_path: Path) -> Path:
    return train(make_recipe("luong", max_steps=30), tmp_path / "trained")


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return read_tensors(directory / "model.safetensors")


def spoil(path: Path) -> str:
    """Puts NaN into a tensor of a file; returns the tensor's name."""
    tensors = read_tensors(path)
    name = min(tensors)
    save_weights(tensors | {name: torch.full_like(tensors[name], torch.nan)}, path)
    return name


def test_the_average_with_the_origin_lies_between_both(make_recipe: RecipeMaker, trained: Path, tmp_path: Path) -> None:
    options = {"finetune_from": trained, "max_steps": 5, "learning_rate": 0.01}
    tuned = train(make_recipe("luong", **options), tmp_path / "tuned")
    average_with_origin(tuned, 0.25, tmp_path / "mean")
    old, new, mean = weights(trained), weights(tuned), weights(tmp_path / "mean")
    assert mean.keys() == new.keys()
    for name, weight in mean.items():
        torch.testing.assert_close(weight, 0.25 * old[name] + 0.75 * new[name], atol=1e-6, rtol=0)
    assert any((old[name] - new[name]).abs().max() > 1e-3 for name in mean)
    assert nmt.load(tmp_path / "mean").translate(["Der Hund schläft."])[0].text is not None
    with pytest.raises(UserError, match="exists already"):
        average_with_origin(tuned, 0.25, tmp_path / "mean")
    with pytest.raises(UserError, match="was not fine-tuned"):
        average_with_origin(trained, 0.25, tmp_path / "other")


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
