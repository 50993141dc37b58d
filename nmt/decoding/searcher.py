"""The contract of what searches for translations, and the search that PyTorch computes."""

from collections.abc import Callable, Sequence
from typing import Protocol

from nmt.core.device import Precision, autocast
from nmt.data.batching import Ids
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.hypotheses import Hypothesis
from nmt.decoding.processors import LogitsProcessor
from nmt.decoding.search import BatchSearch, search_all, search_batch
from nmt.decoding.shortlist import Candidates
from nmt.models.contracts import Model
from nmt.recipe.schema import DecodingOptions


def _ignore(sentences: int) -> None: ...


class Searcher(Protocol):
    """Finds hypotheses for encoded sentences.

    A translator, validation and a server search by such an object alone, whatever runs the model.
    """

    is_stepwise: bool
    """Whether logits processors can follow the search step by step at no extra cost."""

    def __call__(
        self,
        sources: Sequence[Ids],
        options: DecodingOptions,
        on_progress: Callable[[int], None] = _ignore,
        *,
        processors: Sequence[LogitsProcessor] = (),
        constraints: Sequence[LexicalConstraints] | None = None,
        numbers: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Searches; the arguments are those of :func:`nmt.decoding.search.search_all`.

        Returns:
            For each sentence its hypotheses, best first.

        Raises:
            UserError: the options don't fit the model or the constraints.
        """


class ModelSearcher:
    """Searches with a model in PyTorch.

    Args:
        model: in eval mode while it searches.
        vocabularies: those of the model.
        search: searches a batch, see :meth:`nmt.tasks.base.Task.search`.
        precision: of the matrix products.
        make_shortlist: returns the candidates of a shortlist of a size; without it, ``shortlist`` has no effect.
    """

    is_stepwise = True

    def __init__(
        self,
        model: Model,
        vocabularies: Vocabularies,
        search: BatchSearch = search_batch,
        precision: Precision = "fp32",
        make_shortlist: Callable[[int], Candidates] | None = None,
    ) -> None:
        self._model, self._vocabularies, self._search = model, vocabularies, search
        self._precision, self._make_shortlist = precision, make_shortlist

    def __call__(
        self,
        sources: Sequence[Ids],
        options: DecodingOptions,
        on_progress: Callable[[int], None] = _ignore,
        *,
        processors: Sequence[LogitsProcessor] = (),
        constraints: Sequence[LexicalConstraints] | None = None,
        numbers: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        candidates = self._make_shortlist(options.shortlist) if options.shortlist and self._make_shortlist else None
        with autocast(self._model.device, self._precision):
            return search_all(
                self._model,
                sources,
                self._vocabularies,
                options,
                on_progress,
                processors=processors,
                constraints=constraints,
                numbers=numbers,
                candidates=candidates,
                search=self._search,
            )
