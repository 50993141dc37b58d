"""A decoder."""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.attention import AttentionField
from nmt.models.contracts import SINGLE_HEAD, Decoder, DecoderOutput, DecoderParts, EncoderOutput, Memory, State
from nmt.recipe.options import Options


class JordanDecoderOptions(Options):
    """Options of ``type: jordan``."""

    attention: AttentionField = Field({"type": "additive"}, description="score function and its options")


@dataclass(frozen=True)
class JordanState(State):
    """What the output layer read in the last step, and the source."""

    features_ND: Tensor
    memory: Memory


class JordanDecoder(Decoder):
    """A recurrence over the output instead of a hidden state (Jordan 1986): y_t = tanh(W [E w_{t-1}; c_t; y_{t-1}]),
    with attention from y_{t-1}."""

    Options = JordanDecoderOptions
    heads = (SINGLE_HEAD,)

    def __init__(self, options: JordanDecoderOptions, parts: DecoderParts) -> None:
        super().__init__()
        self.embedding, self.output = parts.embedding, parts.output
        size = parts.embedding.size
        self.attention = parts.make_attention(options.attention, size, parts.memory_size)
        self.first = nn.Linear(parts.final_size, size)
        self.recurrence = nn.Linear(2 * size + self.attention.context_size(parts.memory_size), size)

    def start(self, encoded: EncoderOutput) -> JordanState:
        memory = self.attention.prepare(encoded.memories[0])
        last_BD = encoded.final[0][:, -1] if encoded.final else memory.values_BSD[:, 0]
        return JordanState(self.first(last_BD.to(memory.values_BSD.dtype)).tanh(), memory)

    def advance(
        self, token_NT: Tensor, state: JordanState, need_weights: bool = False
    ) -> tuple[DecoderOutput, JordanState]:
        features_ND, memory = state.features_ND, state.memory
        features, weights = [], []
        for word_NE in self.embedding(token_NT).unbind(1):
            context_BKD, weights_BKS = self.attention(features_ND.unflatten(0, (len(memory.mask_BS), -1)), memory)
            read_NX = torch.cat((word_NE, context_BKD.flatten(0, 1), features_ND), dim=1)
            features_ND = self.recurrence(read_NX).tanh()
            features.append(features_ND)
            weights.append(weights_BKS.flatten(0, 1)[:, None])
        weights_NHTS = torch.stack(weights, dim=2) if need_weights else None
        return DecoderOutput(torch.stack(features, dim=1), weights_NHTS), JordanState(features_ND, memory)
