"""Options of commands that read folders of shards."""

from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.extensions.shards.cli import check_is_folder


def test_options_of_folders_are_refused_for_files(tmp_path: Path) -> None:
    assert check_is_folder(tmp_path, ray=None, workers=2)
    assert not check_is_folder(tmp_path / "file", ray=None, workers=None)
    for path in (tmp_path / "file", "-"):
        with pytest.raises(UserError, match="--workers is for folders of shards"):
            check_is_folder(path, ray=None, workers=2)
