"""A model and its ONNX export."""

from pathlib import Path

import pytest
from fixture_types import BuildOnce


@pytest.fixture(scope="session")
def onnx_folder(tiny_recipe: Path, build_once: BuildOnce) -> Path:
    """A folder with a Transformer encoder and an SSRU decoder, ``model``, and its ONNX export, ``onnx``. Read only."""
    pytest.importorskip("onnxscript", reason="needs onnxscript")
    layers = "num_layers: 1, num_heads: 4, feed_forward_size: 64, dropout: 0"

    def build(folder: Path) -> None:
        import nmt
        from nmt.extensions.interchange.onnx import export_onnx
        from nmt.recipe.load import parse_settings

        settings = [
            "vocabulary={type: unigram, size: 110, joint: true}",
            f"model.encoder={{type: transformer, {layers}}}",
            f"model.decoder={{type: ssru, {layers}}}",
            "training.max_steps=100",
            "training.learning_rate=0.005",
        ]
        nmt.train(tiny_recipe, folder / "model", overrides=parse_settings(settings))
        export_onnx(nmt.load(folder / "model", "cpu"), folder / "onnx")

    return build_once("onnx_folder", build)
