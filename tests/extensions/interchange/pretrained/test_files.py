"""The files of a downloaded model lie in its folder."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nmt.core.errors import UserError
from nmt.extensions.interchange.pretrained.files import read_stored


def test_weights_may_be_in_several_files(tmp_path: Path) -> None:
    for number in (1, 2):
        save_file({f"weight{number}": torch.ones(number)}, tmp_path / f"model-{number:05}-of-00002.safetensors")
    stored = read_stored(tmp_path)
    assert {name: tensor.tolist() for name, tensor in stored.items()} == {"weight1": [1.0], "weight2": [1.0, 1.0]}
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"00002.* is damaged"):
        read_stored(tmp_path)
