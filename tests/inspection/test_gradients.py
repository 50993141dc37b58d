"""Gradients at source words: against finite differences, and where they vanish."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import nmt
from nmt.data.batching import make_batch
from nmt.errors import UserError
from nmt.inspection.gradients import gradient_norms, plot_gradients
from nmt.training.loss import token_loss

PAIRS = [("der Hund schläft im Garten.", "the dog sleeps in the garden."), ("die Katze hört.", "the cat hears.")] * 8


def test_norms_are_those_of_finite_differences(tiny_model: Path) -> None:
    translator = nmt.load(tiny_model, "cpu")
    translator.model.double()
    found = gradient_norms(translator, PAIRS[:1] * 10, "model")
    ids = [(translator.vocabularies.source.encode(s), translator.vocabularies.target.encode(t)) for s, t in PAIRS[:1]]
    batch = make_batch(ids, translator.vocabularies)
    model, table = translator.model, translator.model.encoder.embedding.table

    def loss() -> float:
        unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
        output = model.decoder.output
        return float(
            token_loss(unrolled.features_BTD, output, batch.target_output_BT, batch.target_length_B, 0.0).smoothed
        )

    expected = []
    with torch.no_grad():
        for index in batch.source_BS[0].tolist():  # each word is there once
            slopes = []
            for d in range(table.weight.shape[1]):
                table.weight[index, d] += 1e-5
                above = loss()
                table.weight[index, d] -= 2e-5
                slopes.append((above - loss()) / 2e-5)
                table.weight[index, d] += 1e-5
            expected.append(np.linalg.norm(slopes))
    np.testing.assert_allclose(found.mean_T, expected[::-1], rtol=1e-3)


def test_a_plain_network_forgets_where_an_lstm_does_not(train_tiny: Callable[..., Path], tmp_path: Path) -> None:
    """Without attention, and with weights as they start: what an untrained network can't feel it can't learn."""
    text = [("der Hund hört ein altes Lied " * 5, "the dog hears an old song " * 5)] * 12
    found = {}
    for cell in ("gru", "lstm"):
        settings = (f"model.encoder={{type: recurrent, cell: {cell}, hidden_size: 32, bidirectional: false}}",)
        decoder = f"model.decoder={{type: recurrent, cell: {cell}, hidden_size: 32, start: copy}}"
        model = nmt.load(train_tiny("training.max_steps=1", *settings, decoder), "cpu")
        found[cell] = gradient_norms(model, text, cell)
    assert found["lstm"].decay > 0
    assert len(found["lstm"].mean_T) == len(found["gru"].mean_T)
    plot_gradients(list(found.values()), tmp_path / "gradients.png")
    assert (tmp_path / "gradients.png").read_bytes().startswith(b"\x89PNG")


def test_too_few_sentences_are_refused(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="too few"):
        gradient_norms(nmt.load(tiny_model, "cpu"), PAIRS[:3], "model")
