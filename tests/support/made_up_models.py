"""A vocabulary of made-up words and the models built on it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from small_systems import small_model
from torch import nn

from nmt.data.batch import Batch, make_batch
from nmt.data.vocabulary.base import SEPARATOR
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.models.attention import MultiHeadAttention
from nmt.models.seq2seq import Seq2Seq

MakeModel = Callable[..., Seq2Seq]


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
def make_model(joint_vocabularies: Vocabularies) -> MakeModel:
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


@pytest.fixture(scope="session")
def torch_attention() -> Callable[..., nn.MultiheadAttention]:
    """Makes PyTorch's multi-head attention with the weights of ours."""

    def make(ours: MultiHeadAttention, memory_width: int | None = None) -> nn.MultiheadAttention:
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

    return make
