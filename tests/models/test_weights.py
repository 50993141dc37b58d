"""Files of weights that can't be read."""

from pathlib import Path

import pytest
import torch

from nmt.core.errors import UserError
from nmt.models.weights import read_tensors, read_weights, write_tensors


def test_weights_that_training_has_not_saved_yet_are_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no .*none\.safetensors.\nLet training go on"):
        read_tensors(tmp_path / "none.safetensors")


@pytest.mark.posix
def test_a_file_larger_than_memory_is_refused_with_its_size(tmp_path: Path) -> None:
    """A sparse file takes no space; reading it maps all of it."""
    import resource

    with (path := tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(1 << 36)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 35, limits[1]))
    try:
        with pytest.raises(
            UserError, match=r"model.safetensors has 68,719,476,736 bytes, for which memory.*\n.*ulimit -v"
        ):
            read_tensors(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64, torch.uint16, torch.int8], ids=str)
def test_numbers_of_types_that_no_model_is_saved_in_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    write_tensors({"layer.weight": torch.ones(2, 3).to(dtype)}, path := tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"not finite floats, in 'layer\.weight'.*\n.*quantised"):
        read_weights(path)
