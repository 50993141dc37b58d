"""Noisy-channel reranking of n-best lists (Yee et al. 2019; Ng et al. 2019).

Of the candidates y of a source sentence x, the best has the highest

    log p(y|x) + λ_channel log p(x|y) + λ_lm log p(y) + λ_word |y|

where a model of the same direction, a channel model of the other direction and a language model of the target give the
three probabilities by forced decoding, and |y| is the number of words, or of characters of scripts without spaces.

C counts the candidates of a sentence, and F = 4 the features in the order of the formula.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.core.errors import UserError
from nmt.core.jsonlines import parse_object
from nmt.core.text import MAX_RECORD_BYTES, WORD, read_lines
from nmt.metrics.table import METRICS
from nmt.translation.load import load
from nmt.translation.results import ScoredPair
from nmt.translation.scoring import scores
from nmt.translation.translator import Translator

Features = npt.NDArray[np.float64]
GRID = ((0.0, 0.25, 0.5, 1.0), (0.0, 0.1, 0.2, 0.3, 0.5, 0.8), (0.0, 0.5, 1.0, 2.0))
"""Values of each weight that :func:`tune` tries."""


class Candidates(NamedTuple):
    """Translations of one sentence."""

    source: str
    texts: tuple[str, ...]


class Weights(NamedTuple):
    """The λ of the formula."""

    channel: float
    language_model: float
    word: float


def read_candidates(path: str) -> Iterator[Candidates]:
    """Lines that ``nmt translate --n-best N --format jsonl`` wrote.

    Raises:
        UserError: a line is not such an object.
    """
    for number, line in enumerate(read_lines(path, max_bytes=MAX_RECORD_BYTES), start=1):
        try:
            values = parse_object(line)
            source, texts = values["source"], tuple(candidate["translation"] for candidate in values["n_best"])
            if not all(isinstance(text, str) for text in (source, *texts)):
                raise TypeError
            yield Candidates(source, texts or ("",))
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f'{path}, line {number}: not a JSON object with "source" and "n_best".',
                "Write the file by `nmt translate MODEL_DIR --n-best 10 --format jsonl`.",
            ) from None


def features(
    candidates: Sequence[Candidates],
    direct: Translator,
    channel: Translator | None,
    language_model: Translator | None,
    counted: Callable[[Iterable[ScoredPair | None]], Iterable[ScoredPair | None]] = iter,
) -> list[Features]:
    """The features of each sentence's candidates [C, F]; those of a model that is None are 0.

    A candidate that is too long for a model has -inf. ``counted`` shows the progress of each model's candidates.
    """
    sources = [each.source for each in candidates for _ in each.texts]
    texts = [text for each in candidates for text in each.texts]

    def log_p(scored: Iterable[ScoredPair | None] | None) -> list[float]:
        if scored is None:
            return [0.0] * len(texts)
        found = (None if pair is None else pair.log_probability for pair in counted(scored))
        return [-np.inf if log_probability is None else log_probability for log_probability in found]

    columns = (
        log_p(direct.score(zip(sources, texts, strict=True))),
        log_p(None if channel is None else reverse_scores(direct, channel, sources, texts)),
        log_p(None if language_model is None else language_model.score((text, text) for text in texts)),
        [float(len(WORD.findall(text))) for text in texts],
    )
    ends = np.cumsum([len(each.texts) for each in candidates])[:-1]
    return np.split(np.array(columns).T, ends) if candidates else []


def rerank(candidates: Sequence[Candidates], found: Sequence[Features], weights: Weights) -> list[str]:
    """The best candidate of each sentence; the first of equally good ones."""
    lambda_F = np.array([1.0, *weights])
    texts = []
    for each, features_CF in zip(candidates, found, strict=True):
        # Where a weight is 0, a probability of 0 doesn't count.
        scores_C = np.where(lambda_F, features_CF, 0.0) @ lambda_F
        texts.append(each.texts[int(scores_C.argmax())])
    return texts


def tune(candidates: Sequence[Candidates], found: Sequence[Features], references: Sequence[str]) -> Weights:
    """The weights of :data:`GRID` with the highest BLEU; the smallest of equally good ones.

    Raises:
        UserError: there are not as many references as sentences.
    """
    if not candidates:
        raise UserError("There are no sentences to tune on.", "Name n-best lists of validation text.")
    if len(references) != len(candidates):
        raise UserError(
            f"{len(candidates):,} sentences with candidates, but {len(references):,} references.",
            "Give a reference for each line.",
        )
    bleu, sources = METRICS["bleu"](), [each.source for each in candidates]
    uses = [any(features_CF[:, column].any() for features_CF in found) for column in (1, 2, 3)]
    grid = product(*(values if used else (0.0,) for values, used in zip(GRID, uses, strict=True)))
    return max(
        (Weights(*values) for values in grid),
        key=lambda weights: bleu.corpus_score(rerank(candidates, found, weights), [references], sources).score,
    )


def load_reverse(forward: Translator, path: Path) -> Translator:
    """Reads the model of the other direction, unless it is the same one.

    Raises:
        UserError: it can't be read, or one of the models is for dialogues.
    """
    is_same = path.resolve() == Path(forward.directory or ".").resolve()
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
