"""Positions of models that are exported to CTranslate2; needs no CTranslate2."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nmt.decoding.search import max_lengths
from nmt.extensions.interchange.ct2 import num_positions
from nmt.recipe.schema import DecodingOptions


@pytest.mark.parametrize(("ratio", "extra"), [(2.0, 20), (0.1, 3)])
def test_the_longest_sources_and_translations_have_positions(ratio: float, extra: int) -> None:
    options = DecodingOptions(max_length_ratio=ratio, max_length_extra=extra)
    translator: Any = SimpleNamespace(max_pieces=100, recipe=SimpleNamespace(decoding=options))
    longest = int(max_lengths(torch.tensor([101]), options))
    assert num_positions(translator) == max(longest, 101) + 1
