"""The contract of a task: what a model is trained to do with a line of text."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from nmt.core.errors import UserError
from nmt.data.dialogue import LineReader
from nmt.data.vocabulary.base import NEW_VOCABULARY
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.data.vocabulary.sentencepiece import MAX_LINES
from nmt.data.words import Words
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.hypotheses import Hypothesis, SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.decoding.search import search_batch
from nmt.recipe.schema import Recipe, VocabularyOptions

NO_SENTENCES = "This is for models that translate sentence by sentence.", "Name a model of sentences."
"""The refusal of what perturbs sentences and compares their translations."""


class Task:
    """Reads lines, learns vocabularies and searches for one kind of model.

    This base class translates sentences. A subclass overrides what its kind of model does differently and gets a row in
    :data:`nmt.tasks.TASKS`; no other code asks which kind of model it works with. A class from an outside package is
    registered with ``@nmt.register("task", NAME)`` and chosen by ``task: NAME`` in a recipe.

    Args:
        recipe: the complete recipe.
    """

    name: ClassVar[str]
    default_metric: ClassVar[str] = "bleu"
    """The validation metric if the recipe names none."""
    refused: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType({})
    """Features that don't work with this task: a message and a remedy for each; see :meth:`require`."""
    has_labels: ClassVar[bool] = False
    """Whether each target line is a label of a closed set."""
    reads_source: ClassVar[bool] = True
    """Whether the output depends on a source line."""
    reports_degenerate: ClassVar[bool] = True
    """Whether copies, loops and other degenerate outputs are counted."""
    pipeline: ClassVar[str] = "translation"
    """The name of the task on the Hugging Face Hub, for the model card."""
    commands: ClassVar[Sequence[str]] = ("nmt translate MODEL_DIR < text.{source}", "nmt serve MODEL_DIR")
    """Commands that use a model, for the model card."""
    aligns_documents: ClassVar[bool] = False
    """Whether alignments are drawn as shaded text, because the whole target is one unit."""

    def __init__(self, recipe: Recipe) -> None:
        self.reader = LineReader(recipe.data.history_turns)

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        """Returns whether a recipe that names no task describes this one."""
        return False

    def title(self, source: str, target: str) -> str:
        """Returns the title of the model card, given the names of the languages."""
        return f"{source} to {target}"

    @classmethod
    def check(cls, recipe: Recipe) -> Iterable[UserError]:
        """Yields what makes a recipe invalid for this task."""
        return ()

    def require(self, feature: str) -> None:
        """Raises a UserError if a feature doesn't work with this task.

        Args:
            feature: such as ``translation``, ``export``, ``synthesis``, ``serving``; a key of :attr:`refused`.
        """
        if feature in self.refused:
            raise UserError(*self.refused[feature])

    def vocabulary_lines(self, options: VocabularyOptions) -> int | None:
        """Returns the maximum number of pairs that vocabularies are learned from; None for all."""
        return None if options.type == "word" or self.has_labels else MAX_LINES // (2 if options.joint else 1)

    def learn_vocabularies(
        self, options: VocabularyOptions, pairs: Iterable[tuple[str, str]], tags: Sequence[str], terms: bool
    ) -> Vocabularies:
        """Learns the vocabularies from training text; see :func:`nmt.train_vocabularies`."""
        return train_vocabularies(options, pairs, self.reader.has_turns, tags, terms)

    def check_vocabularies(self, vocabularies: Vocabularies, where: str) -> None:
        """Raises a UserError if vocabularies can't represent the lines of this task.

        Args:
            where: the file or folder that the vocabularies come from.
        """
        self.reader.check(vocabularies.source)
        if vocabularies.target.is_closed != self.has_labels:
            present, predicted = ("text", "labels") if self.has_labels else ("labels", "text")
            raise UserError(
                f"{where} has a target vocabulary of {present}, but model.decoder predicts {predicted}.",
                f"{NEW_VOCABULARY}.",
            )

    def target_words(self, target: Words) -> Words:
        """Returns the units of a target line that are aligned with source words."""
        return target

    def search(
        self, batch: SearchBatch, processors: Sequence[LogitsProcessor], constraints: Sequence[LexicalConstraints]
    ) -> list[list[Hypothesis]]:
        """Searches for the outputs of a batch.

        Args:
            batch: the encoded sources, the model and the decoding options.
            processors: change the logits before each choice.
            constraints: what the output of each sentence must contain.

        Returns:
            For each sentence its hypotheses, best first.
        """
        return search_batch(batch, processors, constraints)
