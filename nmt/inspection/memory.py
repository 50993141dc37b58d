"""Where the heads of a neural Turing machine write and read, step by step; :mod:`nmt.plotting.memory` draws it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from nmt.data.batching import make_batch
from nmt.data.vocabulary import SPACE, Vocabulary
from nmt.errors import UserError
from nmt.models.ntm import NtmDecoder, NtmEncoder, NTMState
from nmt.plotting.matrix import MAX_WORDS
from nmt.plotting.memory import MemoryTrace
from nmt.translator import Translator

Weights = npt.NDArray[np.float32]


@torch.inference_mode()
def trace_memory(translator: Translator, source: str, target: str) -> MemoryTrace:
    """Follow the heads over a source line and its translation.

    Raises:
        UserError: the model has no external memory, or the sentence is empty or too long to draw.
    """
    model, vocabularies = translator.model, translator.vocabularies
    encoder, decoder = model.encoder, model.decoder
    if not isinstance(encoder, NtmEncoder) and not isinstance(decoder, NtmDecoder):
        raise UserError(
            "This model has no external memory.", "Train one with the encoder or decoder ntm: algorithmic/copy_ntm."
        )
    source_ids, target_ids = translator.encode_source(source), translator.encode_target(target)
    num_pieces = len(source_ids) + len(target_ids)
    if not source_ids or num_pieces > MAX_WORDS:
        raise UserError(f"A sentence pair of {num_pieces} pieces can't be drawn (1 to {MAX_WORDS}).", "Choose another.")
    batch = make_batch([(source_ids, target_ids)], vocabularies).to(model.device)
    pieces = _names(vocabularies.source, source_ids)
    states: list[NTMState] = []
    read: Sequence[str] = ()
    said: Sequence[str] = ()
    free = decoder.num_free_slots if isinstance(decoder, NtmDecoder) else 0
    slots = [*(f"free-{number + 1}" for number in range(free)), *pieces]
    if isinstance(encoder, NtmEncoder) and not (isinstance(decoder, NtmDecoder) and not decoder.goes_on):
        states += encoder.states(batch.source_BS, batch.source_length_B)
        read, slots = pieces, [str(slot) for slot in range(encoder.num_slots)]
    if isinstance(decoder, NtmDecoder):
        states += decoder.states(batch.target_input_BT, model.encode(batch.source_BS, batch.source_length_B))
        said = _names(vocabularies.target, target_ids)
    return MemoryTrace(
        tuple(read),
        tuple(said),
        tuple(slots),
        _stack([state.write_NHC for state in states]),
        _stack([state.read_NHC for state in states]),
    )


def _names(vocabulary: Vocabulary, ids: Sequence[int]) -> list[str]:
    """Pieces as a picture shows them, and EOS."""
    return [*(vocabulary.token(i).removeprefix(SPACE) or SPACE for i in ids), "</s>"]


def _stack(weights: Sequence[torch.Tensor]) -> Weights:
    """Encoder and decoder may have different numbers of heads; a head that is missing looks at nothing."""
    num_heads = max(weight.shape[1] for weight in weights)
    stacked = np.zeros((num_heads, len(weights), weights[0].shape[2]), dtype=np.float32)
    for step, weight_1HC in enumerate(weights):
        stacked[: weight_1HC.shape[1], step] = weight_1HC[0].float().cpu().numpy()
    return stacked
