"""Gradients at source words: against finite differences, and where they vanish."""

from pathlib import Path

import pytest
import torch
from small_systems import small_model

import nmt
from nmt.core.errors import UserError
from nmt.extensions.lecture.gradients import gradient_norms
from nmt.translation.translator import Translator


def without_attention(like: Translator, cell: str) -> Translator:
    """A model as it starts, with the vocabularies of another one; its encoder reads from left to right."""
    side = {"type": "recurrent", "cell": cell, "hidden_size": 32}
    encoder, decoder = {**side, "bidirectional": False}, {**side, "bridge": "copy"}
    return like.replaced(model=small_model(encoder, decoder, like.vocabularies, 1))


def test_gradients_vanish_in_a_plain_network_and_not_in_an_lstm(tiny_model: Path) -> None:
    """What a network can't feel it can't learn: thirty words back, nothing is left by tanh(U x + W h).

    W, drawn from U(±1/√D), has a spectral radius of 1/√3, so that a gradient shrinks to less than 0.58 of its size
    with each word. In an LSTM the cell's share of it shrinks by the forget gate alone, which is σ(4) = 0.98 here.
    """
    text = [("der Hund hört ein altes Lied " * 5, "the dog hears an old song")] * 10
    like = nmt.load(tiny_model, "cpu")
    plain, lstm = (without_attention(like, cell) for cell in ("rnn_tanh", "lstm"))
    with torch.no_grad():
        lstm.model.encoder.recurrence.layers[0].bias_ih_l0[32:64] = 4  # type: ignore[index, union-attr]
    found = {"rnn": gradient_norms(plain, text, "rnn"), "lstm": gradient_norms(lstm, text, "lstm")}
    assert [len(norms.mean_T) for norms in found.values()] == [31, 31]  # EOS, which is read last, and the words
    assert found["rnn"].decay < 1e-3
    assert found["lstm"].decay > 1e-2
    shares = {name: norms.mean_T / norms.mean_T[0] for name, norms in found.items()}
    assert (shares["rnn"][10:] < 0.1 * shares["lstm"][10:]).all()


def test_too_few_sentences_are_refused(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="too few"):
        gradient_norms(nmt.load(tiny_model, "cpu"), [("die Katze hört.", "the cat hears.")] * 3, "model")
