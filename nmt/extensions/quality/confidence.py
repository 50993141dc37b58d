"""Confidence: the probability that a translation, or a word of it, is acceptable, by logistic regression.

A translation is acceptable if its sentence chrF against the reference reaches a limit, and a word if it is in the
longest common subsequence of words with the reference (the tags OK and BAD of the WMT tasks on quality estimation,
Specia et al. 2018, without shifts). The features are those of forced decoding and alignment, so that they cost one pass
over the translation. The weights are fitted on validation text by ``nmt calibrate``, which writes them into the model
directory as ``calibration.json``: the fields of :class:`Calibration`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from nmt.alignment.lexicon import Lexicon
from nmt.alignment.links import Weights, WordAlignment
from nmt.core.errors import UserError
from nmt.core.jsonlines import read_object
from nmt.core.output import write_output

FILE, MAX_BYTES = "calibration.json", 1 << 20
"""The file in a model directory, and its largest size."""
FEATURES = (
    "mean_log_probability", "mean_probability", "unlikely_words", "length", "length_ratio", "coverage", "entropy",
    "rare_words",
)  # fmt: skip
"""Mean of the log-probabilities of words and EOS, exp of it; share of words with a probability below :data:`UNLIKELY`;
logarithms of the number of source words and of the ratio of both numbers; mean coverage of source words by the
posterior of links, at most 1 each; mean entropy of the links of a target word; share of source words that the training
text has at most once, if there is a lexicon."""
AGREEMENT = "agreement"
"""Mean chrF of the translation against samples, if there are any: :mod:`nmt.extensions.quality.agreement`."""
WORD_FEATURES = ("log_odds", "neighbours", "mean", "link", "entropy", "rare_words")
"""Logarithm of the odds p/(1 − p) of the word's probability, of the geometric mean of those of the words before and
after it, and of that of all words; largest posterior of its links; their entropy; whether the source word of that link
occurs at most once in the training text."""
UNLIKELY = 0.2
LEAST = 1e-4
"""Probabilities of words that are nearer to 0 or 1 count as if they were at this distance."""
L2, NUM_STEPS = 1.0, 50
"""Strength of the penalty on the squared weights of standardised features; steps of the fit."""
NUM_BINS = 10


def features(
    alignment: WordAlignment, posterior_TS: Weights, lexicon: Lexicon | None, agreement: float | None = None
) -> dict[str, float] | None:
    """Returns the :data:`FEATURES` of a translation; None if it is empty, or too long for the model.

    Args:
        alignment: of source and translation, with scores.
        posterior_TS: of links between their words. [T_words, S_words]
        agreement: the feature :data:`AGREEMENT`, which is added unless this is None.
    """
    num_source, num_target = len(alignment.source), len(alignment.target)
    if alignment.score is None or not alignment.probabilities or not num_source:
        return None
    mean = alignment.score / (num_target + 1)
    known = np.zeros(0) if lexicon is None else lexicon.counts(alignment.source)
    values = (
        mean,
        exp(mean),
        sum(p < UNLIKELY for p in alignment.probabilities) / num_target,
        log(num_source),
        log(num_target / num_source),
        posterior_TS.sum(axis=0).clip(max=1.0).mean(),
        _entropy(posterior_TS).mean(),
        (known <= 1).sum() / num_source,
    )
    found = dict(zip(FEATURES, map(float, values), strict=True))
    return found if agreement is None else {**found, AGREEMENT: agreement}


def word_features(alignment: WordAlignment, posterior_TS: Weights, lexicon: Lexicon | None) -> list[dict[str, float]]:
    """Returns the :data:`WORD_FEATURES` of each word of a translation; none where :func:`features` are None."""
    if not alignment.probabilities or not alignment.source:
        return []
    logs_T = np.log(np.maximum(np.asarray(alignment.probabilities, np.float64), LEAST))
    padded_T = np.pad(logs_T, 1, mode="edge")
    known_S = np.full(len(alignment.source), 2) if lexicon is None else lexicon.counts(alignment.source)
    columns = (
        _log_odds(logs_T),
        _log_odds((padded_T[:-2] + padded_T[2:]) / 2),
        np.full(len(logs_T), _log_odds(logs_T.mean())),
        posterior_TS.max(axis=1),
        _entropy(posterior_TS),
        known_S[posterior_TS.argmax(axis=1)] <= 1,
    )
    rows = np.stack(columns, axis=1).astype(np.float64).tolist()
    return [dict(zip(WORD_FEATURES, row, strict=True)) for row in rows]


def _entropy(posterior_TS: Weights) -> npt.NDArray[np.float64]:
    """Returns the entropy of the links of each target word. [T_words]"""
    return np.asarray(-(posterior_TS * np.log(posterior_TS + 1e-9)).sum(axis=1), np.float64)


def _log_odds(log_p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    p = np.clip(np.exp(log_p), LEAST, 1 - LEAST)
    return np.asarray(np.log(p / (1 - p)), np.float64)


def acceptable_words(words: Sequence[str], reference: Sequence[str]) -> list[bool]:
    """Returns for each word whether it is in the longest common subsequence with the reference.

    Of several subsequences of that length, the one whose words end first is taken.
    """
    is_equal_WR = np.array(words, object)[:, None] == np.array(reference, object)
    length_WR = np.zeros((len(words) + 1, len(reference) + 1), np.int64)  # for the first words of both
    for w in range(len(words)):
        longest_R = np.maximum(length_WR[w, 1:], length_WR[w, :-1] + is_equal_WR[w])
        length_WR[w + 1, 1:] = np.maximum.accumulate(longest_R)
    matched, (w, r) = [False] * len(words), (len(words), len(reference))
    while length_WR[w, r]:
        if length_WR[w - 1, r] == length_WR[w, r]:
            w -= 1
        elif length_WR[w, r - 1] == length_WR[w, r]:
            r -= 1
        else:
            w, r = w - 1, r - 1
            matched[w] = True
    return matched


class Regression(BaseModel):
    """A logistic regression from features to the probability that something is acceptable."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    weights: dict[str, float]
    bias: float

    def probability(self, values: dict[str, float]) -> float:
        """Returns the probability for these features."""
        logit = self.bias + sum(weight * values[name] for name, weight in self.weights.items())
        return 1 / (1 + exp(-max(min(logit, 50.0), -50.0)))

    @classmethod
    def fit(cls, rows: Sequence[dict[str, float]], acceptable: Sequence[bool], **others: Any) -> Self:
        """Fits the weights by maximum likelihood with an L2 penalty, in Newton's steps.

        Args:
            rows: the features of each example.
            others: further fields of a derived class.
        """
        label_N, names = np.array(acceptable, np.float64), list(rows[0])
        x_NF = np.array([[row[name] for name in names] for row in rows])
        mean_F, scale_F = x_NF.mean(0), x_NF.std(0, ddof=1).clip(min=1e-6)
        x_NF = np.column_stack(((x_NF - mean_F) / scale_F, np.ones(len(rows))))  # the last weight is the bias
        weight_F, penalty_F = np.zeros(len(names) + 1), np.append(np.full(len(names), L2), 0.0)
        for _ in range(NUM_STEPS):
            p_N = 1 / (1 + np.exp(-(x_NF @ weight_F).clip(-50, 50)))
            hessian_FF = (x_NF * (p_N * (1 - p_N))[:, None]).T @ x_NF + np.diag(penalty_F + 1e-9)
            step_F = np.linalg.solve(hessian_FF, x_NF.T @ (label_N - p_N) - penalty_F * weight_F)
            weight_F += step_F * min(1.0, 2 / np.abs(step_F).max(initial=1e-9))
        raw_F = weight_F[:-1] / scale_F
        weights, bias = dict(zip(names, raw_F.tolist(), strict=True)), float(weight_F[-1] - raw_F @ mean_F)
        return cls(weights=weights, bias=bias, **others)


