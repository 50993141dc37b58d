"""The task of a classifier: each line of the target side is a label."""

from collections.abc import Iterable, Sequence
from math import inf
from typing import ClassVar

import torch

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.data.words import Words
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.finite import explained_search, is_valid
from nmt.decoding.hypotheses import Hypothesis, SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.extensions.classification.labels import LabelVocabulary
from nmt.recipe.schema import Recipe, VocabularyOptions
from nmt.tasks.base import NO_SENTENCES, Task


class Classification(Task):
    """Each line of the target side is a label."""

    name = "classification"
    default_metric = "accuracy"
    has_labels = True
    reports_degenerate = False
    aligns_documents = True
    pipeline = "text-classification"
    commands = ("nmt translate MODEL_DIR < text.{source}",)
    refused: ClassVar = {
        "robustness": NO_SENTENCES,
        "search": ("A classifier chooses one label; there is no search to show.", "Name a model that translates."),
        "serving": (
            "This is a classifier: `nmt serve` serves models that translate.",
            "`nmt translate` prints its labels.",
        ),
    }

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        return recipe.model.decoder.get("type") == "classifier"

    def title(self, source: str, target: str) -> str:
        return f"Classifier: {source} to {target}"

    @classmethod
    def check(cls, recipe: Recipe) -> Iterable[UserError]:
        if recipe.model.vectors.target:
            yield UserError("A classifier has no target embedding.", "Leave out model.vectors.target.")

    def learn_vocabularies(
        self, options: VocabularyOptions, pairs: Iterable[tuple[str, str]], tags: Sequence[str], terms: bool
    ) -> Vocabularies:
        return train_vocabularies(options, pairs, self.reader.has_turns, tags, terms, LabelVocabulary.of)

    def target_words(self, target: Words) -> Words:
        label = target.text.strip()
        return Words(label, ((0, len(label)),) if label else ())

    @torch.inference_mode()
    def search(
        self, batch: SearchBatch, processors: Sequence[LogitsProcessor], constraints: Sequence[LexicalConstraints]
    ) -> list[list[Hypothesis]]:
        """Returns the ``beam_size`` most probable labels of each line; their scores are log-probabilities."""
        start_B1 = torch.full((len(batch.source_BS), 1), batch.target.sos, device=batch.source_BS.device)
        state = batch.model.start(batch.source_BS, batch.source_length_B)
        logits_BV = batch.model.step(start_B1[:, 0], state).logits_NV.float()
        normaliser_B1 = logits_BV.logsumexp(1, keepdim=True)
        for processor in processors:
            processor(logits_BV, start_B1, torch.arange(len(start_B1), device=start_B1.device), batch)
        size = min(batch.options.beam_size, logits_BV.shape[1])
        log_p_BK, label_BK = (logits_BV - normaliser_B1).topk(size, dim=1)
        if not bool(is_valid(log_p_BK).all()):
            raise explained_search(batch, start_B1, torch.arange(len(start_B1), device=start_B1.device), processors)
        rows = zip(label_BK.tolist(), log_p_BK.tolist(), strict=True)
        return [[Hypothesis([i], p, p) for i, p in zip(*row, strict=True) if p > -inf] for row in rows]
