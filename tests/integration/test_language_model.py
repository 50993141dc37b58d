"""Language models: their decoders, perplexity, model card, and what they are refused for."""

import json
import math
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fixture_types import RunNmt, TrainTiny
from refusals import refused

import nmt
from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.build import DECODERS


def make_lm(vocabularies: Vocabularies, **decoder: Any) -> Any:
    return nmt.build({"encoder": None, "decoder": decoder, "embedding_size": 6}, vocabularies).eval()


def test_only_decoders_that_can_do_without_a_source_are_built(words: Vocabularies) -> None:
    make_lm(words, type="transformer", num_heads=2)
    for decoder in DECODERS.keys() - {"recurrent", "transformer", "classifier"}:
        with pytest.raises(UserError, match="must be of type recurrent or transformer"):
            make_lm(words, type=decoder)
    with pytest.raises(UserError, match="bridge: dense needs an encoder: choose zero or learned"):
        make_lm(words, type="recurrent")


def test_perplexity_per_token_and_per_word(run_nmt: RunNmt, language_model: Path, tiny_corpus: Path) -> None:
    english = (tiny_corpus / "val.en").read_text().splitlines()
    done = run_nmt("score", "--perplexity", language_model, tiny_corpus / "val.en", "--json", check=True)
    found = json.loads(done.stdout)
    scored = list(nmt.load(language_model).score([("", line) for line in english]))
    total = sum(sum(pair.token_log_probabilities) for pair in scored)
    num_tokens = sum(len(pair.tokens) for pair in scored)
    num_words = sum(len(line.split()) + 1 for line in english)
    assert found["per_token"] == pytest.approx(math.exp(-total / num_tokens))
    assert found["per_word"] == pytest.approx(math.exp(-total / num_words))
    assert 1 < found["per_token"] < 20  # of about 40 words: it has learnt something
    with patch("nmt.core.console.Progress") as progress:
        table = run_nmt("score", "--perplexity", language_model, tiny_corpus / "val.en")
    assert "scoring" in str(progress.mock_calls)
    assert f"{found['per_word']:.2f}" in table.stdout
    piped = run_nmt("score", "--perplexity", language_model, "-", "--json", stdin="\n".join(english), check=True)
    assert json.loads(piped.stdout) == found


@pytest.mark.extension("cards")
def test_the_model_card_is_that_of_a_language_model(language_model: Path) -> None:
    card = (language_model / "README.md").read_text("utf-8")
    assert "pipeline_tag: text-generation" in card
    assert "# Language model of English" in card
    assert "nmt score --perplexity MODEL_DIR text.en\n```" in card
    assert "translate" not in card


def test_perplexity_of_a_translation_needs_its_source(run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path) -> None:
    refused(run_nmt("score", "--perplexity", tiny_model, tiny_corpus / "train.en"), "-s FILE")
    run_nmt("score", "--perplexity", tiny_model, tiny_corpus / "train.en", "-s", tiny_corpus / "train.de", check=True)


def test_a_language_model_translates_nothing(run_nmt: RunNmt, language_model: Path, train_tiny: TrainTiny) -> None:
    refused(run_nmt("translate", language_model, stdin="Der Hund"), "language model: it reads no source")
    done = run_nmt("inspect", "gradients", language_model, "--pairs", __file__, __file__)
    refused(done, "language model: it reads no source")
    with pytest.raises(UserError, match=r"no translation for training\.metric"):
        train_tiny("model.encoder=null", "model.decoder={type: recurrent, bridge: zero}", "training.metric=bleu")
