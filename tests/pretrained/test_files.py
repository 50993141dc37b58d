"""The files of a downloaded model lie in its folder."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nmt.core.errors import UserError
from nmt.pretrained.files import StoredTensors


def test_an_index_names_no_file_outside_of_the_folder(tmp_path: Path) -> None:
    folder, name = tmp_path / "model", "model-1.safetensors"
    folder.mkdir()
    for place in (folder, tmp_path):
        save_file({"weight": torch.ones(2)}, place / name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"weight": name}}))
    assert StoredTensors(folder).shape("weight") == (2,)
    for outside in (f"../{name}", str(tmp_path / name)):
        index.write_text(json.dumps({"weight_map": {"weight": outside}}))
        with pytest.raises(UserError, match="not in this folder"):
            StoredTensors(folder)
