"""Lines of several sentences, translated sentence by sentence: ``nmt translate --split-sentences``."""

import json
import shutil
from pathlib import Path

import pytest
from fixture_types import RunNmt
from refusals import refused

from nmt.extensions.documents.sentence_options import SentenceOptions, sentence_requests
from nmt.recipe.load import load_recipe
from nmt.translation.load import load
from nmt.translation.request import Request

CAT, CAT_EN = "Heute trinkt die Katze kaltes Wasser.", "Today the cat drinks cold water."
LINES = [f"{CAT} {CAT}", CAT, "", f"  {CAT} 🙂 {CAT} {CAT}"]
EXPECTED = [f"{CAT_EN} {CAT_EN}", CAT_EN, "", f"{CAT_EN} {CAT_EN} {CAT_EN}"]


def test_no_sentence_is_dropped(tiny_model: Path, run_nmt: RunNmt) -> None:
    text = "".join(f"{line}\n" for line in LINES)
    plain = run_nmt("translate", tiny_model, stdin=text)
    split = run_nmt("translate", tiny_model, "--split-sentences", stdin=text)
    assert plain.stdout.splitlines()[0] != EXPECTED[0]  # it would be no test
    assert plain.stdout.splitlines()[1:3] == split.stdout.splitlines()[1:3]
    assert [line.replace(" 🙂", "").replace("⁇ ", "") for line in split.stdout.splitlines()] == EXPECTED


def test_links_are_those_of_the_line(tiny_model: Path, run_nmt: RunNmt) -> None:
    done = run_nmt("translate", tiny_model, "--split-sentences", "--format", "jsonl", stdin="\n".join(LINES[:2]))
    joined, single = map(json.loads, done.stdout.splitlines())
    num_source, num_target = len(CAT.split()), len(CAT_EN.split())
    shifted = [[source + num_source, target + num_target] for source, target in single["alignment"]]
    assert joined["alignment"] == single["alignment"] + shifted
    assert joined["source"] == LINES[0]


def test_files_are_translated_by_processes_and_progress_counts_lines(tiny_model: Path, tmp_path: Path) -> None:
    from nmt.cli.translation_options import TranslateOptions

    source = tmp_path / "test.de"
    source.write_text("\n".join(LINES), "utf-8")
    options = TranslateOptions(tiny_model, added=(SentenceOptions(),), decoding={"split_sentences": True})
    job = options.job("cpu").in_processes(str(source), 2)
    assert job.num_processes == 2
    counted: list[int] = []
    assert len([*job.run(LINES, on_progress=counted.append)]) == sum(counted) == len(LINES)


def test_the_recipe_decides_unless_an_option_does(tiny_model: Path, tmp_path: Path, run_nmt: RunNmt) -> None:
    copied = tmp_path / "model"
    shutil.copytree(tiny_model, copied)
    own = load_recipe(copied / "recipe.yaml", {"decoding.split_sentences": True})
    (copied / "recipe.yaml").write_text(own.to_yaml(), "utf-8")
    model, plain = load(copied, "cpu"), load(tiny_model, "cpu")
    counted: list[int] = []
    found = [each.text for each in model.stream(LINES[:2], on_progress=counted.append)]
    assert found == EXPECTED[:2]
    assert sum(counted) == 2
    whole = [each.text for each in plain.translate(LINES[:2])]
    assert whole[0] != found[0]
    assert [each.text for each in model.translate(LINES[:2], split_sentences=False)] == whole
    assert [each.text for each in model.translate(LINES[:2], n_best=2)] == whole, "candidates are of whole lines"
    assert run_nmt("translate", copied, stdin=LINES[0]).stdout == f"{EXPECTED[0]}\n"
    assert run_nmt("translate", copied, "--no-split-sentences", stdin=LINES[0]).stdout == f"{whole[0]}\n"


def test_warnings_name_the_line_of_a_sentence(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    requests = [Request(LINES[0]), Request(LINES[0], prefix="日")]
    load(tiny_model, "cpu").translate(requests, split_sentences=True)
    assert "Warning: line 2: the translation does not begin with" in capsys.readouterr().err


def test_probabilities_are_those_of_all_sentences(tiny_model: Path) -> None:
    one, several = load(tiny_model, "cpu").translate([CAT, LINES[0]], split_sentences=True)
    assert several.candidates[0].log_probability == pytest.approx(2 * one.candidates[0].log_probability) != 0


@pytest.mark.extension("memory")
def test_lines_and_their_sentences_are_looked_up_in_a_memory(tiny_model: Path, tmp_path: Path, run_nmt: RunNmt) -> None:
    copied = tmp_path / "model"
    shutil.copytree(tiny_model, copied)
    (tmp_path / "entries.csv").write_text(f"de,en\n{CAT},A cat drinks.\n{CAT} {CAT} {CAT},Three cats.\n", "utf-8")
    run_nmt("memory", copied, "--import", tmp_path / "entries.csv")
    done = run_nmt("translate", copied, "--memory", "--split-sentences", stdin=f"{CAT} {CAT}\n{CAT} {CAT} {CAT}\n")
    assert done.stdout == "A cat drinks. A cat drinks.\nThree cats.\n"
    own = load_recipe(copied / "recipe.yaml", {"decoding.split_sentences": True})
    (copied / "recipe.yaml").write_text(own.to_yaml(), "utf-8")
    several = run_nmt("translate", copied, "--memory", "--n-best", 2, stdin=LINES[0]).stdout
    assert several == run_nmt("translate", tiny_model, "--n-best", 2, stdin=LINES[0]).stdout


def test_constraints_and_long_sentences(tiny_model: Path) -> None:
    model = load(tiny_model, "cpu")

    def sources(request: Request) -> list[str]:
        return [part.source for part in sentence_requests(request, model)]

    assert sources(Request(LINES[0], must_contain=("cold",))) == [LINES[0]]
    prefixes = [part.prefix for part in sentence_requests(Request(LINES[0], prefix="Today"), model)]
    assert prefixes == ["Today", ""]
    assert sources(Request(LINES[0], prefix=f"{CAT_EN} Today")) == [LINES[0]]
    long = " ".join(["Katze"] * model.max_pieces * 2) + "."
    assert len(parts := sources(Request(f"{CAT} {long}"))) > 2
    assert " ".join(parts) == f"{CAT} {long}"


@pytest.mark.parametrize("lines", [["😀"], ["...", CAT, "", "★ 😀"]])
def test_lines_without_letters_stay_as_they_are(tiny_model: Path, lines: list[str]) -> None:
    model = load(tiny_model, "cpu")
    counted: list[int] = []
    found = [*model.stream(lines, split_sentences=True, check=True, on_progress=counted.append)]
    assert sum(counted) == len(lines)
    assert all(isinstance(t.problems, dict) and t.alignment is None for t in found), "no alignment was requested"
    assert [t.text for t in found] == [model.translate([CAT])[0].text if line == CAT else line for line in lines]
    assert model.translate(lines[:1])[0].text != lines[0], "without the option, the model writes something"
    for wanted in ({"prefix": "!"}, {"must_contain": ("cold",)}, {"terms": {"😀": "smile"}}):
        asked = Request("😀", **wanted)
        assert sentence_requests(asked, model) == [asked]


def test_several_candidates_are_refused(tiny_model: Path, run_nmt: RunNmt) -> None:
    done = run_nmt("translate", tiny_model, "--split-sentences", "--n-best", "2", stdin=CAT)
    refused(done, "--split-sentences joins the translations")
