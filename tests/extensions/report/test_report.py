"""The page of ``nmt report``: scores, spread, overlap, warnings and sentences."""

import re
from pathlib import Path
from typing import Any

import pytest
from fixture_types import RunNmt, TrainTiny
from refusals import refused
from sacrebleu.metrics import CHRF

from nmt.core.errors import UserError
from nmt.evaluation.scores import score
from nmt.extensions.cards.machine import FILE
from nmt.extensions.report.report import make_report, overlap, score_table
from nmt.metrics.table import Score
from nmt.recipe.load import load_recipe


@pytest.fixture
def test_files(tmp_path: Path, tiny_model: Path) -> tuple[Path, Path]:
    """Two pairs of the validation text."""
    data = load_recipe(tiny_model / "recipe.yaml").data
    files = tmp_path / "test.de", tmp_path / "test.en"
    for file in files:
        lines = (Path(str(data.root)) / f"{data.valid}{file.suffix}").read_text("utf-8").splitlines()[:2]
        file.write_text("\n".join(lines) + "\n", "utf-8")
    return files


def test_chrf_plus_plus_is_that_of_sacrebleu() -> None:
    texts, references = ["ein Hund rennt", "zwei"], ["ein Hund läuft", "zwei Kinder"]
    found = score(texts, references, ["chrf++"])["chrf++"]
    assert found.score == pytest.approx(CHRF(word_order=2).corpus_score(texts, [references]).score)
    assert "|nw:2|" in found.signature


def test_the_page_has_what_a_reviewer_asks(
    tiny_model: Path, test_files: tuple[Path, Path], tmp_path: Path, run_nmt: RunNmt, browser: Any
) -> None:
    page = tmp_path / "report.html"
    done = run_nmt("report", tiny_model, "--test", *test_files, "-o", page, "--device", "cpu", "--changed", 1)
    assert (done.returncode, done.stderr) == (0, f"wrote {page}\n")
    text = page.read_text("utf-8")
    for section in ("Scores", "Overlap with", "The system", "Length, case", "Training", "Best sentences", "Worst"):
        assert f">{section}" in text
    assert "updates, whole epochs: " in text
    assert re.search(r"chrF2\+\+</dt><dd><code>nrefs:1\|bs:1000\|seed:12345", text)
    assert "only 2 sentences" in text
    assert (tiny_model / FILE).read_text("utf-8").strip() in text
    requests: list[str] = []
    shown = browser.new_page(viewport={"width": 400, "height": 800})
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(page.as_uri())
    assert requests == [page.as_uri()]  # nothing is loaded
    assert shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert shown.pdf(format="A4").count(b"/Type /Page\n") <= 5


def test_sentences_have_the_numbers_of_their_lines(tiny_model: Path, test_files: tuple[Path, Path]) -> None:
    for file in test_files:
        file.write_text("\n" + file.read_text("utf-8"), "utf-8")
    page = make_report([tiny_model], test_files, device="cpu")
    assert {*re.findall(r"line (\d)", page)} == {"2", "3"}
    assert "2 sentences of" in page
    assert "left out, because a side is empty: 1)" in page  # nmt score counts it


def test_several_runs_have_a_spread_and_the_validation_text_is_named(tiny_model: Path, train_tiny: TrainTiny) -> None:
    other = train_tiny("training.max_steps=2", "seed=7")
    text = make_report([tiny_model, other], num_sentences=0, num_changed=0, device="cpu")
    assert "mean ± standard deviation" in text
    assert ">7</td>" in text
    assert "selected by this text" in text
    assert "Best sentences" not in text


def test_all_corpora_are_compared_with_the_test_set(train_tiny: TrainTiny, test_files: tuple[Path, Path]) -> None:
    test = "{{name: b, source: {}, target: {}}}".format(*test_files)
    run = train_tiny("training.max_steps=1", f"data.corpora=[{{name: a, source: train.de, target: train.en}}, {test}]")
    page = make_report([run], test_files, num_sentences=0, num_changed=0, device="cpu")
    assert "the training text has 100.0% of the pairs" in page


def test_a_search_by_the_metric_that_scores_is_named(train_tiny: TrainTiny, test_files: tuple[Path, Path]) -> None:
    run = train_tiny("training.max_steps=1", "decoding.mbr=chrf")
    text = make_report([run], test_files, num_sentences=0, num_changed=0, device="cpu")
    assert "chose translations by chrF2 (decoding.mbr), and chrF2++ scores them" in text
    text = make_report([run], test_files, ["bleu"], num_sentences=0, num_changed=0, device="cpu")
    assert "chose translations" not in text


def test_overlap_counts_exact_and_near_copies() -> None:
    long = "one two three four five six seven eight nine ten"
    train = [("a b c", "x y z"), (long, long)]
    table, warnings = overlap([("a b c", "x y z"), (f"{long.title()}!", "p q r s"), ("k l m", "n o p")], train)
    counts = {row[0]: row[1] for row in table.rows}
    assert counts == {
        "pairs": "1",
        "sources": "1",
        "sources, nearly": "2",
        "references": "1",
        "references, nearly": "1",
    }
    assert "33.3% of the pairs" in warnings[0]
    assert overlap([("k l m", "n o p")], train)[1] == []


def test_the_spread_is_the_standard_deviation_of_the_sample() -> None:
    scores = [{"bleu": Score("BLEU", value, "", confidence={"half_width": 1.5})} for value in (30.0, 32.0)]
    rows = score_table(["a", "b"], [1, 2], scores).rows
    assert rows == [
        ["a", "1", "30.00 ± 1.50"],
        ["b", "2", "32.00 ± 1.50"],
        ["mean ± standard deviation", "", "31.00 ± 1.41"],
        ["range", "", "30.00–32.00"],
    ]


def test_what_cannot_be_reported_is_refused(
    tiny_model: Path, test_files: tuple[Path, Path], run_nmt: RunNmt, tmp_path: Path
) -> None:
    done = run_nmt("report", tiny_model, "--test", *test_files, "-o", test_files[1])
    refused(done, "it is an input, which would be lost")
    empty = tmp_path / "empty"
    empty.write_text("\n", "utf-8")
    with pytest.raises(UserError, match="no sentences in"):
        make_report([tiny_model], (empty, empty), device="cpu")
