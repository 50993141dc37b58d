"""The hierarchical encoder: each turn of a dialogue read on its own."""

from dataclasses import replace

from torch import Tensor

from nmt.models.encoders.recurrent import RecurrentEncoder
from nmt.models.interfaces import EncoderOutput
from nmt.models.masks import length_mask
from nmt.models.turns import Folding, number_turns


class HierarchicalEncoder(RecurrentEncoder):
    """The word level of Xing et al. 2017: h_ij is the annotation of word j within utterance i, by one recurrent
    encoder for all utterances, which starts anew in each. Options are those of ``type: recurrent``.

    All turns of a batch are folded into rows and read at once. The memory holds the words in the order of the
    source and says to which turn each belongs; what is found in the utterances hangs on the decoder's state, so the
    utterance level is in :class:`nmt.models.attention.hierarchical.HierarchicalAttention`. ``final`` is the state
    after the current turn. A source without separators is one turn, and then this is the recurrent encoder.
    """

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        turn_BS = number_turns(source_BS, mask_BS, self.embedding.separator)
        folding = Folding.of(turn_BS, mask_BS)
        padding = int(self.embedding.table.padding_idx or 0)
        turns = super().forward(folding.fold(source_BS, padding), folding.length_R)
        values_BSD = folding.unfold(turns.memories[0].values_BSD, source_BS.shape)
        memory = replace(turns.memories[0], values_BSD=values_BSD, mask_BS=mask_BS, turn_BS=turn_BS)
        return replace(turns, memories=(memory,), final=tuple(part[folding.current_B] for part in turns.final))
