"""The table of vocabularies."""

from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.pretrained import PretrainedVocabulary
from nmt.data.vocabulary.sentencepiece import BpeVocabulary, CharacterVocabulary, UnigramVocabulary
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe.registry import Table

VOCABULARIES: Table[Vocabulary] = Table(
    "vocabulary",
    Vocabulary,
    {
        "unigram": UnigramVocabulary,
        "bpe": BpeVocabulary,
        "character": CharacterVocabulary,
        "word": WordVocabulary,
        "pretrained": PretrainedVocabulary,
    },
)
"""A vocabulary from outside needs a ``suffix`` of its own, by which its file is recognised."""
