"""Identification of languages."""

import errno
import os
from unittest.mock import Mock

import pytest

from nmt.core.errors import UserError
from nmt.translation.languages import language_identifier


def test_a_full_folder_of_temporary_files_is_told_from_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("py3langid")
    full = Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    monkeypatch.setattr("py3langid.langid.LanguageIdentifier.from_model_file", full)
    with pytest.raises(UserError, match="A temporary file can't be written: no space left") as caught:
        language_identifier.__wrapped__()
    assert "TMPDIR" in caught.value.remedy
