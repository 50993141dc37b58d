"""Embeddings that start from word vectors, in a real run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import nmt
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.weights import read_tensors

SIZE = 48


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    rows = {"Hund": 0.5, "Katze": -0.25, "ganz-anders": 9.0}
    path.write_text("".join(f"{word}{f' {x}' * SIZE}\n" for word, x in rows.items()), encoding="utf-8")
    return path


def source_embedding(directory: Path, word: str) -> torch.Tensor:
    (index,) = Vocabularies.load(directory).source.encode(word)
    return read_tensors(directory / "model.safetensors")["encoder.embedding.table.weight"][index]


@pytest.mark.quick("True")
@pytest.mark.parametrize("freeze", [False, True])
def test_embeddings_start_from_vectors_and_stay_when_frozen(
    train_tiny: Callable[..., Path], vectors: Path, freeze: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = [
        "training.max_steps=8",
        "training.learning_rate=1e-6",
        f"model.vectors.source={vectors}",
        f"model.vectors.freeze={freeze}",
    ]
    directory = train_tiny(*settings, "training.checkpoint_every=1", "training.schedule.warmup_steps=1")
    assert "source embeddings: vectors.txt has 2 of " in capfd.readouterr().err
    hund = source_embedding(directory, "Hund")
    assert torch.equal(hund, torch.full((SIZE,), 0.5)) == freeze
    torch.testing.assert_close(hund, torch.full((SIZE,), 0.5), atol=1e-4, rtol=0)
    torch.testing.assert_close(source_embedding(directory, "Katze"), torch.full((SIZE,), -0.25), atol=1e-4, rtol=0)

    # The file isn't needed any more, and what was frozen stays so.
    vectors.unlink()
    nmt.train(directory / "recipe.yaml", directory, overrides={"training.max_steps": 10}, resume=True)
    assert torch.equal(source_embedding(directory, "Hund"), torch.full((SIZE,), 0.5)) == freeze
