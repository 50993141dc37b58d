"""Diverse beam search (Vijayakumar et al. 2018)."""

from dataclasses import fields
from math import inf

import torch
from torch import Tensor

from nmt.decoding.beam import divide, top_continuations
from nmt.decoding.hypotheses import Choice
from nmt.recipe.schema import DecodingOptions


def choose_by_groups(
    logits_BKV: Tensor, offset_BK: Tensor, penalty_BK: Tensor, tokens_BKt: Tensor, eos: int, options: DecodingOptions
) -> tuple[Choice, Tensor]:
    """Chooses the continuations of each group, k of the K hypotheses, by their log-probabilities less their penalties.

    A token costs ``diversity`` for each time that a group before has chosen it at this step, and hypotheses keep their
    penalties, as in algorithm 1 of Vijayakumar et al. 2018, where the log-probabilities themselves are changed. Scores
    are computed without them. Returns the choice, and the penalties of the hypotheses that are continued. [B, K]
    """
    size = options.beam_size // options.beam_groups
    times_chosen_BV = torch.zeros_like(logits_BKV[:, 0])
    choices, penalties = [], []
    for start in range(0, options.beam_size, size):
        group = slice(start, start + size)
        penalty_BkV = penalty_BK[:, group, None] + options.diversity * times_chosen_BV[:, None]
        penalised_BkV = logits_BKV[:, group] - penalty_BkV
        best_BC, parent_BC, token_BC = top_continuations(penalised_BkV.flatten(0, 1), offset_BK[:, group], 2 * size)
        times_chosen_BV.scatter_add_(1, token_BC[:, :size], (best_BC[:, :size] > -inf).to(times_chosen_BV))
        place_BC = parent_BC * logits_BKV.shape[2] + token_BC
        log_p_BC = logits_BKV[:, group].flatten(1).gather(1, place_BC) + offset_BK[:, group].gather(1, parent_BC)
        log_p_BC = log_p_BC.masked_fill(best_BC.isneginf(), -inf)
        choice, kept_Bk = divide(best_BC, log_p_BC, parent_BC + start, token_BC, eos)
        choices.append(choice)
        penalties.append(penalty_BkV.flatten(1).gather(1, place_BC).gather(1, kept_Bk))
    joined = Choice(*(torch.cat([getattr(choice, part.name) for choice in choices], dim=1) for part in fields(Choice)))
    # Several groups may end the same hypothesis, which counts once. E counts those that end.
    row_E, place_E = joined.ending_BK.isfinite().nonzero(as_tuple=True)
    ended_Et, first = tokens_BKt[row_E, joined.ending_parent_BK[row_E, place_E]], dict[tuple[int, ...], int]()
    for row, place, tokens in zip(row_E.tolist(), place_E.tolist(), ended_Et.tolist(), strict=True):
        if first.setdefault((row, *tokens), place) != place:
            joined.ending_BK[row, place] = -inf
    return joined, torch.cat(penalties, dim=1)
