"""The agreement of translations with samples of the model."""

import json
from math import exp
from pathlib import Path

import pytest

import nmt
from nmt.extensions.quality.agreement import agreements
from nmt.metrics.table import METRICS


def test_it_is_the_mean_chrf_against_the_samples(tiny_model: Path) -> None:
    model = nmt.load(tiny_model, "cpu")
    sources = ["Heute trinkt die Katze kaltes Wasser.", "Garten schläft Wasser um Lied Zug Bäcker."]
    samples = model.translate(sources, n_best=4, search="sample", beam_size=4)
    texts = [each.text for each in model.translate(sources)]
    expected = [
        sum(METRICS["chrf"]().sentence_scores([text] * 4, [[each.text for each in found.n_best]])) / 400
        for text, found in zip(texts, samples, strict=True)
    ]
    assert agreements(model, sources, texts, 4) == pytest.approx(expected)
    assert expected[0] > expected[1], "the second source is no sentence"
    assert agreements(model, sources * 2, texts * 2, 4) == pytest.approx(expected * 2)
    assert agreements(model, sources, ["", texts[1]], 4) == pytest.approx([0.0, expected[1]])
    assert agreements(model, sources, texts, 0) == [None, None]
    assert agreements(model, [], [], 4) == []


def test_the_confidence_of_each_translation_has_its_own_agreement(own_model: Path) -> None:
    alone = {"min_chrf": 50, "weights": {"agreement": 2.5}, "bias": -0.5, "samples": 3}
    (own_model / "calibration.json").write_text(json.dumps(alone), "utf-8")
    model = nmt.load(own_model, "cpu")
    found = model.translate(
        ["Garten schläft Wasser um Lied Zug Bäcker.", "", "Heute trinkt die Katze kaltes Wasser."], with_confidence=True
    )
    expected = agreements(model, [found[0].source, found[2].source], [found[0].text, found[2].text], 3)
    assert [found[0].confidence, found[2].confidence] == pytest.approx(
        [1 / (1 + exp(0.5 - 2.5 * agreement)) for agreement in expected if agreement is not None], abs=1e-6
    )
    assert found[0].confidence < found[2].confidence


def test_the_confidence_does_not_depend_on_the_words_of_the_links(own_model: Path) -> None:
    """Documents have links of punctuation marks, too."""
    on_length = {"min_chrf": 50, "weights": {"length": 1.5, "mean_log_probability": 1.0}, "bias": -0.5}
    (own_model / "calibration.json").write_text(json.dumps(on_length), "utf-8")
    model, lines = nmt.load(own_model, "cpu"), ["Der Hund, die Katze: Wasser!"]
    both = [model.translate(lines, with_confidence=True, with_alignment=links)[0] for links in (True, "punctuation")]
    assert both[0].confidence == pytest.approx(both[1].confidence)
    assert both[0].alignment != both[1].alignment
