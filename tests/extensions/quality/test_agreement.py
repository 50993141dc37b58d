"""The agreement of translations with samples of the model."""

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
