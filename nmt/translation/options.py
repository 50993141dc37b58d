"""Options of a translation: one object from the command line, a program or a request to the beam."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

from nmt.translation.examination import EXAMINATIONS, Examination
from nmt.translation.request import UNCONSTRAINED, OutputConstraints


@dataclass(frozen=True)
class TranslationOptions:
    """Options that all lines of a run have in common."""

    n_best: int = 1
    """Candidates of each line, at most the beam size."""
    with_alignment: bool | Literal["punctuation"] = False
    """Align each line with its translation, where the model has attention. Words are those that white space separates
    or, with ``"punctuation"``, words and punctuation marks."""
    constraints: OutputConstraints = UNCONSTRAINED
    """Phrases that no translation may contain, and how unknown words are replaced."""
    examinations: tuple[Examination, ...] = ()
    """Computations of extensions on each translation."""
    decoding: Mapping[str, Any] = field(default_factory=dict)
    """Keys of :class:`nmt.recipe.schema.DecodingOptions` that take the place of those of the recipe; None changes
    nothing."""

    def changed(self, **keywords: Any) -> Self:
        """Returns the options with other values.

        Args:
            keywords: names of fields of this class, of fields of an examination, such as ``check``, and of keys of
                ``DecodingOptions``, whose names and values are checked where they are used.
        """
        own = {name: keywords.pop(name) for name in _OWN & keywords.keys()}
        examinations = {type(each): each for each in own.get("examinations", self.examinations)}
        for kind in EXAMINATIONS.values() if keywords else ():
            names = {each.name for each in fields(kind)} & keywords.keys()  # type: ignore[arg-type]
            if names:
                chosen = replace(examinations.get(kind, kind()), **{name: keywords.pop(name) for name in names})
                examinations[kind] = chosen
        requested = tuple(each for kind, each in examinations.items() if each != kind())
        return replace(self, **{**own, "examinations": requested, "decoding": {**self.decoding, **keywords}})


DEFAULTS = TranslationOptions()
_OWN = {each.name for each in fields(TranslationOptions)} - {"decoding"}
