"""The measuring tools: figures are read from what is printed, and operations are counted right."""

import shlex
import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nmt.data.batch import make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.models.build import build_model
from nmt.recipe.schema import ModelOptions
from nmt.training.loss import token_loss

LoadTool = Callable[[str], ModuleType]
PYTHON = shlex.quote(sys.executable)


def test_operations_are_about_those_that_pytorch_counts(load_tool: LoadTool) -> None:
    tool = load_tool("bench/train_gpu")
    rng = np.random.default_rng(3)
    words = WordVocabulary([f"▁w{i}" for i in range(300)])
    stack = {"type": "transformer", "num_layers": 2, "num_heads": 4, "feed_forward_size": 256}
    options = ModelOptions(encoder=stack, decoder=stack, embedding_size=64, tie="all")
    model = build_model(options, Vocabularies(words, words))
    # 320 positions, a multiple of 64: the loss fills up no rows.
    pairs = [tuple(rng.integers(4, 300, 9).tolist() for _ in range(2)) for _ in range(32)]
    batch = make_batch(pairs, Vocabularies(words, words))  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as counter:
        unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
        output = model.decoder.output
        token_loss(
            unrolled.features_BTD, output, batch.target_output_BT, batch.target_length_B, 0.1
        ).smoothed.backward()
    assert tool.matrix_operations(model, batch) == pytest.approx(counter.get_total_flops(), rel=0.05)
    assert torch.get_float32_matmul_precision() == "highest"
