"""Help pages: the options of a command with many are grouped, and a page shows no default that nobody can give."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from fixture_types import RunNmt

from nmt.cli import app
from nmt.cli.groups import FIRST
from nmt.cli.help import GROUPED_FROM, sections


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    for inner in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from commands(command.get_command(None, inner), f"{name} {inner}")
    yield name, command


COMMANDS = dict(commands(typer.main.get_command(app), "nmt"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_of_a_help_page_has_few_options_and_no_default_none(name: str) -> None:
    command = COMMANDS[name]
    with command.make_context(name, [], resilient_parsing=True) as context:
        found = sections(command, context)
        shown = [row for rows in found.values() for row in rows]
        assert len(shown) == len([each for each in command.get_params(context) if not each.hidden])
        page = command.get_help(context)
    if not hasattr(command, "list_commands"):
        assert f"{name} " in page.split("Example")[1], "an example"
    assert max(map(len, page.split("Example")[0].splitlines())) <= 80
    assert max(map(len, found.values())) <= GROUPED_FROM
    assert not any("None" in meaning for _, meaning in shown)
    assert {flags for flags, _ in shown if "--no-" in flags} <= {
        "--restore-case / --no-restore-case",  # the recipe may say yes
        "--split-sentences / --no-split-sentences",
        "--lexicon / --no-lexicon",
    }


def test_a_help_page_has_its_options_in_groups(run_nmt: RunNmt) -> None:
    page = run_nmt("translate", "--help").stdout
    titles = re.findall(r"^(\w.*):$", page, re.MULTILINE)
    assert titles[:3] == ["Arguments", "Input and output", "Content of translations"]
    assert titles[-1] == "Other options"
    assert "  -i, --input FILE" in page.partition("Input and output:\n")[2].splitlines()[0]
    assert re.findall(r"^(\w.*):$", run_nmt("aer", "--help").stdout, re.MULTILINE) == ["Arguments", "Options"]


@pytest.mark.extension("lexicon")
def test_the_commands_that_most_users_need_are_listed_first(run_nmt: RunNmt) -> None:
    page = run_nmt("--help").stdout
    sections = dict(re.findall(r"^(Commands|More commands):\n((?:  .*\n)+)", page, re.MULTILINE))
    first, others = ([line.split()[0] for line in sections[title].splitlines()] for title in sections)
    assert first == sorted(first, key=FIRST.index), "some may be of an extension that was deleted"
    assert first[:4] == ["quickstart", "train", "translate", "score"]
    assert others == sorted(others)
    assert {"aer", "learn-alignment"} <= set(others)
