"""Small untrained models of every kind of system, with the vocabulary they share."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.models.build import build
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import ModelOptions

RECURRENT = {"type": "recurrent", "hidden_size": 16}
TRANSFORMER = {"type": "transformer", "num_layers": 2, "num_heads": 2, "feed_forward_size": 24}
SYSTEMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vanilla": (RECURRENT, RECURRENT),
    "bahdanau": ({**RECURRENT, "bidirectional": True}, {**RECURRENT, "type": "bahdanau"}),
    "luong": ({**RECURRENT, "num_layers": 2}, {**RECURRENT, "type": "luong", "num_layers": 2}),
    "luong fed": (RECURRENT, {**RECURRENT, "type": "luong", "input_feeding": True, "cell": "gru"}),
    "transformer": (TRANSFORMER, TRANSFORMER),
    "post-norm": ({**TRANSFORMER, "norm": "post"}, {**TRANSFORMER, "norm": "post", "positions": "learned"}),
}


@pytest.fixture(scope="session")
def words() -> Vocabularies:
    """18 ids, the same for both languages."""
    vocabulary = WordVocabulary([f"▁wort{i}" for i in range(14)])
    return Vocabularies(vocabulary, vocabulary)


@pytest.fixture(scope="session")
def make_system(words: Vocabularies) -> Callable[[str], Seq2Seq]:
    """``make_system("luong")``: a model with random weights in eval mode."""

    def make(name: str) -> Seq2Seq:
        torch.manual_seed(3)
        encoder, decoder = SYSTEMS[name]
        return build(ModelOptions(encoder=encoder, decoder=decoder, embedding_size=16), words).eval()

    return make
