"""Options of commands that come from the schema of recipes."""

import re
import subprocess
import sys

import pytest
from fixture_types import RunNmt
from refusals import refused

from nmt.recipe.schema import DecodingOptions


def test_every_key_of_decoding_is_an_option_with_its_description(run_nmt: RunNmt) -> None:
    shown = " ".join(run_nmt("translate", "--help").stdout.replace("(", " ").split())
    values = {name: f for name, f in DecodingOptions.model_fields.items() if name != "logits_processors"}
    for name, field in values.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert " ".join(field.description[1:].replace("(", " ").split()) in shown
    assert "--top-p X" in shown
    assert "[default: from the recipe; 0<x<=1]" in shown


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--temperature", "0", "greater than 0"),
        ("--top-p", "1.5", "less than or equal to 1"),
        ("--beam-size", "2.5", "--beam-size"),
        ("--alpha", "inf", "finite number"),
        ("--search", "beem", "beam"),
        ("--prune", "1e200", "--prune 1e+200 can't be represented in float32"),
    ],
)
def test_a_value_out_of_range_is_refused_before_a_model_is_loaded(
    run_nmt: RunNmt, option: str, value: str, problem: str
) -> None:
    refused(done := run_nmt("translate", "nowhere", option, value), option, problem)
    assert "nowhere" not in done.stderr


@pytest.mark.parametrize("group", [(), ("inspect",)])
def test_the_list_of_commands_has_whole_sentences(run_nmt: RunNmt, group: tuple[str, ...]) -> None:
    commands = run_nmt(*group, "--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(commands) >= 2
    assert all(re.fullmatch(r"  [a-z-]+ +[A-Z].*\.", line) and not line.endswith("..") for line in commands), commands


@pytest.mark.slow
def test_keys_are_listed_in_a_process_that_has_imported_nothing_else() -> None:
    """A table is there only once its module has been imported."""
    command = [sys.executable, "-m", "nmt", "recipes", "--keys"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "task: task, one of translation dialogue language_model" in done.stdout
