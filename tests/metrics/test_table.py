"""Scores agree with sacreBLEU's own program, and bad input is named."""

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import length_error
import numpy as np
import pytest
from fixture_types import RunNmt, TrainTiny
from length_error import SOURCES, LengthError
from refusals import refused
from run_files import read_metrics
from sacrebleu.metrics import BLEU, CHRF, TER

import nmt
from nmt.core.errors import UserError
from nmt.evaluation.scores import score_corpus
from nmt.metrics import table
from nmt.metrics.table import METRICS
from nmt.plotting.history import read_history

SACREBLEU = ("bleu", "chrf", "ter")

REFERENCES = [
    "Ein Hund läuft über die Wiese.",
    "Zwei Kinder spielen Fußball, und ein Mann sieht zu.",
    "Das Konzert beginnt um 19:30 Uhr.",
    "Wo ist der Bahnhof?",
]
HYPOTHESES = [
    "Ein Hund rennt über die Wiese.",
    "Zwei Kinder spielen fußball und ein Mann sieht zu.",
    "Das Konzert beginnt um 19:30.",
    "Wo ist der Bahnhof?",
]


def test_scores_and_signatures_are_those_of_the_sacrebleu_program(tmp_path: Path) -> None:
    hypothesis, reference = tmp_path / "hypothesis", tmp_path / "reference"
    for path, lines in ((hypothesis, HYPOTHESES), (reference, REFERENCES)):
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    command = [sys.executable, "-m", "sacrebleu", str(reference), "-i", str(hypothesis), "-m", *SACREBLEU]
    output = subprocess.run([*command, "-w", "6"], capture_output=True, check=True, text=True).stdout
    expected = json.loads(output)
    scores = score_corpus(HYPOTHESES, [REFERENCES], SACREBLEU)
    assert [score.name for score in scores.values()] == [entry["name"] for entry in expected]
    for score, entry in zip(scores.values(), expected, strict=True):
        assert score.score == pytest.approx(entry["score"], abs=1e-6)
        assert score.signature == entry["signature"]


def test_accuracy_of_lines() -> None:
    assert score_corpus(["a", "b", "c "], [["a", "c", "c"]], ["accuracy"])["accuracy"].score == pytest.approx(200 / 3)


def test_the_tokenizer_can_be_chosen() -> None:
    score = score_corpus(["我喜欢你。"], [["我很喜欢你。"]], ["bleu"], tokenize="zh")["bleu"]
    assert "tok:zh" in score.signature
    assert score.score > 30


@pytest.mark.parametrize("long", [0, 1], ids=["hypothesis", "reference"])
def test_ter_refuses_a_line_that_would_take_all_memory(run_nmt: RunNmt, tmp_path: Path, long: int) -> None:
    paths = [tmp_path / "hypothesis", tmp_path / "reference"]
    for number, path in enumerate(paths):
        path.write_text("a b c d\n" + "a " * (5_000 if number == long else 4) + "\n")
    message = "Line 2 has 5,000 words: TER compares lines of at most 2,000"
    refused(run_nmt("score", *paths), message, "--metrics bleu,chrf")


def test_different_numbers_of_lines() -> None:
    with pytest.raises(UserError, match="the hypothesis has 1, reference 1 has 2"):
        score_corpus(["a"], [["a", "b"]])


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'blue'.*\n.*Did you mean 'bleu'\?"):
        score_corpus(["a"], [["a"]], ["blue"])
    with pytest.raises(UserError, match=r"'bertscore'.*\nChoose among bleu, chrf, ter, accuracy"):
        score_corpus(["a"], [["a"]], ["bertscore"])
    with pytest.raises(UserError, match="No metric"):
        score_corpus(["a"], [["a"]], [])
    with pytest.raises(UserError, match=r"'13b'.*\n.*Did you mean '13a'\?"):
        score_corpus(["a"], [["a"]], ["bleu"], tokenize="13b")


def test_a_tokenizer_that_lacks_its_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.MeCab", None)
    with pytest.raises(UserError, match=r"(?s)'ja-mecab' can't be used.*\n.*13a"):
        score_corpus(["a"], [["a"]], ["bleu"], tokenize="ja-mecab")


def test_the_private_names_of_sacrebleu_that_are_used_exist() -> None:
    """sacreBLEU has no public names for sufficient statistics; pyproject.toml bounds its version for that reason."""
    for name in SACREBLEU:
        implementation = METRICS[name]().implementation
        (statistics,) = implementation._extract_corpus_statistics(["a b c d e"], [["a b c d f"]])
        by_sum = implementation._aggregate_and_compute([2 * np.array(statistics)])
        assert by_sum.score == pytest.approx(implementation.corpus_score(["a b c d e"] * 2, [["a b c d f"] * 2]).score)


