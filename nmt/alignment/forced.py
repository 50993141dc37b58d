"""Forced decoding: what a model attends to, word by word, when it is made to say a given translation."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from nmt.alignment.links import LinkMethod, WordAlignment, extract_links, merge_to_words
from nmt.alignment.words import Words
from nmt.data.batching import make_batch
from nmt.data.vocabulary import Piece, Vocabularies
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq

Pair = tuple[Words, Words]


def align(
    model: Seq2Seq,
    vocabularies: Vocabularies,
    pairs: Iterable[Pair],
    method: LinkMethod = "argmax",
    threshold: float = 0.3,
    batch_size: int = 32,
) -> Iterator[WordAlignment]:
    """Align sentence pairs, in order and in constant memory.

    Args:
        model: in eval mode.
        vocabularies: those of the model.
        pairs: source and target words.
        method, threshold: how links are taken from the weights, see :func:`extract_links`.
        batch_size: pairs at a time.

    Raises:
        UserError: the model has no attention.
    """
    if not model.decoder.head_names:
        raise UserError(
            "This model has no attention, so it can't align.",
            "Train one with attention, such as multi30k/bahdanau or multi30k/transformer.",
        )
    remaining = iter(pairs)
    while batch := list(islice(remaining, batch_size)):
        yield from _align_batch(model, vocabularies, batch, method, threshold)


@torch.inference_mode()
def _align_batch(
    model: Seq2Seq, vocabularies: Vocabularies, pairs: Sequence[Pair], method: LinkMethod, threshold: float
) -> list[WordAlignment]:
    source_pieces = [vocabularies.source.pieces(source.text) for source, _ in pairs]
    target_pieces = [vocabularies.target.pieces(target.text) for _, target in pairs]
    ids = [(_ids(s), _ids(t)) for s, t in zip(source_pieces, target_pieces, strict=True)]
    batch = make_batch(ids, vocabularies).to(next(model.parameters()).device)
    unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights=True)
    assert unrolled.weights_BHTS is not None
    weights_BTS = unrolled.weights_BHTS[:, list(model.decoder.alignment_heads)].mean(1).float().cpu().numpy()
    log_p_BTV = model.decoder.output(unrolled.features_BTD).float().log_softmax(-1)
    log_p_BT = log_p_BTV.gather(2, batch.target_output_BT[:, :, None]).squeeze(2)
    alignments = []
    for row, (source, target) in enumerate(pairs):
        num_source, num_target = len(source_pieces[row]), len(target_pieces[row])
        weights = merge_to_words(
            weights_BTS[row, :num_target, :num_source],
            source.of_pieces(source_pieces[row]),
            target.of_pieces(target_pieces[row]),
            len(source.words),
            len(target.words),
        )
        score = float(log_p_BT[row, : num_target + 1].sum())
        links = extract_links(np.asarray(weights), method, threshold)
        alignments.append(WordAlignment(source.words, target.words, weights, links, score))
    return alignments


def _ids(pieces: Sequence[Piece]) -> list[int]:
    return [piece.id for piece in pieces]
