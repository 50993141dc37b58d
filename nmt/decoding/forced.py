"""Forced decoding: the log-probability of each token of a given translation, and the attention on the way.

B pairs of a batch, H heads, S source tokens, T target tokens with EOS, V target vocabulary, D width of the features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

from nmt.data.batching import Ids, make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.parallel import map_by_length
from nmt.models.contracts import select_heads
from nmt.models.seq2seq import Seq2Seq

ROWS = 512
"""Tokens whose logits are in memory at a time where only margins are computed."""


@dataclass(frozen=True)
class ForcedScore:
    """Result of forced decoding of a sentence pair."""

    log_probability_T: Tensor
    """Natural log-probability of each target token given the source and the tokens before; EOS is the last. Empty where
    it was not requested."""
    margin_T: Tensor
    """Its difference to the log-probability of the likeliest token in that place; at most 0. Empty likewise."""
    weights_HTS: Tensor | None
    """Attention of the requested heads, EOS of both sides counted; None without heads."""
    source_diagnostics: dict[str, Tensor] = field(default_factory=dict)
    """Diagnostics as in :class:`nmt.models.contracts.DecoderOutput` for this pair, without EOS. [S]"""
    target_diagnostics: dict[str, Tensor] = field(default_factory=dict)


def force_all(
    model: Seq2Seq,
    pairs: Sequence[tuple[Ids, Ids]],
    vocabularies: Vocabularies,
    batch_size: int,
    heads: Sequence[int] = (),
    scores: bool = True,
    margins_only: bool = False,
) -> list[ForcedScore]:
    """Run any number of pairs through the model with the true previous token at each step.

    They are sorted by length, in batches, and come back in their own order.

    Args:
        model: in eval mode.
        pairs: ids of source and target, without SOS and EOS.
        heads: of the decoder's ``heads``, those whose attention is requested.
        scores: compute log-probabilities, which the attention of ``heads`` doesn't need.
        margins_only: compute the margins in place of the log-probabilities, in less time.
    """

    def log_p(features_TD: Tensor, target_T: Tensor) -> tuple[Tensor, Tensor]:
        # Pair by pair: log-probabilities of a whole batch over the vocabulary can take gigabytes.
        if not scores:
            return features_TD.new_empty(0), features_TD.new_empty(0)
        logits_TV: Tensor = model.decoder.output(features_TD)
        log_p_TV = logits_TV.float().log_softmax(-1)
        log_p_T = log_p_TV.gather(1, target_T[:, None]).squeeze(1)
        return log_p_T, log_p_T - log_p_TV.amax(-1)

    def force(rows: Sequence[int]) -> list[ForcedScore]:
        batch = make_batch([pairs[row] for row in rows], vocabularies).to(model.device)
        output = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, bool(heads))
        weights_BHTS = select_heads(output.weights_BHTS, heads) if heads else None
        found, lengths = [], [len(pairs[row][1]) + 1 for row in rows]
        sides = [(output.features_BTD[b, :end], batch.target_output_BT[b, :end]) for b, end in enumerate(lengths)]
        if scores and margins_only:
            of_pairs = [(output.features_BTD.new_empty(0), margin_T) for margin_T in _margins(model, sides, lengths)]
        else:
            of_pairs = [log_p(*side) for side in sides]
        for b, (source, target) in enumerate(pairs[row] for row in rows):
            with_eos = slice(len(target) + 1)
            found.append(
                ForcedScore(
                    *of_pairs[b],
                    None if weights_BHTS is None else weights_BHTS[b, :, with_eos, : len(source) + 1].float(),
                    {name: values[b, : len(source)] for name, values in output.source_diagnostics.items()},
                    {name: values[b, : len(target)] for name, values in output.diagnostics.items()},
                )
            )
        return found

    longer = [max(len(source), len(target)) for source, target in pairs]
    return map_by_length(force, longer, batch_size, model.device)


def _margins(model: Seq2Seq, sides: Sequence[tuple[Tensor, Tensor]], lengths: Sequence[int]) -> Sequence[Tensor]:
    """Returns the margins of the tokens of several pairs, given their features and ids."""
    features_ND, target_N = (torch.cat(side) for side in zip(*sides, strict=True))
    found = []
    for start in range(0, len(target_N), ROWS):
        logits_RV = model.decoder.output(features_ND[start : start + ROWS]).float()
        chosen_R = logits_RV.gather(1, target_N[start : start + ROWS, None]).squeeze(1)
        found.append(chosen_R - logits_RV.amax(-1))
    margin_N, ends = torch.cat(found), accumulate(lengths)
    return [margin_N[end - length : end] for end, length in zip(ends, lengths, strict=True)]
