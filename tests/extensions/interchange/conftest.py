"""Small trained models of two kinds that are exported."""

from pathlib import Path

import pytest
from fixture_types import TrainTiny

LAYER = "num_heads: 4, feed_forward_size: 64, dropout: 0"
SETTINGS = ("vocabulary={type: unigram, size: 110, joint: true}", "training.learning_rate=0.005")


@pytest.fixture(scope="session")
def trained(train_tiny: TrainTiny) -> Path:
    """A Transformer that has learned most of the tiny corpus. Don't write into it."""
    side = f"{{type: transformer, num_layers: 2, {LAYER}}}"
    others = ("model.tie=all", "model.scale_embeddings=true", "training.max_steps=150")
    return train_tiny(*SETTINGS, f"model.encoder={side}", f"model.decoder={side}", *others, shared="transformer_model")


@pytest.fixture(scope="session")
def ssru_model(train_tiny: TrainTiny) -> Path:
    """A Transformer encoder and an SSRU decoder of one layer each. Don't write into it."""
    encoder, decoder = (f"{{type: {kind}, num_layers: 1, {LAYER}}}" for kind in ("transformer", "ssru"))
    sides = (f"model.encoder={encoder}", f"model.decoder={decoder}")
    return train_tiny(*SETTINGS, *sides, "training.max_steps=100", shared="ssru_model")
