"""Forced decoding: the log-probability of each token of a given translation, and the attention on the way.

B pairs of a batch, H heads, S source tokens, T target tokens with EOS, V target vocabulary, D width of the features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from nmt.data.batch import Ids, make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.finite import explained_model
from nmt.decoding.parallel import map_by_length
from nmt.models.contracts import DecoderOutput, select_heads
from nmt.models.seq2seq import Seq2Seq

ROWS = 128  # tokens whose logits are in memory at a time: those of a batch over the vocabulary can take gigabytes


@dataclass(frozen=True)
class ForcedScore:
    """Result of forced decoding of a sentence pair."""

    log_probability_T: Tensor
    """Natural log-probability of each target token given the source and the tokens before; EOS is the last. Empty where
    it was not requested."""
    margin_T: Tensor  # the log-probability less that of the likeliest token there, at most 0; empty likewise
    weights_HTS: Tensor | None  # attention of the requested heads, EOS of both sides counted; None without heads
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

    Raises:
        UserError: a log-probability is NaN or infinite.
    """

    def force(rows: Sequence[int]) -> list[ForcedScore]:
        batch = make_batch([pairs[row] for row in rows], vocabularies).to(model.device)
        ends = [len(pairs[row][1]) + 1 for row in rows]

        def run() -> DecoderOutput:
            return cast(
                DecoderOutput,
                model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights=bool(heads)),
            )

        def scored(output: DecoderOutput) -> tuple[list[Tensor], list[Tensor]]:
            sides = [(output.features_BTD[b, :end], batch.target_output_BT[b, :end]) for b, end in enumerate(ends)]
            return _scores(model, sides, margins_only)

        output = run()
        weights_BHTS = select_heads(output.weights_BHTS, heads) if heads and output.weights_BHTS is not None else None
        log_p = margin = [output.features_BTD.new_empty(0)] * len(rows)
        if scores:
            log_probabilities, margin = scored(output)
            if not bool(torch.cat(margin).isfinite().all()):
                raise explained_model(lambda: bool(torch.cat(scored(run())[1]).isfinite().all()), model.device)
            log_p = log_p if margins_only else log_probabilities
        return [
            ForcedScore(
                log_p[b],
                margin[b],
                None if weights_BHTS is None else weights_BHTS[b, :, : ends[b], : len(source) + 1].float(),
                {name: values[b, : len(source)] for name, values in output.source_diagnostics.items()},
                {name: values[b, : len(target)] for name, values in output.diagnostics.items()},
            )
            for b, (source, target) in enumerate(pairs[row] for row in rows)
        ]

    longer = [max(len(source), len(target)) for source, target in pairs]
    return map_by_length(force, longer, batch_size, model.device)


def _scores(
    model: Seq2Seq, sides: Sequence[tuple[Tensor, Tensor]], margins_only: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Returns the log-probabilities, or logits with ``margins_only``, and the margins of the tokens of several pairs.

    ``sides``: features [T, D] and ids [T] of each pair.
    """
    features_ND, target_N = (torch.cat(side) for side in zip(*sides, strict=True))
    chunks = []
    for features_RD, target_R in zip(torch.split(features_ND, ROWS), torch.split(target_N, ROWS), strict=True):
        values_RV: Tensor = model.decoder.output(features_RD).float()
        values_RV = values_RV if margins_only else values_RV.log_softmax(-1)
        chosen_R = values_RV.gather(1, target_R[:, None]).squeeze(1)
        chunks.append((chosen_R, chosen_R - values_RV.amax(-1)))
    lengths = [len(target_T) for _, target_T in sides]
    values, margins = (list(torch.split(torch.cat(part), lengths)) for part in zip(*chunks, strict=True))
    return values, margins
