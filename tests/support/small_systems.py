"""Small untrained models of every kind of system, and of any options, with vocabularies of made-up words."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from nmt.data.batch import Batch, make_batch
from nmt.data.vocabulary.base import SEPARATOR
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.models.attention import MultiHeadAttention
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


def system(name: str) -> Seq2Seq:
    """One of the systems, such as ``luong``."""
    return small_model(*SYSTEMS[name])


def torch_attention(ours: MultiHeadAttention, memory_width: int | None = None) -> nn.MultiheadAttention:
    """PyTorch's multi-head attention with the weights of ours."""
    width = ours.query.in_features
    theirs = nn.MultiheadAttention(width, ours.num_heads, batch_first=True, kdim=memory_width, vdim=memory_width)
    key, value = ours.key_value.weight.chunk(2)
    with torch.no_grad():
        if memory_width is None:
            theirs.in_proj_weight.copy_(torch.cat((ours.query.weight, key, value)))
        else:
            theirs.q_proj_weight.copy_(ours.query.weight)
            theirs.k_proj_weight.copy_(key)
            theirs.v_proj_weight.copy_(value)
        theirs.in_proj_bias.copy_(torch.cat((ours.query.bias, ours.key_value.bias)))
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    return theirs


@pytest.fixture(scope="session")
def words() -> Vocabularies:
    return WORDS


@pytest.fixture(scope="session")
def make_system() -> Callable[[str], Seq2Seq]:
    return system


@pytest.fixture(scope="session")
def joint_vocabularies() -> Vocabularies:
    """16 ids, the same for both languages; 4 separates the turns of a dialogue."""
    words = WordVocabulary(
        [SEPARATOR, "▁bla", "▁blu", "▁knä", "▁knö", "▁trep", "▁trop", "▁zim", "▁zum", "▁wok", "▁wak", "."]
    )
    return Vocabularies(words, words)


@pytest.fixture(scope="session")
def separate_vocabularies(joint_vocabularies: Vocabularies) -> Vocabularies:
    """The same source vocabulary, and another of 13 ids."""
    return Vocabularies(joint_vocabularies.source, WordVocabulary([f"▁wort{i}" for i in range(9)]))


@pytest.fixture(scope="session")
def make_model(joint_vocabularies: Vocabularies) -> Callable[..., Seq2Seq]:
    """Builds a model in eval mode from an encoder's and a decoder's options, and any other of the model."""
    return partial(small_model, vocabularies=joint_vocabularies, seed=1)


@pytest.fixture(scope="session")
def sentence_pairs() -> list[tuple[list[int], list[int]]]:
    """Ids of four pairs; the longest source has not the longest target, and the last source is empty.

    As dialogues they have two turns (the first one empty), two, three and one.
    """
    return [
        ([4, 9, 7, 5, 12], [6, 11, 8]),
        ([10, 4, 15], [13, 5, 5, 14, 9, 7, 6]),
        ([8, 6, 4, 13, 5, 4, 7, 10], [4, 12]),
        ([], [9]),
    ]


@pytest.fixture(scope="session")
def batch(sentence_pairs: list[tuple[list[int], list[int]]], joint_vocabularies: Vocabularies) -> Batch:
    return make_batch(sentence_pairs, joint_vocabularies)
