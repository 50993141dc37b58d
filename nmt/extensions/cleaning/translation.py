"""Filters that decide whether the sides of a pair translate each other."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import Field

from nmt.alignment.lexicon import Lexicon
from nmt.alignment.word_model import Ids, WordModel
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import UNSPACED
from nmt.data.vocabulary.words import MARKS
from nmt.extensions.cleaning.base import Features, Filter, FlaggedPairs, Floats
from nmt.extensions.cleaning.statistics import MIN_LINES, CorpusStatistics, Lines, Mask, median_and_deviation

MAX_LINKS = 10_000_000
"""Pairs of words that Model 1 is trained on; of larger corpora it reads every nth sentence pair."""
MAX_WORDS = 80

# Scripts without spaces between words are split into characters.
_WORD = re.compile(rf"[{UNSPACED}]|[\w{MARKS}]+|[^\w\s]")


class Alignment(Filter):
    """Pairs whose words explain each other far less than those of other pairs.

    The score is the mean pointwise mutual information of a word and the word of the other side that explains it best,
    by word translation probabilities: those of Model 1 in both directions, learned from the corpus itself, or the
    lexicon of a model. Text whose pairs score no higher than pairs drawn at random (answers) isn't judged.
    """

    class Options(Filter.Options):
        limit: float = Field(0.6, gt=0, lt=1, description="how far below the median a score is, as a fraction of it")
        model: Path | None = Field(None, description="model directory with the lexicon.tsv of nmt learn-alignment")

    problem = "have words that do not translate each other (misaligned, free translations)"
    remedy = "Drop them."
    warning, serious = 0.02, 0.1
    checks = False

    _score: Callable[[Sequence[list[str]], Sequence[list[str]], Mask], Floats] | None
    """Returns the scores of pairs of words, of which those that are counted were learned from; NaN without words."""

    def prepare(self, statistics: CorpusStatistics) -> None:
        self._stride, self._score = 1, None
        if self.options.model is not None:
            path = ModelDirectory(self.options.model).lexicon
            if not path.is_file():
                raise UserError(
                    f"{self.options.model} has no {path.name}.",
                    f"Run `nmt learn-alignment {self.options.model} SOURCE TARGET`.",
                )
            self._score = partial(_scores_by_lexicon, Lexicon.load(path))
        elif statistics.num_pairs >= MIN_LINES:
            words = [side.lines["units"].astype(np.float64) for side in statistics.sides]
            self._stride = int(np.ceil((words[0] * words[1]).sum() / MAX_LINKS)) or 1
            sample = islice(statistics.pairs.read(), 0, statistics.num_pairs, self._stride)
            in_words = [(_words(source or ""), _words(target or "")) for source, target in sample]
            if pairs := [pair for pair in in_words if all(pair)]:  # none of empty or of few, long lines
                self._score = _TwoWordModels(pairs)

    def read(self, start: int, lines: Lines) -> Features | None:
        """The scores of the pairs and, in the first batch, those of other pairs of its sentences."""
        if self._score is None:
            return None
        num_pairs = min(map(len, lines))
        source, target = ([_words(line) for line in side[:num_pairs]] for side in lines)
        features = np.full((2, num_pairs), np.nan, np.float32)
        features[0] = self._score(source, target, np.arange(start, start + num_pairs) % self._stride == 0)
        if start == 0 and self.options.model is None:
            features[1] = self._score(source, target[1:] + target[:1], np.zeros(num_pairs, bool))
        return features

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        if not len(self.features):
            return
        scores, at_random = self.features
        judged = ~np.isnan(scores)
        if judged.sum() < MIN_LINES:
            return
        median = float(np.median(scores[judged]))
        if median > 0 and (np.isnan(at_random).all() or median > np.nanpercentile(at_random, 95)):
            yield FlaggedPairs.above(1 - scores / median, self.options.limit)


def _words(line: str) -> list[str]:
    return _WORD.findall(line.lower())[:MAX_WORDS]


class _TwoWordModels:
    """The mean of the scores of both directions; words that occur once are unknown."""

    def __init__(self, pairs: Sequence[tuple[list[str], ...]]) -> None:
        sides = list(zip(*pairs, strict=True))
        counts = [Counter(word for words in side for word in words) for side in sides]
        self._ids = [{word: i for i, word in enumerate((w for w, n in c.items() if n > 1), start=1)} for c in counts]
        source, target = ([self._encode(side, words) for words in of_side] for side, of_side in enumerate(sides))
        self._forward = WordModel(source, target, len(self._ids[1]) + 1)
        self._backward = WordModel(target, source, len(self._ids[0]) + 1)

    def _encode(self, side: int, words: Sequence[str]) -> Ids:
        return np.array([self._ids[side].get(word, 0) for word in words], np.int64)

    def __call__(self, source: Sequence[list[str]], target: Sequence[list[str]], counted: Mask) -> Floats:
        scores = np.full(len(source), np.nan)
        if rows := [row for row in range(len(source)) if source[row] and target[row]]:
            s, t = ([self._encode(side, of_side[row]) for row in rows] for side, of_side in enumerate((source, target)))
            forward, backward = self._forward.scores(s, t, counted[rows]), self._backward.scores(t, s, counted[rows])
            scores[rows] = (forward + backward) / 2
        return scores


def _scores_by_lexicon(
    lexicon: Lexicon, source: Sequence[list[str]], target: Sequence[list[str]], counted: Mask
) -> Floats:
    scores = np.full(len(source), np.nan)
    for row, (words, others) in enumerate(zip(source, target, strict=True)):
        if words and others:
            # An unknown source word translates to each word as often as the word occurs.
            table = np.log(lexicon.probability([*words, "\0"], others))
            scores[row] = (table.max(axis=1) - table[:, -1]).mean()
    return scores


class CrossEntropy(Filter):
    """Pairs that two models find improbable, or one of them far more than the other (Junczys-Dowmunt 2018).

    With the cross-entropies H of a token by the models of both directions, the score of a pair is
    |H(y|x) − H(x|y)| + (H(y|x) + H(x|y)) / 2.
    """

    class Options(Filter.Options):
        forward: Path = Field(description="model directory from source to target")
        backward: Path = Field(description="model directory from target to source")
        limit: float = Field(2.5, ge=0, description="standard deviations above the median")
        device: str = Field("auto", description="auto, cpu, cuda, …")

    problem = "are improbable by the models of both directions"
    remedy = "Drop them."
    warning, serious = 0.02, 0.1
    removes = checks = False

    def prepare(self, statistics: CorpusStatistics) -> None:
        from nmt.translation.load import load

        self._models = [load(path, self.options.device) for path in (self.options.forward, self.options.backward)]
        directions = [(model.recipe.data.source, model.recipe.data.target) for model in self._models]
        if directions[0] != directions[1][::-1]:
            names = [" to ".join(direction) for direction in directions]
            raise UserError(
                f"cross-entropy: forward translates {names[0]}, and backward {names[1]}.",
                "Name two models of opposite directions.",
            )

    def read(self, start: int, lines: Lines) -> Features:
        pairs, entropies = list(zip(*lines, strict=False)), []
        for model, given in zip(self._models, (pairs, [pair[::-1] for pair in pairs]), strict=True):
            scores = [(scored.log_probability, len(scored.tokens)) for scored in model.score(given)]
            # Nats a token; NaN for a pair that is too long for the model.
            entropies.append(np.array([np.nan if p is None else -p / num_tokens for p, num_tokens in scores]))
        h, g = entropies
        return np.array([np.abs(h - g) + (h + g) / 2], np.float32)

    def flag(self, statistics: CorpusStatistics) -> Iterable[FlaggedPairs]:
        (scores,) = self.features
        judged = ~np.isnan(scores)
        if judged.any():
            median, deviation = median_and_deviation(scores[judged])
            yield FlaggedPairs.above((scores - median) / max(deviation, 1e-3), self.options.limit)
