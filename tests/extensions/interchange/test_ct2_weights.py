"""Positions and heads of models that are exported to CTranslate2; needs no CTranslate2."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nmt.decoding.search import max_lengths
from nmt.extensions.interchange.ct2 import _set_cross_attention, num_positions
from nmt.models.attention import MultiHeadAttention
from nmt.recipe.schema import DecodingOptions


@pytest.mark.parametrize(("ratio", "extra"), [(2.0, 20), (0.1, 3)])
def test_the_longest_sources_and_translations_have_positions(ratio: float, extra: int) -> None:
    options = DecodingOptions(max_length_ratio=ratio, max_length_extra=extra)
    translator: Any = SimpleNamespace(max_pieces=100, recipe=SimpleNamespace(decoding=options))
    longest = int(max_lengths(torch.tensor([101]), options))
    assert num_positions(translator) == max(longest, 101) + 1


def test_heads_are_moved_in_all_matrices_alike() -> None:
    """CTranslate2 averages the first heads of a layer, so alignment heads are moved there; the output is the same."""
    torch.manual_seed(1)
    attention, moved = (MultiHeadAttention(24, 4, 0.0).eval() for _ in range(2))
    spec: Any = SimpleNamespace(linear=[SimpleNamespace() for _ in range(3)], layer_norm=SimpleNamespace())
    _set_cross_attention(spec, attention, torch.nn.LayerNorm(24), [2, 1])
    for linear, there in zip((moved.query, moved.key_value, moved.out), spec.linear, strict=True):
        linear.load_state_dict({"weight": torch.from_numpy(there.weight), "bias": torch.from_numpy(there.bias)})
    query_BTD, memory_BSD = torch.randn(2, 3, 24), torch.randn(2, 5, 24)
    with torch.inference_mode():
        (out_BTD, weights_BHTS), (moved_BTD, moved_BHTS) = (
            each(query_BTD, each.project(memory_BSD), torch.zeros(1), True) for each in (attention, moved)
        )
    torch.testing.assert_close(moved_BTD, out_BTD)
    torch.testing.assert_close(moved_BHTS, weights_BHTS[:, [2, 1, 0, 3]])
