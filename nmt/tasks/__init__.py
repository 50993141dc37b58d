"""Tasks: the kinds of model, and the choice of one by a recipe."""

from collections.abc import Iterable, Sequence
from math import inf
from typing import ClassVar

import torch

from nmt.core.errors import UserError
from nmt.data.words import Words
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.finite import explained_search, is_valid
from nmt.decoding.hypotheses import Hypothesis, SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.metrics.table import LOSS
from nmt.recipe.registry import Table
from nmt.recipe.schema import NO_ENCODER, Recipe
from nmt.tasks.base import NO_SENTENCES, Task


class Translation(Task):
    """Each line is a sentence, and the output is its translation."""

    name = "translation"

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        return True


class Dialogue(Task):
    """Each source line has the turns of a dialogue, separated by tabs."""

    name = "dialogue"
    refused: ClassVar = {
        "synthesis": ("A model of dialogues translates one turn of several.", "Name a model of sentences."),
        "export": (
            "Models of dialogues are not exported: their turns are put together by nmt.",
            "Use `nmt translate`.",
        ),
        "robustness": NO_SENTENCES,
        "reverse alignment": ("A model of dialogues aligns in one direction only.", "Leave out the reverse model."),
        "lexicon alignment": ("A model of dialogues aligns by its attention.", "Leave out --lexicon-only."),
    }

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        return recipe.data.history_turns is not None


_NO_SOURCE = (
    "This is a language model: it reads no source.",
    "Measure text by `nmt score --perplexity`, or name it in decoding.logits_processors of a translation.",
)


class LanguageModel(Task):
    """The decoder alone predicts each target line; source lines are ignored."""

    name = "language_model"
    default_metric = LOSS
    reads_source = False
    pipeline = "text-generation"
    commands = ("nmt score --perplexity MODEL_DIR text.{target}",)
    refused = dict.fromkeys(("translation", "gradients", "serving"), _NO_SOURCE) | {"robustness": NO_SENTENCES}

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        return recipe.model.encoder.get("type") == NO_ENCODER

    def title(self, source: str, target: str) -> str:
        return f"Language model of {target}"

    @classmethod
    def check(cls, recipe: Recipe) -> Iterable[UserError]:
        if recipe.training.metric not in (None, LOSS) or recipe.model.vectors.source:
            yield UserError(
                "A language model reads no source: it has no translation for training.metric, nor a source embedding.",
                "Set training.metric: loss, and leave out model.vectors.source.",
            )


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

    def target_words(self, target: Words) -> Words:
        return Words.whole(target.text.strip())

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


TASKS: Table[Task] = Table(
    "task",
    Task,
    {
        "classification": Classification,
        "language_model": LanguageModel,
        "dialogue": Dialogue,
        "translation": Translation,
    },
)
"""The first one that fits a recipe is its task, unless the recipe names one."""


def choose_task(recipe: Recipe) -> type[Task]:
    """Returns the class of the task that a recipe names or describes.

    Raises:
        UserError: there is no task of that name.
    """
    if recipe.task is not None:
        return TASKS.find(recipe.task, "task")
    return next(task for task in TASKS.values() if task.fits(recipe))


def task_of(recipe: Recipe) -> Task:
    """Returns the task of a recipe."""
    return choose_task(recipe)(recipe)