@pytest.mark.parametrize("name", SACREBLEU)
def test_a_long_text_is_scored_in_parts_as_a_whole(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    references, implementation = [REFERENCES, HYPOTHESES[::-1]], METRICS[name]().implementation
    expected, read = implementation.corpus_score(HYPOTHESES, references), type(implementation)._cache_references
    monkeypatch.setattr(table, "CHUNK", 3)
    with patch.object(type(implementation), "_cache_references", autospec=True, side_effect=read) as cached:
        score = METRICS[name]().corpus_score(HYPOTHESES, references)
    assert (score.score, score.signature) == (expected.score, str(implementation.get_signature()))
    assert [len(call.args[1][0]) for call in cached.mock_calls] == [3, 1], "n-grams of all would fill the memory"


@pytest.mark.extension("comparison")
def test_confidence_is_that_of_sacrebleu() -> None:
    for name, metric in {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}.items():
        expected = metric.corpus_score(HYPOTHESES, [REFERENCES], n_bootstrap=50)
        with patch.object(METRICS[name], "statistics", autospec=True, side_effect=METRICS[name].statistics) as computed:
            score = score_corpus(HYPOTHESES, [REFERENCES], [name], num_resamples=50)[name]
        assert computed.call_count == 1, "the statistics take most of the time"
        assert score.signature == str(metric.get_signature())
        found = (score.confidence["mean"], score.confidence["half_width"])
        assert found == pytest.approx((expected._mean, expected._ci), abs=1e-4)


def test_tokenised_text_is_reported_once_in_terms_of_nmt(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    table._warn_once.cache_clear()
    shown = []
    for count in (99, 100, 100):
        lines = [f"{number} Männer schlafen ." for number in range(count)]
        METRICS["bleu"]().statistics(lines, [lines])  # what nmt compare resamples
        shown.append(capfd.readouterr().err.count("tokenised"))
    assert [bool(count) for count in shown] == [False, True, False]
    assert not caplog.records  # sacreBLEU's own message names an option of its own


@pytest.mark.parametrize(
    ("line", "tokenize", "is_reported"),
    [
        ("今天天气很好，我们去公园散步。", None, True),
        ("วันนี้อากาศดีมาก", None, True),
        ("今天天气很好，我们去公园散步。", "zh", False),
        ("今天 天气 很 好 ， 我们 去 公园 散步 。", None, False),
        ("오늘은 날씨가 아주 좋습니다.", None, False),
    ],
)
def test_bleu_of_text_without_spaces_needs_a_tokenizer(
    capfd: pytest.CaptureFixture[str], line: str, tokenize: str | None, is_reported: bool
) -> None:
    table._warn_once.cache_clear()
    score_corpus([line], [[line]], ["bleu"], tokenize)
    assert ("no spaces between words" in capfd.readouterr().err) == is_reported


# a metric from outside, not sacreBLEU's, that needs the source: one class and one row, and every command has it


@pytest.fixture
def registered() -> None:
    nmt.add_component("length_error", LengthError)


@pytest.mark.usefixtures("registered")
@pytest.mark.extension("comparison")
def test_the_corpus_score_of_an_outside_metric_is_the_mean_and_has_an_interval() -> None:
    names, references = ["length_error"], [length_error.REFERENCES]
    scores = score_corpus(length_error.SYSTEMS["base"], references, names, num_resamples=100, sources=SOURCES)
    found = scores["length_error"]
    assert (found.score, found.signature) == (1.5, "LenErr|bs:100|seed:12345")
    assert 0 < found.confidence["half_width"] < 0.5
    assert METRICS["length_error"]().statistics([], [[]], []).shape == (0, 2)
    with pytest.raises(UserError, match="'length_error' needs the source"):
        score_corpus(["a"], [["a"]], names)


@pytest.mark.usefixtures("registered")
def test_a_model_is_selected_by_an_outside_metric(train_tiny: TrainTiny) -> None:
    settings = ("training.max_steps=6", "training.validate_every=2", "training.keep_last=1")
    run = train_tiny(*settings, "training.metric=length_error")
    valid = {line["step"]: line for line in read_metrics(run, "valid")}
    assert all(line.keys() >= {"loss", "length_error", "best"} for line in valid.values())
    lowest = min(valid, key=lambda step: (valid[step]["length_error"], valid[step]["loss"]))
    assert max(step for step, line in valid.items() if line["best"]) == lowest
    assert (run / "checkpoints" / f"step-{lowest:06d}").is_dir()
    summary = read_history(run).summary()
    assert (summary["length_error"], summary["length_error_step"]) == (valid[lowest]["length_error"], lowest)
