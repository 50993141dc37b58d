"""``nmt compare`` and ``nmt inspect lengths`` as a user sees them."""

import json
from pathlib import Path

import pytest
import sacrebleu
from fixture_types import RunNmt
from refusals import refused

REFERENCE = ["the dog sees a zebra in the zoo", "a small cat sleeps here"] * 12
BETTER = ["the dog sees a zebra in the zoo", "a small cat rests here"] * 12
WORSE = ["the dog sees a horse at the zoo", "the big cat rests here"] * 12


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, Path]:
    """Paths by name: reference, source, better, worse."""
    lines = {"reference": REFERENCE, "source": REFERENCE, "better": BETTER, "worse": WORSE}
    for name, text in lines.items():
        (tmp_path / f"{name}.en").write_text("".join(line + "\n" for line in text))
    return {name: tmp_path / f"{name}.en" for name in lines}


@pytest.fixture
def command(texts: dict[str, Path]) -> list[object]:
    return ["compare", texts["worse"], texts["better"], "-r", texts["reference"], "--samples", 100]


def test_the_verdict_comes_first_and_all_is_80_columns_wide(run_nmt: RunNmt, command: list[object]) -> None:
    done = run_nmt(*command)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("better.en is better by ")
    assert "(95 % interval " in lines[0]
    assert "a small cat rests here" not in lines[0]
    # signatures are left in one piece, so that they can be copied
    assert max(len(line) for line in lines if "nrefs:" not in line) <= 80
    assert "reference  the dog sees a zebra in the zoo" in done.stdout
    assert "worse.en   the dog sees a [horse at] the zoo" in done.stdout
    assert "Paired approximate randomisation" in done.stdout


def test_page_and_json_agree(run_nmt: RunNmt, command: list[object], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run_nmt(*command, "--html", page, "--json", "-q")
    found = json.loads(done.stdout)
    assert done.stderr == ""
    text = page.read_text("utf-8")
    assert found["test"] == "randomisation"
    assert (found["baseline"], found["sentences"], found["references"]) == ("worse.en", 24, 1)
    assert found["verdicts"]["better.en"][0] in text
    assert found["signatures"]["bleu"] in text
    assert "ar:100|seed:12345" in found["signatures"]["bleu"]


def test_rare_words_are_those_of_the_training_text(run_nmt: RunNmt, command: list[object], tmp_path: Path) -> None:
    train = tmp_path / "train.en"
    train.write_text("a small zebra\n" + "the dog sees cat sleeps here in zoo a small\n" * 10)
    words = json.loads(run_nmt(*command, "--train", train, "--json").stdout)["words"]
    assert words["counted_in"] == "train.en"
    once = next(group for group in words["classes"] if (group["low"], group["high"]) == (1, 1))
    assert once["num_words"] == 12  # zebra
    assert once["scores"]["worse.en"]["recall"] == 0
    assert once["scores"]["better.en"]["recall"] == 1


def test_lengths_by_source(run_nmt: RunNmt, texts: dict[str, Path], tmp_path: Path) -> None:
    picture = tmp_path / "lengths.svg"
    options = ["-r", texts["reference"], "-s", texts["source"], "--buckets", "5", "-o", picture]
    done = run_nmt("inspect", "lengths", texts["worse"], texts["better"], *options, check=True)
    assert f"wrote {picture}" in done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("6+"))
    bleu = [sacrebleu.corpus_bleu(text[::2], [REFERENCE[::2]]).score for text in (WORSE, BETTER)]
    assert row.split()[1:4] == ["12", f"{bleu[0]:.1f}", f"{bleu[1]:.1f}"]
    drawn = picture.read_text("utf-8")
    assert "words of the source" in drawn
    assert ">better.en<" in drawn
    one = run_nmt("inspect", "lengths", texts["worse"], *options[:-2], "--json", "--metric", "chrf")
    assert json.loads(one.stdout)["lengths"][1]["sentences"] == 12
    labels = run_nmt("inspect", "lengths", texts["worse"], *options[:-2], "--metric", "accuracy", check=True).stdout
    assert labels.count("accuracy") == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compare", "better", "-r", "reference"], "two systems"),
        (["compare", "better", "worse"], "-r FILE"),
        (["compare", "better", "better", "-r", "reference"], "named twice"),
        (["compare", "better", "worse", "-r", "reference", "--metrics", "blue"], "Did you mean 'bleu'?"),
        (["compare", "better", "worse", "-r", "reference", "--buckets", "5,x"], "10,20,30"),
        (["compare", "better", "worse", "-r", "reference", "--buckets", "9,5"], "rising numbers"),
        (["compare", "better", "worse", "-r", "reference", "--train", "missing"], "File not found"),
        (["compare", "better", "worse", "-r", "reference", "--html", "no/folder.html"], "no folder"),
        (["compare", "better", "worse", "-r", "reference", "--html", "worse"], "an input, which would be lost"),
        (["compare", "better", "-", "-r", "reference", "--train", "-"], "Only one side can come from standard input"),
        (["inspect", "lengths", "better", "-r", "reference", "-o", "x.jpg"], ".png, .svg, .pdf"),
        (["inspect", "lengths", "better"], "No reference"),
    ],
)
def test_bad_usage(
    run_nmt: RunNmt, texts: dict[str, Path], monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str
) -> None:
    monkeypatch.setattr("nmt.extensions.comparison.compare.paired_test", None)  # it is refused before the work
    refused(run_nmt(*(texts.get(argument, argument) for argument in arguments)), expected)
