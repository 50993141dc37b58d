"""Shallow fusion with a language model."""

from pathlib import Path

import pytest

import nmt
from nmt.core.errors import UserError


def test_shallow_fusion_adds_the_weighted_log_probabilities(
    tiny_model: Path, language_model: Path, tiny_corpus: Path
) -> None:
    translator, lm = nmt.load(tiny_model), nmt.load(language_model)
    lines = (tiny_corpus / "val.de").read_text().splitlines()
    processors = {"language_model": {"model": str(language_model), "weight": 0.7}}
    fused = translator.translate(lines, logits_processors=processors, length_penalty="none")
    pairs = [(t.source, t.text) for t in fused]
    direct = [pair.log_probability or 0 for pair in translator.score(pairs)]
    prior = [pair.log_probability or 0 for pair in lm.score(pairs)]
    expected = [a + 0.7 * b for a, b in zip(direct, prior, strict=True)]
    assert [t.score for t in fused] == pytest.approx(expected, abs=1e-4)
    strong = {"language_model": {"model": str(language_model), "weight": 30.0}}
    only = translator.translate(lines, logits_processors=strong)
    assert len({t.text for t in only}) == 1  # nothing of the source is left


def test_a_language_model_must_fit(tiny_model: Path, language_model: Path, bytes_model: Path) -> None:
    def refusal(model: Path, fused: Path) -> str:
        processors = {"language_model": {"model": str(fused)}}
        with pytest.raises(UserError) as caught:
            nmt.load(model).translate(["Hund"], logits_processors=processors)
        return caught.value.message

    assert "is no language model" in refusal(tiny_model, tiny_model)
    assert "has another vocabulary" in refusal(bytes_model, language_model)
