"""What extensions compute from translations and one pass of forced decoding.

An extension derives a frozen dataclass from :class:`Examination` and attaches it by an entry point of the group
``nmt.components.examination``. Its fields are keyword arguments of
:meth:`nmt.translation.translator.Translator.stream`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nmt.alignment.links import Weights, WordAlignment
from nmt.recipe.registry import Table
from nmt.recipe.schema import DecodingOptions
from nmt.translation.loaded import LoadedModel
from nmt.translation.request import Request
from nmt.translation.results import Candidate, Translation

Examine = Callable[[Sequence[Translation]], Iterable[Translation]]
"""Returns translations with the requested fields."""


class Figures(NamedTuple):
    """Results of forced decoding of a translation."""

    alignment: WordAlignment
    posterior_TS: Weights
    """Probabilities of links between the T words of the translation and the S words of the source."""
    compared_TS: Weights
    """The weights that links are chosen by."""


@dataclass(frozen=True)
class Window:
    """Lines that were translated together, for a search that is to find other translations of some of them."""

    requests: Sequence[Request]
    numbers: Sequence[int]
    candidates: Sequence[Sequence[Candidate]]
    """Candidates of the first search, in the order in which equally good ones are preferred."""
    options: DecodingOptions
    search: Callable[[Sequence[Request], Sequence[int], DecodingOptions], list[list[Candidate]]]
    """Returns the candidates of requests with line numbers, under other options."""


class Examination(ABC):
    """Adds fields to translations, and may choose another candidate. Its dataclass fields are options of a run."""

    needs_scores = False
    """Whether the alignments need log-probabilities and margins."""
    needs_attention = False
    """Whether a model without attention is refused, and the posterior of links is needed."""
    chooses = False
    """Whether :meth:`chosen` needs all candidates of the beam."""

    @classmethod
    def merged(cls, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns the fields of a translation from those of its parts, or of several models in turn."""
        return {}

    def refuse(self, model: LoadedModel) -> None:  # noqa: B027 - most examinations need nothing
        """Refuses a model, before it searches.

        Raises:
            UserError: it lacks what the examination needs.
        """

    @abstractmethod
    def start(
        self, model: LoadedModel, translations: Sequence[Translation]
    ) -> Callable[[Translation, Figures | None], Mapping[str, Any]]:
        """Returns what gives each of the translations, in order, its fields; the figures are None without attention."""

    def chosen(
        self, model: LoadedModel, window: Window, translations: list[Translation], examine: Examine
    ) -> list[Translation]:
        """Returns the translations of a window, of which some may be others; ``examine`` adds their fields."""
        return translations


EXAMINATIONS: Table[Examination] = Table("examination", Examination, {})


def merged_fields(parts: Sequence[Translation]) -> dict[str, Any]:
    """Returns the fields of a translation that has several parts, or that several models made in turn."""
    of_parts = [part.fields for part in parts]
    kinds = EXAMINATIONS.values() if any(of_parts) else ()
    return {name: value for kind in kinds for name, value in kind.merged(of_parts).items()}
