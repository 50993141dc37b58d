"""What is shown of texts that aren't nmt's own."""

import pytest

from nmt.core import console
from nmt.core.console import Screen, print_table, progress_bar, say, show_error, warn
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
    print_table(name, ("text", name), [(name, "1.0")])
    shown = "".join(capsys.readouterr())
    assert shown.count(r"\x1b]0;title\x07\x1b[31m\x9b2J.txt") == 7
    assert not {"\x1b", "\x07", "\x9b"}.intersection(shown)


def test_a_bar_shows_its_text_as_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "draws_bars", lambda: True)
    monkeypatch.setattr(console, "stderr", Screen(stderr=True, width=100, force_terminal=True, force_interactive=True))
    with progress_bar("reading [/red]\x07.vec", None):
        pass
    assert r"reading [/red]\x07.vec" in capsys.readouterr().err
