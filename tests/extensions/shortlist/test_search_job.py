"""Jobs with a shortlist."""

from dataclasses import replace

import pytest
from shouting import LINES, SHOUTED, job

from nmt.core.errors import UserError
from nmt.translation.options import TranslationOptions


def test_with_a_shortlist_lines_of_an_earlier_run_need_only_be_similar() -> None:
    options = TranslationOptions(decoding={"shortlist": 10})
    with_shortlist = replace(job(), options=options)
    similar = [f"{line} here" for line in SHOUTED]
    assert with_shortlist.skip(iter(LINES), similar, "out.partial")[0] == len(LINES)
    for own, done in ((job(), similar), (with_shortlist, ["other text"] * len(LINES))):
        with pytest.raises(UserError, match=r"out\.partial comes from another job"):
            own.skip(iter(LINES), done, "out.partial")
