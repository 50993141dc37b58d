"""Forced decoding: the log-probability of each token of a given translation, and the attention on the way.

B pairs of a batch, H heads, S source tokens, T target tokens with EOS, V target vocabulary, D width of the features.
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
    """What forced decoding of a sentence pair gives."""

    log_probability_T: Tensor
    """Natural log-probability of each target token given the source and the tokens before; EOS is the last."""
    weights_HTS: Tensor | None
    """Attention of the requested heads, with EOS of the target and without that of the source; None without heads."""
    source_figures: dict[str, Tensor] = field(default_factory=dict)
    """Named figures of the source tokens, such as their ponder steps, without EOS. [S]"""
    target_figures: dict[str, Tensor] = field(default_factory=dict)


@torch.inference_mode()
def force(
    model: Seq2Seq, pairs: Sequence[tuple[Ids, Ids]], vocabularies: Vocabularies, heads: Sequence[int] = ()
) -> Iterator[Forced]:
    """Run a batch of pairs through the model with the true previous piece at each step.

    Args:
        model: in eval mode.
        pairs: ids of source and target, without SOS and EOS.
        vocabularies: for the special ids.
        heads: of the decoder's ``heads``, those whose attention is asked for.
    """
    decoder = model.decoder
    batch = make_batch(pairs, vocabularies).to(model.device)
    unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, bool(heads))
    weights_BHTS = unrolled.weights_BHTS[:, list(heads)] if heads else None
    for row, (source, target) in enumerate(pairs):
        # Pair by pair: log-probabilities of a whole batch over the vocabulary can take gigabytes.
        logits_TV = decoder.output(unrolled.features_BTD[row, : len(target) + 1])
        target_T1 = batch.target_output_BT[row, : len(target) + 1, None]
        log_probability_T = logits_TV.float().log_softmax(-1).gather(1, target_T1).squeeze(1)
        of_pair = None if weights_BHTS is None else weights_BHTS[row, :, : len(target) + 1, : len(source)].float()
        source_figures = {name: values[row, : len(source)] for name, values in unrolled.source_diagnostics.items()}
        target_figures = {name: values[row, : len(target)] for name, values in unrolled.diagnostics.items()}
        yield Forced(log_probability_T, of_pair, source_figures, target_figures)


def force_all(
    model: Seq2Seq,
    pairs: Sequence[tuple[Ids, Ids]],
    vocabularies: Vocabularies,
    batch_size: int,
    heads: Sequence[int] = (),
) -> list[Forced]:
    """:func:`force` for any number of pairs: sorted by length, in batches, back in their own order."""
    found: dict[int, Forced] = {}
    for rows in by_length([max(len(source), len(target)) for source, target in pairs], batch_size):
        found.update(zip(rows, force(model, [pairs[row] for row in rows], vocabularies, heads), strict=True))
    return [found[row] for row in range(len(pairs))]
