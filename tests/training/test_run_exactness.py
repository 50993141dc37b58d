"""What makes training fast changes nothing that it reaches: the fast path against one written out plainly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.models.attention import MultiHeadAttention
from nmt.models.contracts import OutputLayer
from nmt.recipe.schema import Recipe
from nmt.training import objective as objective_module
from nmt.training.loss import TokenLoss
from nmt.training.run import train

RecipeMaker = Callable[..., Recipe]
MetricsReader = Callable[..., list[dict[str, Any]]]
UPDATES = 70


def plain_loss(
    features_BTD: Tensor, output: OutputLayer, target_BT: Tensor, target_length_B: Tensor, smoothing: float, *_: Any
) -> TokenLoss:
    """All logits at once, and PyTorch's own gradient."""
    real_BT = torch.arange(target_BT.shape[1]) < target_length_B[:, None]
    logits_NV, target_N = output(features_BTD)[real_BT], target_BT[real_BT]
    smoothed = F.cross_entropy(logits_NV, target_N, label_smoothing=smoothing, reduction="sum")
    return TokenLoss(smoothed, F.cross_entropy(logits_NV, target_N, reduction="sum"))


def plain_attention(
    self: MultiHeadAttention, queries_BHTd: Tensor, keys_BHSd: Tensor, values_BHSd: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """PyTorch's own."""
    heads = F.scaled_dot_product_attention(queries_BHTd, keys_BHSd, values_BHSd, bias)
    return heads, heads


@pytest.mark.slow
@pytest.mark.parametrize("system", ["bahdanau", "transformer"])
def test_the_fast_path_reaches_what_plain_float32_reaches(
    make_recipe: RecipeMaker,
    read_metrics: MetricsReader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
) -> None:
    options: dict[str, Any] = {"max_steps": UPDATES, "learning_rate": 0.004, "log_every": UPDATES}
    train(make_recipe(system, precision="bf16", **options), tmp_path / "fast")
    monkeypatch.setattr(objective_module, "token_loss", plain_loss)
    monkeypatch.setattr(MultiHeadAttention, "_explicit", plain_attention)
    train(make_recipe(system, precision="fp32", **options), tmp_path / "plain")
    fast, plain = (read_metrics(tmp_path / name, "valid") for name in ("fast", "plain"))
    assert plain[-1]["loss"] < 0.65 * plain[0]["loss"], "it has learned"
    assert fast[-1]["loss"] == pytest.approx(plain[-1]["loss"], rel=0.005)
