"""Search with a model alone, as most tests of models want it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nmt.data.batch import Ids
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.hypotheses import Hypothesis
from nmt.decoding.search import ModelSearcher, Query
from nmt.models.contracts import Model
from nmt.recipe.schema import DecodingOptions


def search_all(
    model: Model,
    sources: Sequence[Ids],
    vocabularies: Vocabularies,
    options: DecodingOptions,
    candidates: Callable[[Sequence[Ids]], Iterable[int]] | None = None,
    **query: Any,
) -> list[list[Hypothesis]]:
    """The hypotheses of each sentence; ``candidates`` are those of a shortlist of any size."""
    if candidates is None:
        return ModelSearcher(model, vocabularies)(Query(sources, options, **query))
    from nmt.extensions.shortlist.search import ShortlistSearch

    searcher = ModelSearcher(model, vocabularies, make_shortlist=lambda size: ShortlistSearch(candidates))
    return searcher(Query(sources, options.model_copy(update={"shortlist": 1}), **query))
