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


def test_words_without_a_vector_are_random_with_the_deviation_of_the_vectors(
    train_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    """As in Kim 2014, section 3.1; random vectors that are much shorter or longer than the others learn less."""
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{word}{f' {x} {-x}' * (SIZE // 2)}\n" for word, x in {"Hund": 3, "Katze": 5}.items()))
    directory = train_tiny("training.max_steps=1", f"model.vectors.source={path}", "model.vectors.freeze=true")
    table = read_tensors(directory / "model.safetensors")["encoder.embedding.table.weight"]
    vocabulary = Vocabularies.load(directory).source
    known = [vocabulary.pad, *(index for word in ("Hund", "Katze") for index in vocabulary.encode(word))]
    others = torch.tensor([index not in known for index in range(len(vocabulary))])
    assert table[others].std().item() == pytest.approx(table[known[1:]].std().item(), rel=1e-4)
    assert table[others].unique(dim=0).shape[0] == int(others.sum()) > 10
