"""Collects forced-decoding scores and attention of the best hypotheses during beam search.

B counts the sentences of a batch, K their hypotheses, T the tokens of a translation with EOS.
"""

from collections import defaultdict
from collections.abc import Sequence
from math import inf, isnan, nan
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nmt.alignment.aligner import Known
from nmt.decoding.forced import ForcedScore
from nmt.decoding.hypotheses import BeamStep
from nmt.decoding.processors import LogitsProcessor
from nmt.models.contracts import select_heads
from nmt.recipe.schema import DecodingOptions
from nmt.translation.request import Request
from nmt.translation.translator import Translator

Arrays = tuple[npt.NDArray[Any], ...]


class SearchTrace:
    """Observer of a plain beam search, without logits processors and constraints.

    Attributes:
        found: for each sentence, by its number, the ids of its best hypothesis without EOS, and what forced decoding of
            it gives: of the attention the mean of the heads, with the padding of the batch. None if it was cut.

    The margin of a token needs no maximum over the vocabulary: of the continuations of a hypothesis, all that are
    better than a chosen one are chosen, too, except for its end.
    """

    def __init__(self, eos: int, heads: Sequence[int]) -> None:
        self._eos, self._heads = eos, heads
        self._steps: defaultdict[int, list[tuple[Arrays, int]]] = defaultdict(list)
        """The open hypotheses of each step of a batch, and the row of the sentence there."""
        self._best: dict[int, tuple[float, int, int, float, float]] = {}
        """Score, number of steps before, hypothesis, log-probability and margin of the best finished hypothesis."""
        self.found: dict[int, Known] = {}

    def __call__(self, numbers: Sequence[int], step: BeamStep) -> None:
        choice, shape = step.choice, step.offset_BK.shape
        assert step.weights_NHS is not None
        end_BK = step.logits_LV[:, self._eos].view(shape) + step.offset_BK
        highest_BK = end_BK.scatter_reduce(1, choice.parent_BK, choice.open_BK, "amax")
        weights_BKS = select_heads(step.weights_NHS, self._heads).float().mean(1).view(*shape, -1)
        margin_BK = choice.open_BK - highest_BK.gather(1, choice.parent_BK)
        parts = choice.parent_BK, choice.token_BK, choice.open_BK, margin_BK, weights_BKS
        opened = tuple(part.cpu().numpy() for part in parts)
        score_B1, end_B1 = step.ending_score_BK.max(1, keepdim=True)
        parent_B1 = choice.ending_parent_BK.gather(1, end_B1)
        log_p_B1 = choice.ending_BK.gather(1, end_B1)
        margin_B1 = log_p_B1 - highest_BK.gather(1, parent_B1)
        margin_B1[choice.open_BK.amax(1).isneginf()] = nan  # nothing but EOS was possible
        ended = zip(*(each[:, 0].tolist() for each in (score_B1, parent_B1, log_p_B1, margin_B1)), strict=True)
        for row, (number, (score, *end), is_done) in enumerate(zip(numbers, ended, step.done_B.tolist(), strict=True)):
            if number not in self.found:
                steps = self._steps[number]
                steps.append((opened, row))
                if score > self._best.get(number, (-inf,))[0]:
                    self._best[number] = (score, len(steps) - 1, *end)
                if is_done:
                    self.found[number] = self._traced(number)

    def _traced(self, number: int) -> Known:
        """Follows the best hypothesis of a sentence back to its beginning."""
        steps = self._steps.pop(number)
        _, num_steps, k, log_p, margin = self._best.pop(number, (-inf, 0, 0, 0.0, nan))
        if isnan(margin):
            return None
        (*_, weights_BKS), b = steps[num_steps]
        ids, log_ps, margins, weights = list[int](), [log_p], [margin], [weights_BKS[b, k]]
        for (parent_BK, token_BK, log_p_BK, margin_BK, weights_BKS), b in reversed(steps[:num_steps]):
            ids.append(int(token_BK[b, k]))
            log_ps.append(log_p_BK[b, k])
            margins.append(margin_BK[b, k])
            k = parent_BK[b, k]
            weights.append(weights_BKS[b, k])
        logs = np.diff(np.array(log_ps[::-1], np.float32), prepend=np.float32(0))
        figures = logs, np.array(margins[::-1], np.float32), np.stack(weights[::-1])[None]
        log_p_T, margin_T, weights_HTS = map(torch.from_numpy, figures)
        return ids[::-1], ForcedScore(log_p_T, margin_T, weights_HTS)


def trace_of(
    translator: Translator, requests: Sequence[Request], options: DecodingOptions, processors: Sequence[LogitsProcessor]
) -> SearchTrace | None:
    """Returns an observer of a search whose figures are those of forced decoding; None for another search."""
    differences = (
        not (translator.has_own_searcher and translator.has_attention),
        options.beam_groups > 1 or options.prune is not None,
        options.shortlist,
        options.logits_processors,
        any(each.changes_scores for each in processors),
        any(request.prefix or request.must_contain for request in requests),
    )
    if any(differences):
        return None
    return SearchTrace(translator.vocabularies.target.eos, translator.aligner.heads.heads)
