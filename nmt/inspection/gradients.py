"""Gradient norms at the source words of a trained model, by distance; see :mod:`nmt.training.validation`."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.core.errors import UserError
from nmt.training.validation import MIN_SENTENCES, norms_by_distance
from nmt.translation.translator import Translator


@dataclass(frozen=True)
class GradientNorms:
    """Mean gradient norm by distance from the last source word read, 0 for that word itself."""

    name: str
    mean_T: npt.NDArray[np.float64]

    @property
    def decay(self) -> float:
        """The mean norm at the farthest distance shown, as a share of that at the nearest."""
        return float(self.mean_T[-1] / self.mean_T[0])


def gradient_norms(translator: Translator, pairs: Iterable[tuple[str, str]], name: str) -> GradientNorms:
    """Measure a model on sentence pairs; empty and over-long ones are passed over. ``name``: for tables and pictures.

    Raises:
        UserError: there are too few usable pairs.
    """
    translator.task.require("gradients")
    encoded = ((translator.encode_source(source), translator.encode_target(target)) for source, target in pairs)
    usable = [
        (source, target) for source, target in encoded if source and target and len(source) < translator.max_pieces
    ]
    mean_T = norms_by_distance(translator.model, usable, translator.vocabularies)
    if not len(mean_T):
        raise UserError(f"{len(usable)} sentence pairs are too few for means.", f"Give {MIN_SENTENCES} or more.")
    return GradientNorms(name, mean_T)