class Calibration(Regression):
    """The regression for a whole translation, and that for its words; the content of ``calibration.json``."""

    min_chrf: float
    """From which a translation is acceptable."""
    words: Regression | None = None
    """Where there are both acceptable words and others."""
    samples: int = Field(0, ge=0, le=100)
    """That each translation is compared with."""

    def confidences(
        self, alignment: WordAlignment, posterior_TS: Weights, lexicon: Lexicon | None, agreement: float | None = None
    ) -> dict[str, Any]:
        """Returns the fields of a translation: its confidence, 0 if it lacks a feature, and that of its words."""
        values = features(alignment, posterior_TS, lexicon, agreement) or {}
        has_all = bool(values) and self.weights.keys() <= values.keys()
        fields: dict[str, Any] = {"confidence": self.probability(values) if has_all else 0.0}
        if self.words is not None:
            rows = word_features(alignment, posterior_TS, lexicon)
            fields["word_confidences"] = [self.words.probability(row) for row in rows]
        return fields

    def save(self, path: Path) -> None:
        """Writes ``calibration.json``."""
        write_output(path, self.model_dump_json(indent=1, exclude_none=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a file of :meth:`save`.

        Raises:
            UserError: there is no such file, or it is damaged.
        """
        remedy = "Write it by `nmt calibrate MODEL_DIR SOURCE TARGET` with validation text."
        if not path.is_file():
            raise UserError(f"{path.parent} has no {path.name}, which confidence needs.", remedy)
        try:
            calibration = cls.model_validate(read_object(path))
            known = (*FEATURES, AGREEMENT) if calibration.samples else FEATURES
            of_words = {} if calibration.words is None else calibration.words.weights
            if not calibration.weights.keys() <= set(known) or not of_words.keys() <= set(WORD_FEATURES):
                raise ValueError("unknown features")
        except (OSError, ValueError):
            raise UserError(f"{path} is damaged.", remedy) from None
        return calibration


@dataclass(frozen=True)
class Bin:
    """The translations, or words, whose confidence is in one interval."""

    count: int
    confidence: float
    """Their mean confidence."""
    acceptable: float
    """The share of them that is acceptable."""


def reliability(confidences: Sequence[float], acceptable: Sequence[bool]) -> tuple[float, list[Bin]]:
    """Returns the expected calibration error (Naeini et al. 2015) and the bins, of equal width, that aren't empty.

    The error is the mean distance of confidence and share of acceptable translations, weighted by the bins' counts.
    """
    p_N, is_good_N = np.asarray(confidences, np.float64), np.asarray(acceptable, np.float64)
    bin_N = np.minimum((p_N * NUM_BINS).astype(int), NUM_BINS - 1)
    sums = zip(*(np.bincount(bin_N, each, NUM_BINS).tolist() for each in (None, p_N, is_good_N)), strict=True)
    found = [Bin(int(n), p / n, good / n) for n, p, good in sums if n]
    return sum(each.count * abs(each.confidence - each.acceptable) for each in found) / max(len(p_N), 1), found


def area_under_curve(confidences: Sequence[float], acceptable: Sequence[bool]) -> float:
    """Returns the area under the ROC curve: the probability that an acceptable one has a higher value than another one.

    Pairs of equal values count one half, as in the Mann-Whitney statistic.

    Args:
        acceptable: at least one is, and one isn't.
    """
    value_N, is_good_N = np.asarray(confidences, np.float64), np.asarray(acceptable, bool)
    others = np.sort(value_N[~is_good_N])
    below, not_above = (np.searchsorted(others, value_N[is_good_N], side).mean() for side in ("left", "right"))
    return float((below + not_above) / (2 * len(others)))
