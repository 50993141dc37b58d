"""Forced decoding: a model is made to say a given translation, and tells how probable it finds each piece.

B pairs of a batch, H heads, S source pieces, T target pieces with EOS, V target vocabulary, D width of the features.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nmt.data.batching import Ids, by_length, make_batch
from nmt.data.vocabulary import Vocabularies
from nmt.models.seq2seq import Seq2Seq


@dataclass(frozen=True)
class Forced:
    """A sentence pair as the model sees it."""

    log_probability_T: Tensor
    """Natural log-probability of each target piece given the source and the pieces before; EOS is the last."""
    weights_TS: Tensor | None
    """Mean attention of the heads that align best, without EOS on either side; None unless asked for."""
    source_figures: dict[str, Tensor] = field(default_factory=dict)
    """Named figures of the source pieces, such as their ponder steps, without EOS. [S]"""
    target_figures: dict[str, Tensor] = field(default_factory=dict)


@torch.inference_mode()
def force(
    model: Seq2Seq, pairs: Sequence[tuple[Ids, Ids]], vocabularies: Vocabularies, need_weights: bool = False
) -> Iterator[Forced]:
    """Run a batch of pairs through the model with the true previous piece at each step.

    Args:
        model: in eval mode.
        pairs: ids of source and target, without SOS and EOS.
        vocabularies: for the special ids.
        need_weights: ask for the attention, too.
    """
    decoder = model.decoder
    batch = make_batch(pairs, vocabularies).to(model.device)
    unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights)
    weights_BTS = None
    if need_weights:
        weights_BTS = unrolled.weights_BHTS[:, list(decoder.alignment_heads)].mean(1)
    for row, (source, target) in enumerate(pairs):
        # Pair by pair: log-probabilities of a whole batch over the vocabulary can take gigabytes.
        logits_TV = decoder.output(unrolled.features_BTD[row, : len(target) + 1])
        target_T1 = batch.target_output_BT[row, : len(target) + 1, None]
        log_probability_T = logits_TV.float().log_softmax(-1).gather(1, target_T1).squeeze(1)
        weights_TS = None if weights_BTS is None else weights_BTS[row, : len(target), : len(source)].float()
        source_figures = {name: values[row, : len(source)] for name, values in unrolled.source_figures.items()}
        target_figures = {name: values[row, : len(target)] for name, values in unrolled.figures.items()}
        yield Forced(log_probability_T, weights_TS, source_figures, target_figures)


def force_all(
    model: Seq2Seq,
    pairs: Sequence[tuple[Ids, Ids]],
    vocabularies: Vocabularies,
    batch_size: int,
    need_weights: bool = False,
) -> list[Forced]:
    """:func:`force` for any number of pairs: sorted by length, in batches, back in their own order."""
    found: dict[int, Forced] = {}
    for rows in by_length([max(len(source), len(target)) for source, target in pairs], batch_size):
        found.update(zip(rows, force(model, [pairs[row] for row in rows], vocabularies, need_weights), strict=True))
    return [found[row] for row in range(len(pairs))]
