"""``nmt quickstart``: a very short one writes everything; the real one reaches its figures."""

import json
from functools import partial
from pathlib import Path

import pytest
from fixture_types import RunNmt
from refusals import refused

from nmt.quickstart.embedded_corpus import splits


@pytest.fixture
def short_quickstart(run_nmt: RunNmt, monkeypatch: pytest.MonkeyPatch) -> RunNmt:
    """A quickstart of a few hundred sentences and thirty steps."""
    monkeypatch.setattr("nmt.quickstart.run.splits", partial(splits, train=300, valid=20, test=70))
    settings = ["training.max_steps=30", "vocabulary.size=400", "training.validation_size=8", "training.precision=fp32"]
    settings += ["model.embedding_size=32", "model.encoder.hidden_size=16", "model.decoder.hidden_size=32"]
    return partial(run_nmt, "quickstart", *(f"--set={setting}" for setting in settings))


def test_everything_is_written(short_quickstart: RunNmt, run_nmt: RunNmt, tmp_path: Path) -> None:
    output = tmp_path / "my quickstart"
    done = short_quickstart("-o", output, check=True)
    figures = json.loads((output / "quickstart.json").read_text("utf-8"))
    assert {"bleu", "chrf", "aer", "seconds", "training_seconds", "sentences_per_second"} <= set(figures)
    assert 0 <= figures["bleu"] <= 100
    assert 0 < figures["chrf"] <= 100
    assert 0 < figures["aer"] <= 1
    assert 0 < figures["training_seconds"] < figures["seconds"]
    assert len((output / "test.translated.de").read_text("utf-8").splitlines()) == 70
    plots = sorted((output / "plots").iterdir())
    assert [plot.name for plot in plots] == [f"alignment-{number}.png" for number in range(1, 7)]
    assert all(plot.read_bytes().startswith(b"\x89PNG") for plot in plots)

    for figure in ("BLEU", "chrF", "AER", "sentences/s", "minutes"):
        assert figure in done.stdout
    assert "70 unseen test sentences" in done.stdout
    assert "nmt train texts.de texts.en" in done.stderr  # what comes next is text of one's own

    # The other commands come to the same figures from the files.
    data = output / "data"
    score = json.loads(run_nmt("score", output / "test.translated.de", data / "test.de", "--json").stdout)
    assert score["bleu"]["score"] == pytest.approx(figures["bleu"], abs=0.01)
    assert score["chrf"]["score"] == pytest.approx(figures["chrf"], abs=0.01)
    aer = json.loads(run_nmt("aer", output / "test.links", data / "test.links", "--json").stdout)
    assert aer["aer"] == pytest.approx(figures["aer"], abs=1e-4)
    translated = run_nmt("translate", output / "model", "-i", data / "test.en").stdout
    assert translated == (output / "test.translated.de").read_text("utf-8")
    tokens = ("align", output / "model", data / "test.tok.en", data / "test.tok.de", "--tokenized")
    assert run_nmt(*tokens).stdout == (output / "test.links").read_text("utf-8")


@pytest.mark.slow
def test_a_run_that_its_time_limit_stops_is_no_success(short_quickstart: RunNmt, tmp_path: Path) -> None:
    done = short_quickstart("-o", tmp_path / "out", "--set=training.max_minutes=0.001")
    assert done.returncode == 1
    assert "did not succeed" in done.stderr
    assert "a model that is half trained" in done.stderr
    assert "--resume" in done.stderr
    assert "training.max_minutes" in done.stderr
    assert "Try next" not in done.stderr


def test_what_is_there_is_not_overwritten(short_quickstart: RunNmt, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.en").write_text("mine\n")
    refused(short_quickstart("-o", tmp_path), f"{tmp_path} exists already", "-o")
    assert (tmp_path / "data" / "train.en").read_text() == "mine\n"


def test_a_wrong_setting_is_refused_before_anything_is_written(short_quickstart: RunNmt, tmp_path: Path) -> None:
    for setting in ("training.max_step=3", "model.decoder.atention=3"):
        refused(short_quickstart("-o", tmp_path / "out", "--set", setting), "Did you mean")
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_real_one_reaches_its_figures(run_nmt: RunNmt, tmp_path: Path) -> None:
    run_nmt("quickstart", "-o", tmp_path / "out", check=True)
    figures = json.loads((tmp_path / "out" / "quickstart.json").read_text("utf-8"))
    assert figures["bleu"] >= 95
    assert figures["aer"] <= 0.06
