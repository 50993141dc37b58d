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


@pytest.mark.parametrize(
    ("printed", "speed"),
    [
        ("step 10: 1,000 tokens/s\\nstep 20: 2,000 tokens/s\\nstep 30: 6,000 tokens/s", 3000),
        ("{'loss': 3.1, 'tokens_per_second': 1234.5}", 1234.5),
        ("peer bf16 2616 target tokens/s", 2616),
    ],
    ids=["the first holds the start", "the only one counts", "target tokens"],
)
def test_a_peers_speed_is_read_from_what_it_prints(load_tool: LoadTool, printed: str, speed: float) -> None:
    tool = load_tool("bench/train_cpu")
    command = f'{PYTHON} -c "print(\\"{printed}\\")"'
    assert tool.peer_speed("peer", command, tool.PATTERN) == pytest.approx(speed)
    assert tool.peer_speed("peer", f"{PYTHON} -c 'print(\"v=7,5e\")'", r"v=(\d)") == 7


def test_the_table_has_medians_and_ratios(load_tool: LoadTool) -> None:
    text = load_tool("bench/train_cpu").table(
        {"ours": [4000.0, 1000.0, 5000.0], "peer": [2000.0] * 3}, "ours", "tokens/s"
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert rows[2] == ["ours", "4,000", "1,000", "5,000", "4,000", "1.00"]
    assert rows[3] == ["peer", "2,000", "2,000", "2,000", "2,000", "2.00"]
    assert len({len(row) for row in rows}) == 1


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
