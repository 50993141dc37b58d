"""Small trained models of two kinds that are exported."""

from pathlib import Path

import pytest
from fixture_types import TrainTiny

LAYER = "num_heads: 4, feed_forward_size: 64, dropout: 0"
SETTINGS = ("vocabulary={type: unigram, size: 110, joint: true}", "training.learning_rate=0.005")
SSRU = (
    *SETTINGS, f"model.encoder={{type: transformer, num_layers: 1, {LAYER}}}",
    f"model.decoder={{type: ssru, num_layers: 1, {LAYER}}}", "training.max_steps=100",
)  # fmt: skip


@pytest.fixture(scope="session")
def trained(train_tiny: TrainTiny) -> Path:
    """A Transformer that has learned most of the tiny corpus. Don't write into it."""
    side = f"{{type: transformer, num_layers: 2, {LAYER}}}"
    others = ("model.tie=all", "model.scale_embeddings=true", "training.max_steps=150")
    return train_tiny(*SETTINGS, f"model.encoder={side}", f"model.decoder={side}", *others, shared="transformer_model")


@pytest.fixture(scope="session")
def ssru_model(train_tiny: TrainTiny) -> Path:
    """A Transformer encoder and an SSRU decoder of one layer each. Don't write into it."""
    return train_tiny(*SSRU, shared="ssru_model")
