"""``nmt score``, ``nmt recipes`` and the help pages."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sacrebleu

import nmt
from nmt.config import load_recipe

RunNmt = Callable[..., "subprocess.CompletedProcess[str]"]

COMMANDS = ["quickstart", "train", "translate", "score", "align", "aer", "inspect memory", "recipes"]
HYPOTHESES = ["The cat sat on the mat.", "A dog runs through green grass."]
REFERENCES = ["The cat sat on a mat.", "A dog is running through the green grass."]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    hypothesis, reference = tmp_path / "out.en", tmp_path / "test.en"
    hypothesis.write_text("\n".join(HYPOTHESES) + "\n")
    reference.write_text("\n".join(REFERENCES) + "\n")
    return hypothesis, reference


def test_scores_are_sacrebleus(run_nmt: RunNmt, files: tuple[Path, Path]) -> None:
    figures = json.loads(run_nmt("score", *files, "--json").stdout)
    assert list(figures) == ["bleu", "chrf", "ter"]
    assert all(set(figure) == {"score", "signature"} for figure in figures.values())
    assert figures["bleu"]["score"] == pytest.approx(sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score, abs=1e-4)
    assert figures["chrf"]["score"] == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score, abs=1e-4)
    assert figures["ter"]["score"] == pytest.approx(sacrebleu.corpus_ter(HYPOTHESES, [REFERENCES]).score, abs=1e-4)
    assert f"version:{sacrebleu.__version__}" in figures["bleu"]["signature"]


def test_text_shows_figures_and_signatures(run_nmt: RunNmt, files: tuple[Path, Path]) -> None:
    done = run_nmt("score", *files, "--metrics", "chrf, bleu")
    assert done.returncode == 0
    chrf, _, bleu, signature = done.stdout.splitlines()
    assert chrf.startswith("chrF2 = ")
    assert bleu.startswith("BLEU = ")
    assert "tok:13a" in signature


def test_hypothesis_from_a_pipe(run_nmt: RunNmt, files: tuple[Path, Path]) -> None:
    piped = run_nmt("score", "-", files[1], stdin=files[0].read_bytes())
    assert piped.stdout == run_nmt("score", *files).stdout


def test_recipes_are_listed_and_each_can_be_read(run_nmt: RunNmt) -> None:
    lines = run_nmt("recipes").stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert {"quickstart", "multi30k/bahdanau", "multi30k/transformer", "bench/transformer_256"} <= set(names)
    for name, line in zip(names, lines, strict=True):
        assert line.removeprefix(name).strip() == load_recipe(name).description != ""


def test_version(run_nmt: RunNmt) -> None:
    assert run_nmt("--version").stdout == f"nmt {nmt.__version__}\n"


def test_help_names_every_command(run_nmt: RunNmt) -> None:
    done = run_nmt("--help")
    assert done.returncode == 0
    listed = {line.split()[0] for line in done.stdout.split("Commands:")[1].splitlines() if line.strip()}
    assert {command.split()[0] for command in COMMANDS} <= listed


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_explains_itself_with_an_example(run_nmt: RunNmt, command: str, option: str) -> None:
    done = run_nmt(*command.split(), option)
    assert (done.returncode, done.stderr) == (0, "")
    examples = done.stdout.split("Example")[1].splitlines()[1:]
    assert examples
    assert any(f"nmt {command}" in line for line in examples)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_help_names_the_options_that_scripts_rely_on(run_nmt: RunNmt) -> None:
    expected = {
        "translate": [
            "--input",
            "--output",
            "--beam-size",
            "--batch-size",
            "--n-best",
            "--format",
            "--scores",
            "--quiet",
        ],
        "align": ["--tokenized", "--format", "--output", "--limit"],
        "train": ["--set", "--resume", "--output"],
        "score": ["--metrics", "--json"],
    }
    for command, options in expected.items():
        page = run_nmt(command, "--help").stdout
        assert [option for option in options if option not in page] == []
