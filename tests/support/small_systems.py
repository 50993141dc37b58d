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
WORDS = Vocabularies(*[WordVocabulary([f"▁wort{i}" for i in range(14)])] * 2)
"""18 ids, the same for both languages."""


def small_model(
    encoder: dict[str, Any], decoder: dict[str, Any], vocabularies: Vocabularies = WORDS, seed: int = 3, **others: Any
) -> Seq2Seq:
    """A model with random weights in eval mode, from an encoder's and a decoder's options, and any other of it."""
    torch.manual_seed(seed)
    options = ModelOptions(encoder=encoder, decoder=decoder, **{"embedding_size": 16, **others})
    return build(options, vocabularies).eval()


@pytest.fixture(scope="session")
def words() -> Vocabularies:
    return WORDS


@pytest.fixture(scope="session")
def make_system() -> Callable[[str], Seq2Seq]:
    """``make_system("luong")``: one of the systems."""
    return lambda name: small_model(*SYSTEMS[name])
