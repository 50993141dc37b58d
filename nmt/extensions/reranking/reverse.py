"""The log-probability of a source given its translation, by a model of the other direction."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from nmt.core.errors import UserError
from nmt.translation.load import load
from nmt.translation.results import ScoredPair
from nmt.translation.scoring import scores
from nmt.translation.translator import Translator


def load_reverse(forward: Translator, path: Path) -> Translator:
    """Reads the model of the other direction, unless it is the same one.

    Raises:
        UserError: it can't be read, or one of the models is for dialogues.
    """
    path = path.resolve()
    is_same = path == Path(forward.directory or ".").resolve()
    backward = forward if is_same else load(path, str(forward.model.device), forward.precision)
    for each in (forward, backward):
        each.task.require("reverse alignment")
    return backward


def reverse_scores(
    forward: Translator, backward: Translator, sources: Sequence[str], translations: Sequence[str]
) -> Iterator[ScoredPair | None]:
    """Scores sources as translations of their translations; None where one of both is empty or too long.

    A model with tags gets the only one that it has, or, of two, the one that the source doesn't begin with.

    Args:
        forward: the model that translates.
        backward: a model of the other direction, which may be the same one if tags choose the language.
        sources: sentences.
        translations: a translation of each.

    Raises:
        UserError: the model has more than two tags, and it isn't known which one to use.
    """
    pairs = [_reversed(forward, backward, *pair) for pair in zip(sources, translations, strict=True)]
    sizes = [(len(backward.encode_source(source)), len(backward.encode_target(target))) for source, target in pairs]
    fits = [min(size) > 0 and max(size) <= backward.max_pieces for size in sizes]
    scored = scores(backward, (pair for pair, fit in zip(pairs, fits, strict=True) if fit), backward.options())
    for fit in fits:
        yield next(scored) if fit else None


def _reversed(forward: Translator, backward: Translator, source: str, translation: str) -> tuple[str, str]:
    if not translation.strip():
        return "", ""
    tags = backward.vocabularies.source.tags
    others = [tag for tag in tags if len(tags) == 1 or not source.startswith(tag)]
    if len(others) > 1:
        raise UserError(
            f"It isn't known which tag of {backward.directory} stands for the source language: "
            f"{', '.join(sorted(tags))}.",
            "Use a model of two languages.",
        )
    plain = source[forward.vocabularies.source.after_tags(source) :].strip()
    return " ".join((*others, translation)), plain
