"""The log-probability of a source given its translation, by a model of the other direction."""

from collections.abc import Iterable, Iterator, Sequence
from os.path import relpath
from pathlib import Path
from typing import Self

from nmt.core.errors import UserError
from nmt.translation.load import load
from nmt.translation.loaded import LoadedModel
from nmt.translation.results import ScoredPair
from nmt.translation.scoring import scores


class ReverseModel:
    """Scores sources as translations of their translations.

    Args:
        forward: the model that translates.
        backward: a model of the other direction, which may be the same one if tags choose the language.
        tag: begins each line that the model of the other direction reads; None chooses it: no tag for a model without
            tags, the only one, or, of two, the one that the source doesn't begin with.

    Raises:
        UserError: one of the models is for dialogues, or the other direction doesn't have this tag.
    """

    def __init__(self, forward: LoadedModel, backward: LoadedModel, tag: str | None = None) -> None:
        for each in (forward, backward):
            each.task.require("reverse alignment")
        self._forward, self._backward, self.tag = forward, backward, tag
        self._known = backward.vocabularies.source.tags
        if tag is not None and tag not in self._known:
            raise UserError(
                f"The model {backward.directory} doesn't have the tag {tag}.",
                f"Give one of {', '.join(sorted(self._known))}." if self._known else "Leave out the tag.",
            )

    @classmethod
    def load(cls, forward: LoadedModel, path: str | Path, tag: str | None = None) -> Self:
        """Reads the model of the other direction, unless it is the same one.

        Args:
            path: its directory; a relative one is looked for from the directory of ``forward``.

        Raises:
            UserError: it can't be read.
        """
        here = Path(forward.directory or ".")
        if (here / path).resolve() == here.resolve():
            return cls(forward, forward, tag)
        return cls(forward, load(here / path, str(forward.model.device), forward.precision), tag)

    @property
    def path(self) -> str:
        """The directory of the other model, from that of the model that translates."""
        here, there = (Path(each.directory or ".").resolve() for each in (self._forward, self._backward))
        return relpath(there, here)

    def scores(self, sources: Sequence[str], translations: Sequence[str]) -> Iterator[float | None]:
        """Returns the mean log-probability of the tokens of each source; None where :meth:`score` has none."""
        for found in self.score(sources, translations):
            if found is None or found.log_probability is None:
                yield None
            else:
                yield found.log_probability / len(found.tokens)

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
        tag = self.tag if self.tag is not None else self._choose_tag(source)
        return f"{tag} {translation}" if tag else translation, plain

    def _choose_tag(self, source: str) -> str:
        if len(self._known) < 2:
            return next(iter(self._known), "")
        others = [tag for tag in self._known if not source.startswith(tag)]
        if len(self._known) == 2 and len(others) == 1:
            return others[0]
        raise UserError(
            f"The model {self._backward.directory} has the tags {', '.join(sorted(self._known))}: which one chooses "
            "the language of the sources isn't known.",
            "Give it with --reverse-tag.",
        )


def reverse_scores(
    reverse: ReverseModel | None, sources: Sequence[str], translations: Sequence[str]
) -> Iterable[float | None]:
    """Returns :meth:`ReverseModel.scores`, or None for each source if there is no model."""
    return [None] * len(sources) if reverse is None else reverse.scores(sources, translations)
