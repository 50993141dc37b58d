"""What is shown of texts that aren't nmt's own."""

import pytest

from nmt.core.console import print_table, show_error
from nmt.core.errors import UserError


def test_names_that_mean_emoji_elsewhere_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(UserError("There is no a:smile:b.txt.", "Name :dog:."))
    print_table(":cat: scores", ("text", "BLEU"), [(":fox:", "1.0")])
    shown = capsys.readouterr()
    assert [name for name in (":smile:", ":dog:") if name not in shown.err] == []
    assert [name for name in (":cat:", ":fox:") if name not in shown.out] == []
