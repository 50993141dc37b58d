"""The log-probability of a source given its translation, by a model of the other direction."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from nmt.core.errors import UserError
from nmt.translation.load import load
from nmt.translation.loaded import LoadedModel
from nmt.translation.results import ScoredPair
from nmt.translation.scoring import scores


class ReverseModel:
    """Scores sources as translations of their translations.

    A model with tags gets the only one that it has, or, of two, the one that the source doesn't begin with.

    Args:
        forward: the model that translates.
        backward: a model of the other direction, which may be the same one if tags choose the language.

    Raises:
        UserError: one of the models is for dialogues.
    """

    def __init__(self, forward: LoadedModel, backward: LoadedModel) -> None:
        for each in (forward, backward):
            each.task.require("reverse alignment")
        self._forward, self._backward, self._known = forward, backward, backward.vocabularies.source.tags

    @classmethod
    def load(cls, forward: LoadedModel, path: Path) -> Self:
        """Reads the model of the other direction, unless it is the same one.

        Raises:
            UserError: it can't be read.
        """
        if path.resolve() == Path(forward.directory or ".").resolve():
            return cls(forward, forward)
        return cls(forward, load(path, str(forward.model.device), forward.precision))

    def score(self, sources: Sequence[str], translations: Sequence[str]) -> Iterator[ScoredPair | None]:
        """Returns each source with its log-probability; None if it or the translation is empty or too long.

        Raises:
            UserError: the model has more than two tags, and it isn't known which one to use.
        """
        model = self._backward
        pairs = [self._reversed(source, text) for source, text in zip(sources, translations, strict=True)]
        sizes = [(len(model.encode_source(source)), len(model.encode_target(target))) for source, target in pairs]
        fits = [min(size) > 0 and max(size) <= model.max_pieces for size in sizes]
        scored = scores(model, (pair for pair, fit in zip(pairs, fits, strict=True) if fit), model.options())
        for fit in fits:
            yield next(scored) if fit else None

    def _reversed(self, source: str, translation: str) -> tuple[str, str]:
        if not translation.strip():
            return "", ""
        plain = source[self._forward.vocabularies.source.after_tags(source) :].strip()
        tag = self._choose_tag(source)
        return f"{tag} {translation}" if tag else translation, plain

    def _choose_tag(self, source: str) -> str:
        others = [tag for tag in self._known if len(self._known) == 1 or not source.startswith(tag)]
        if len(others) > 1:
            known = ", ".join(sorted(self._known))
            raise UserError(
                f"It isn't known which tag of {self._backward.directory} stands for the source language: {known}.",
                "Use a model of two languages.",
            )
        return next(iter(others), "")
