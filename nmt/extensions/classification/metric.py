"""The mean F1 of labels."""

import numpy as np

from nmt.core.errors import UserError
from nmt.metrics.table import Accuracy, FloatArray, References, Texts


class MacroF1(Accuracy):
    """The mean over the labels of the reference of F1 = 2 TP / (2 TP + FP + FN), in per cent.

    Rare labels weigh as much as frequent ones.
    """

    name = "macro F1"

    def statistics(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> FloatArray:
        """2 TP of each label, how often it is predicted or in the reference, and in the reference. (N, 3 labels)"""
        if len(references) > 1:
            raise UserError("Macro F1 needs one reference: a label has one.", "Name one, or the metric accuracy.")
        found_N1, wanted_N1 = (np.char.strip(np.array(texts, str))[:, None] for texts in (hypotheses, references[0]))
        label_L = np.unique(wanted_N1)
        is_found_NL, is_wanted_NL = found_N1 == label_L, wanted_N1 == label_L
        return np.hstack([2.0 * (is_found_NL & is_wanted_NL), 1.0 * is_found_NL + is_wanted_NL, is_wanted_NL])

    def score_from(self, totals_F: FloatArray) -> float:
        right_L, total_L, wanted_L = np.split(totals_F, 3)
        return float(100 * (right_L[wanted_L > 0] / total_L[wanted_L > 0]).mean())
