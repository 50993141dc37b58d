"""Confidence: the probability that a translation is acceptable, by logistic regression on a few features.

A translation is acceptable if its sentence chrF against the reference reaches a limit. The features are those of forced
decoding and alignment, so that they cost one pass over the translation. The weights are fitted on validation text by
``nmt calibrate``, which writes them into the model directory as ``calibration.json``:

    min_chrf   float              limit from which a translation is acceptable
    weights    dict[str, float]   weight of each feature
    bias       float              constant of the regression
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import exp, isfinite, log
from pathlib import Path
from typing import Self

import numpy as np
import torch

from nmt.alignment.lexicon import Lexicon
from nmt.alignment.links import Weights, WordAlignment
from nmt.core.errors import UserError
from nmt.core.jsonlines import read_object
from nmt.core.output import open_output

FEATURES = (
    "mean_log_probability", "mean_probability", "unlikely_words", "length", "length_ratio", "coverage", "entropy",
    "rare_words",
)  # fmt: skip
"""Mean of the log-probabilities of words, exp of it; share of words with a probability below :data:`UNLIKELY`;
logarithms of the number of source words and of the ratio of both numbers; mean coverage of source words by the
posterior of links, at most 1 each; mean entropy of the links of a target word; share of source words that the training
text has at most once, if there is a lexicon."""
UNLIKELY = 0.2
L2 = 1.0
"""Strength of the penalty on the squared weights of standardised features."""
NUM_BINS = 10


def features(alignment: WordAlignment, posterior_TS: Weights, lexicon: Lexicon | None) -> dict[str, float] | None:
    """Returns the :data:`FEATURES` of a translation; None if it is empty, or too long for the model.

    Args:
        alignment: of source and translation, with scores.
        posterior_TS: of links between their words. [T_words, S_words]
    """
    num_source, num_target = len(alignment.source), len(alignment.target)
    if alignment.score is None or not alignment.probabilities or not num_source:
        return None
    mean = alignment.score / (num_target + 1)
    entropy_T = -(posterior_TS * np.log(posterior_TS + 1e-9)).sum(axis=1)
    known = np.zeros(0) if lexicon is None else lexicon.counts(alignment.source)
    values = (
        mean,
        exp(mean),
        sum(p < UNLIKELY for p in alignment.probabilities) / num_target,
        log(num_source),
        log(num_target / num_source),
        posterior_TS.sum(axis=0).clip(max=1.0).mean(),
        entropy_T.mean(),
        (known <= 1).sum() / num_source,
    )
    return dict(zip(FEATURES, map(float, values), strict=True))


@dataclass(frozen=True)
class Calibration:
    """A logistic regression from the features of a translation to the probability that it is acceptable."""

    min_chrf: float
    weights: dict[str, float]
    bias: float

    def probability(self, values: dict[str, float] | None) -> float:
        """Returns the probability that a translation with these features is acceptable; 0 without features."""
        if values is None:
            return 0.0
        logit = self.bias + sum(weight * values[name] for name, weight in self.weights.items())
        return 1 / (1 + exp(-max(min(logit, 50.0), -50.0)))

    @classmethod
    def fit(cls, rows: Sequence[dict[str, float]], scores: Sequence[float], min_chrf: float) -> Self:
        """Fits the weights by maximum likelihood with an L2 penalty.

        Args:
            scores: sentence chrF of each.
            min_chrf: limit from which a translation is acceptable.

        Raises:
            UserError: all of them are acceptable, or none is.
        """
        label_N = torch.tensor([score >= min_chrf for score in scores], dtype=torch.float64)
        if len(rows) < 2 or label_N.min() == label_N.max():
            raise UserError(
                f"Of {len(rows):,} translations {int(label_N.sum()):,} have a chrF of at least {min_chrf:g}: both "
                "acceptable and other ones are needed.",
                "Give more validation text, or another --min-chrf.",
            )
        names = list(rows[0])
        x_NF = torch.tensor([[row[name] for name in names] for row in rows], dtype=torch.float64)
        mean_F, scale_F = x_NF.mean(0), x_NF.std(0).clamp(min=1e-6)
        x_NF = (x_NF - mean_F) / scale_F
        weight_F, bias = torch.zeros(len(names), dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        parameters = [weight_F.requires_grad_(), bias.requires_grad_()]
        optimizer = torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            logit_N = x_NF @ weight_F + bias
            total = torch.nn.functional.binary_cross_entropy_with_logits(logit_N, label_N, reduction="sum")
            total = total + L2 / 2 * weight_F.square().sum()
            total.backward()  # type: ignore[no-untyped-call]
            return total

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        raw_F = (weight_F / scale_F).detach()
        return cls(min_chrf, dict(zip(names, raw_F.tolist(), strict=True)), float(bias.detach() - raw_F @ mean_F))

    def save(self, path: Path) -> None:
        """Writes ``calibration.json``."""
        with open_output(path) as file:
            file.write(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what :meth:`save` wrote.

        Raises:
            UserError: there is no such file, or it is damaged.
        """
        remedy = "Write it by `nmt calibrate MODEL_DIR SOURCE TARGET` with validation text."
        if not path.is_file():
            raise UserError(f"{path.parent} has no {path.name}, which confidence needs.", remedy)
        try:
            values = read_object(path)
            weights = {str(name): float(weight) for name, weight in values["weights"].items()}
            found = cls(float(values["min_chrf"]), weights, float(values["bias"]))
            if not weights.keys() <= set(FEATURES) or not all(map(isfinite, [found.bias, *weights.values()])):
                raise ValueError
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise UserError(f"{path} is damaged.", remedy) from None
        return found


@dataclass(frozen=True)
class Bin:
    """The translations whose confidence is in one interval."""

    count: int
    confidence: float
    """Their mean confidence."""
    acceptable: float
    """The share of them that is acceptable."""


def reliability(confidences: Sequence[float], acceptable: Sequence[bool]) -> tuple[float, list[Bin]]:
    """Returns the expected calibration error (Naeini et al. 2015) and the bins, of equal width, that aren't empty.

    The error is the mean distance of confidence and share of acceptable translations, weighted by the bins' counts.
    """

    def bins() -> Iterator[Bin]:
        for number in range(NUM_BINS):
            rows = [i for i, p in enumerate(confidences) if min(int(p * NUM_BINS), NUM_BINS - 1) == number]
            if rows:
                n = len(rows)
                yield Bin(n, sum(confidences[i] for i in rows) / n, sum(acceptable[i] for i in rows) / n)

    found = list(bins())
    total = max(sum(each.count for each in found), 1)
    return sum(each.count * abs(each.confidence - each.acceptable) for each in found) / total, found
