"""Word vectors from text files, and embeddings that start from them in a real run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fixture_types import TrainTiny

import nmt
from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.extensions.vectors.embeddings import read_vectors, set_vectors
from nmt.models.layers import Embedding
from nmt.models.weights import read_tensors

VOCABULARY = WordVocabulary(["▁Hund", "▁der", "▁Der", ".", "▁Haus", "▁seltsam", "▁"])
HUND, DER, DER_AT_START, DOT, HAUS, STRANGE = range(4, 10)
GLOVE = (
    "der 1 2 3\nhund 4 5 6\nHund 0.5 -1e-1 2\n. 7 7 7\nunbekannt 9 9 9\nhaus 3 2 1 \nmit freundlichen Grüßen 8 8 8\n"
)


@pytest.mark.parametrize("header", ["", "6 3\n"])
def test_exact_spelling_comes_before_lower_case(tmp_path: Path, header: str) -> None:
    (tmp_path / "vectors.txt").write_text(header + GLOVE, encoding="utf-8")
    ids, vectors, num_words = read_vectors(tmp_path / "vectors.txt", VOCABULARY, 3)
    assert ids.tolist() == [HUND, DER, DER_AT_START, HAUS]
    np.testing.assert_allclose(vectors, [[0.5, -0.1, 2], [1, 2, 3], [1, 2, 3], [3, 2, 1]])
    assert num_words == 5


@pytest.mark.parametrize(
    ("content", "message", "remedy"),
    [
        ("der 1 2\n", r"line 1: 'der' has 2 numbers, not 3 \(model.embedding_size\)", "embedding_size to 2"),
        ("\nder 1 2 3\n", "line 1: '' has 0 numbers", "vectors of 3 numbers"),
        ("x 1 2 3\ny 1 2 3\nder 1 2\n", "line 3: 'der' has 2 numbers, not 3", "remove"),
        ("x 1 2 3\nder 1 zwei 3\n", "line 2: 'der' is not followed by numbers", "a word and its numbers"),
        ("der 1 nan 3\n", "isn't finite", "Correct"),
        ("der 1 1e38 3\n", "isn't finite, or not below 1e", "Correct"),
        ("der 1 -1e400 3\n", "isn't finite, or not below 1e", "Correct"),
        ("the 1 2 3\n", "any of the 5 words", "language"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: str, message: str, remedy: str) -> None:
    (tmp_path / "vectors.txt").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=rf"{message}.*\n.*{remedy}"):
        read_vectors(tmp_path / "vectors.txt", VOCABULARY, 3)


@torch.no_grad()
@pytest.mark.parametrize("scale", [False, True])
def test_given_vectors_are_what_an_embedding_gives_and_others_become_as_large(scale: bool) -> None:
    torch.manual_seed(45)
    embedding, vectors = Embedding(500, 16, pad=0, scale=scale).eval(), 7 * torch.randn(200, 16)
    set_vectors(embedding, torch.arange(1, 201), vectors)
    torch.testing.assert_close(embedding(torch.arange(1, 201)), vectors)
    assert float(embedding(torch.arange(201, 500)).std()) == pytest.approx(float(vectors.std()), rel=1e-4)
    assert not embedding(torch.tensor([0])).any()


def source_embedding(directory: Path, word: str) -> torch.Tensor:
    (index,) = Vocabularies.load(directory).source.encode(word)
    return read_tensors(directory / "model.safetensors")["encoder.embedding.table.weight"][index]


@pytest.mark.quick("True")
@pytest.mark.parametrize("freeze", [False, True])
def test_embeddings_start_from_vectors_and_stay_when_frozen(
    train_tiny: TrainTiny, tmp_path: Path, freeze: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    vectors, size = tmp_path / "vectors.txt", 48
    rows = {"Hund": 0.5, "Katze": -0.25, "ganz-anders": 9.0}
    vectors.write_text("".join(f"{word}{f' {x}' * size}\n" for word, x in rows.items()), encoding="utf-8")
    steps = "training.max_steps=8", "training.checkpoint_every=1"
    rates = "training.learning_rate=1e-6", "training.schedule.warmup_steps=1"
    directory = train_tiny(*steps, *rates, f"model.vectors={{source: {vectors}, freeze: {freeze}}}")
    assert "source embeddings: vectors.txt has 2 of " in capfd.readouterr().err
    hund = source_embedding(directory, "Hund")
    assert torch.equal(hund, torch.full((size,), 0.5)) == freeze
    torch.testing.assert_close(hund, torch.full((size,), 0.5), atol=1e-4, rtol=0)
    torch.testing.assert_close(source_embedding(directory, "Katze"), torch.full((size,), -0.25), atol=1e-4, rtol=0)

    tuned = nmt.train(
        directory / "recipe.yaml", tmp_path / "tuned",
        overrides={"training.finetune_from": directory, "training.learning_rate": 1e-30, "training.max_steps": 1,
                   "model.vectors.freeze": not freeze},
    )  # fmt: skip
    assert torch.equal(source_embedding(tuned, "Hund"), hund), "what was trained stays"
    # The file isn't needed any more, and what was frozen stays so.
    vectors.unlink()
    nmt.train(directory / "recipe.yaml", directory, overrides={"training.max_steps": 10}, resume=True)
    assert torch.equal(source_embedding(directory, "Hund"), torch.full((size,), 0.5)) == freeze
