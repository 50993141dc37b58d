"""The vocabulary of labels."""

from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies


def test_an_empty_file_of_labels_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.target.labels").touch()
    with pytest.raises(UserError, match=r"vocabulary\.target\.labels: The file has no labels"):
        Vocabularies.load(tmp_path / "vocabulary.target.labels")
