"""A trained model with its vocabularies, as all parts of a translation use it."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from nmt.alignment.aligner import AttentionAligner
from nmt.core.device import Precision
from nmt.core.model_directory import ModelDirectory
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.search import ModelSearcher, Searcher, ShortlistSearch, changed
from nmt.models.contracts import Model
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.registry import provided
from nmt.recipe.schema import DecodingOptions, Recipe
from nmt.tasks import task_of
from nmt.tasks.base import Task

T = TypeVar("T")

WINDOW = 16
"""Batches that are read before they are sorted by length and translated; a run that is stopped loses at most these."""


class LoadedModel:
    """A trained model with its vocabularies.

    Args:
        model: in eval mode, on its device.
        vocabularies: those it was trained with.
        recipe: the one it was trained with; its ``decoding`` has the defaults of a search.
        precision: of matrix products. With bf16 or fp16, a translation can depend slightly on its batch.
        directory: the model directory, which holds what was learned for alignment.
        task: the task of the recipe.
        searcher: searches in place of the model, such as an ensemble; alignments and scores are those of the model.
    """

    def __init__(
        self,
        model: Seq2Seq,
        vocabularies: Vocabularies,
        recipe: Recipe,
        precision: Precision = "fp32",
        directory: Path | None = None,
        task: Task | None = None,
        searcher: Searcher | None = None,
    ) -> None:
        self.model, self.vocabularies, self.recipe, self.precision = model, vocabularies, recipe, precision
        self.directory = directory
        self.max_pieces = 2 * recipe.data.max_length
        """A longer source line is cut here: the model was not trained on anything like it."""
        self.task = task or task_of(recipe)
        self.has_own_searcher = searcher is None
        self.searcher: Searcher = searcher or self.search_with(model)
        self.has_warned_of_tags = False
        self._attached: dict[Callable[[Any], Any] | int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Returns what another process needs; what extensions keep is made anew there."""
        return self.__dict__ | {"_attached": {}}

    @cached_property
    def aligner(self) -> AttentionAligner:
        """Reads word alignments from the attention of the model.

        Raises:
            UserError: the model has no attention.
        """
        files = ModelDirectory(self.directory) if self.directory is not None else None
        return AttentionAligner(self.model, self.vocabularies, self.max_pieces, self.task, files)

    @property
    def has_attention(self) -> bool:
        """Whether the model has attention, by which words are aligned."""
        return bool(self.model.decoder.heads)

    def attached(self, make: "Callable[[Any], T]") -> T:
        """Returns what an extension keeps with this translator: the result of ``make``, which is called once."""
        if make not in self._attached:
            self._attached[make] = make(self)
        return cast("T", self._attached[make])

    def search_with(self, model: Model) -> Searcher:
        """Returns a searcher for this translator that PyTorch computes with a model or an ensemble."""
        return ModelSearcher(model, self.vocabularies, self.task.search, self.precision, self._shortlist, repeats=True)

    def replaced(self, **changes: Any) -> Self:
        """Returns a translator with other arguments of the constructor, such as ``recipe`` or ``searcher``."""
        own = {name: getattr(self, name) for name in ("model", "vocabularies", "recipe", "precision", "directory")}
        return type(self)(**{**own, "task": self.task, **changes})

    def options(self, **decoding: Any) -> DecodingOptions:
        """Returns the recipe's decoding options with changes; None means no change.

        Raises:
            UserError: an unknown option or a value out of range.
        """
        return changed(self.recipe.decoding, decoding)

    def _shortlist(self, size: int) -> ShortlistSearch:
        if size not in self._attached:
            make = provided("shortlist", "decoding.shortlist")
            self._attached[size] = make(self.aligner.lexicon, self.vocabularies, size)
        return cast("ShortlistSearch", self._attached[size])

    def encode_source(self, line: str) -> list[int]:
        """The ids of a source line as the model reads it, without EOS; a dialogue keeps its separators.

        There may be more than ``max_pieces`` of them: the callers decide whether to cut or to refuse such a line.
        """
        return self.task.reader.source_ids(self.vocabularies.source, line, self.max_pieces)

    def encode_target(self, line: str) -> list[int]:
        """The ids of a translation, without SOS and EOS; of a dialogue, those of the current turn."""
        return self.vocabularies.target.encode(self.task.reader.current(line))
