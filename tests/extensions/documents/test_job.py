"""The journal of a document whose translation was stopped."""

import pytest

from nmt.core.errors import UserError
from nmt.extensions.documents.job import _read_record


@pytest.mark.parametrize(
    "line",
    [
        '{"source": ' + "[" * 3000 + "]" * 3000 + ', "translation": "a", "alignment": null}',
        '["source"]',
        '{"source": "a", "alignment": null}',
        '{"source": "a", "translation": "b", "alignment": [[1]]}',
    ],
    ids=["nested", "no object", "no translation", "no links"],
)
def test_a_record_of_another_form_is_refused_with_the_remedy(line: str) -> None:
    with pytest.raises(UserError, match=r"is no translation of a sentence.\nDelete the file"):
        _read_record(line)
