"""Links between the pieces of a batch, by two word models that are learned from the training text.

A model that has just begun to train has no idea where a translation comes from; two models of words, one of each
direction, know most links after some seconds. The links that both are sure of are enough to teach attention.

Shapes: B sentences, T target and S source positions, EOS counted.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nmt.alignment.word_model import EMPTY, WordModel
from nmt.data.batch import Batch
from nmt.data.cache import ParallelIds

MAX_LINKS = 4_000_000
"""Pairs of pieces that the word models are learned from."""
SIZE = 1 << 31
"""More than the pieces of a vocabulary: a pair of pieces is source * SIZE + target."""
DIAGONAL = 4.0
"""λ of the preference for links near the diagonal: where Dyer et al. 2013 begin."""
LEAST_PROBABILITY, LEAST_LINK = 1e-3, 0.25
"""Probabilities of a translation, and of a link, below which there is none."""
LEAST_SHARED, PULL = 0.05, 3.0
"""Geometric mean of the probabilities in both directions from which on embeddings are moved; and its factor."""


class LearnedLinks:
    """Finds the links of batches. They are learned from some pairs of the texts, at equal distances."""

    def __init__(self, texts: Sequence[ParallelIds]) -> None:
        num_links = sum((source.lengths * target.lengths).sum() for source, target in texts)
        step = max(1, round(num_links / MAX_LINKS))
        source, target = (
            [side[row].astype(np.int64) + 1 for side in sides for row in range(0, len(side), step)]  # 0: the empty word
            for sides in zip(*texts, strict=True)
        )
        tables = []
        for given, other in ((source, target), (target, source)):
            num_words = 1 + max(int(words.max()) for words in other)
            tables.append(WordModel(given, other, num_words, DIAGONAL).table(LEAST_PROBABILITY))
        (of_source, of_target, forward), (backward_target, backward_source, backward) = tables
        keys = of_source * SIZE + of_target, backward_source * SIZE + backward_target
        merged = np.unique(np.concatenate(keys))
        both = np.zeros((2, len(merged)), np.float32)
        for row, of_table, probability in zip(both, keys, (forward, backward), strict=True):
            row[np.searchsorted(merged, of_table)] = probability
        self._keys, self._both = torch.from_numpy(merged), torch.from_numpy(both)

    def align_embeddings(self, weight_VD: Tensor) -> None:
        """Moves the embedding of each piece towards those of the pieces that translate it, and keeps its norm.

        A translation has the weight min(1, 3 √(p(target | source) p(source | target))), and the piece itself 1. What a
        new model learns of a piece then holds for its translation, too.
        """
        of_source, of_target = self._keys // SIZE - 1, self._keys % SIZE - 1
        shared = self._both.prod(dim=0).sqrt()
        are_pieces = (of_source >= 0) & (of_target >= 0) & (of_source != of_target)
        rows = ((shared >= LEAST_SHARED) & are_pieces).nonzero()[:, 0]
        ends, pulled = (of_source[rows], of_target[rows]), (PULL * shared[rows, None]).clamp(max=1)
        before = weight_VD.detach().cpu()  # the order of the sums is the same each time on a CPU alone
        moved = before.clone()
        for here, there in (ends, ends[::-1]):
            moved.index_add_(0, here, pulled * before[there])
        moved *= before.norm(dim=1, keepdim=True) / moved.norm(dim=1, keepdim=True).clamp(min=1e-9)
        with torch.no_grad():
            weight_VD.copy_(moved)

    def mask(self, batch: Batch) -> Tensor:
        """True where a target position translates a source position, both without SOS and with EOS. [B, T, S]

        Only EOS links to EOS; a position without a sure link has none.
        """
        self._keys, self._both = (table.to(batch.source_BS.device) for table in (self._keys, self._both))
        source_BS, target_BT = batch.source_BS + 1, batch.target_output_BT + 1
        place_BS, is_word_BS, is_end_BS = _places(source_BS, batch.source_length_B)
        place_BT, is_word_BT, is_end_BT = _places(target_BT, batch.target_length_B)
        near_BTS = (-DIAGONAL * (place_BT[:, :, None] - place_BS[:, None]).abs()).exp()
        near_BTS = near_BTS * (is_word_BT[:, :, None] & is_word_BS[:, None])
        forward_BTS, backward_BTS = self._probabilities(source_BS[:, None] * SIZE + target_BT[:, :, None])
        from_empty_BT, _ = self._probabilities(target_BT)
        _, from_empty_BS = self._probabilities(source_BS * SIZE)
        forward_BTS = _posterior(forward_BTS, near_BTS, from_empty_BT[:, :, None], 2)
        backward_BTS = _posterior(backward_BTS, near_BTS, from_empty_BS[:, None], 1)
        is_end_BTS = is_end_BT[:, :, None] & is_end_BS[:, None]
        return (forward_BTS * backward_BTS > LEAST_LINK**2) | is_end_BTS

    def _probabilities(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Returns p(target | source) and p(source | target) of some keys."""
        at = torch.searchsorted(self._keys, keys).clamp(max=len(self._keys) - 1)
        forward, backward = self._both[:, at] * (self._keys[at] == keys)
        return forward, backward


def _places(ids_BL: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The place of each position in its sentence, from 0 to 1; whether it is a word, and whether it is EOS. [B, L]"""
    at_L = torch.arange(ids_BL.shape[1], device=ids_BL.device)
    last_B1 = length_B[:, None] - 1
    return (at_L + 0.5) / last_B1.clamp(min=1), at_L < last_B1, at_L == last_B1


def _posterior(probability_BTS: Tensor, near_BTS: Tensor, from_empty: Tensor, dim: int) -> Tensor:
    """Probabilities of links, by the translation and the places of two words; those of a word sum to 1 or less."""
    prior_BTS = near_BTS * (1 - EMPTY) / near_BTS.sum(dim, keepdim=True).clamp(min=1e-9)
    joint_BTS = probability_BTS * prior_BTS
    return joint_BTS / (joint_BTS.sum(dim, keepdim=True) + EMPTY * from_empty).clamp(min=1e-9)
