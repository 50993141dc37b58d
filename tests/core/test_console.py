"""What is shown of texts that aren't nmt's own."""

import pytest

from nmt.core.console import print_table, say, show_error, warn
from nmt.core.errors import UserError


def test_names_that_mean_emoji_elsewhere_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(UserError("There is no a:smile:b.txt.", "Name :dog:."))
    print_table(":cat: scores", ("text", "BLEU"), [(":fox:", "1.0")])
    shown = capsys.readouterr()
    assert [name for name in (":smile:", ":dog:") if name not in shown.err] == []
    assert [name for name in (":cat:", ":fox:") if name not in shown.out] == []


def test_texts_of_strangers_give_no_orders_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b]0;title\x07\x1b[31m\x9b2J.txt"
    show_error(UserError(f"File not found: {name}.", f"Did you mean\n{name}?"))
    say(name)
    warn(name)
    print_table("", ("text", name), [(name, "1.0")])
    shown = "".join(capsys.readouterr())
    assert shown.count(r"\x1b]0;title\x07\x1b[31m\x9b2J.txt") == 6
    assert not {"\x1b", "\x07", "\x9b"}.intersection(shown)
