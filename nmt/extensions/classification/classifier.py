"""Classification: a label out of a closed set for a source, by any encoder."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nmt.models.attention import AttentionField
from nmt.models.contracts import (
    SINGLE_HEAD,
    Decoder,
    DecoderOutput,
    DecoderParts,
    Encoder,
    EncoderOutput,
    EncoderParts,
    Memory,
    State,
)
from nmt.models.layers import Dropout, length_mask
from nmt.models.networks.recurrent import mean_annotation
from nmt.recipe.options import FREE, Options


class EmbeddingEncoder(Encoder):
    """The embedding of a token is its annotation: for a classifier, a bag of words (Joulin et al. 2017)."""

    class Options(Options):
        dropout: Annotated[float, FREE] = Field(0.0, ge=0, lt=1, description="on the embeddings")

    def __init__(self, options: Options, parts: EncoderParts) -> None:
        super().__init__()
        self.embedding, self.dropout = parts.embedding, Dropout(options.dropout)
        self.final_size = self.embedding.size
        self.memory_sizes = (self.final_size,)

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        return EncoderOutput((Memory(self.dropout(self.embedding(source_BS)), mask_BS),))


@dataclass(frozen=True)
class ClassifierState(State):
    """The same before and after the label."""

    features_ND: Tensor
    weights_NS: Tensor | None  # attention head of the pooling


class Classifier(Decoder):
    """p(label | x) = softmax(W (R c) + b), where c pools the annotations h_i; R is left out where the widths agree.

        last        the encoder's last state or, without one, the annotation of EOS
        mean, max   over positions; max element by element
        attention   c = Σ a_i h_i by any score function, with a learned query q. The additive score is then
                    vᵀ tanh(U h_i + b'), the word attention of Yang et al. 2016, where b' = W q + b.

    A label is a target of one token, so that training, search and scoring are those of translation. What was predicted
    before has no influence.
    """

    class Options(Options):
        pooling: Literal["last", "mean", "max", "attention"] = Field(
            "last", description="what the label is predicted from: the last state, or annotations pooled in this way"
        )
        attention: AttentionField = Field(
            {"type": "additive"}, description="with pooling: attention, the score function and its options"
        )
        dropout: Annotated[float, FREE] = Field(0.0, ge=0, lt=1, description="on what was pooled")

    def __init__(self, options: Options, parts: DecoderParts) -> None:
        super().__init__()
        size, self.pooling, self.output = parts.memory_size, options.pooling, parts.output
        if self.pooling == "attention":
            self.query_D = nn.Parameter(torch.empty(size))
            nn.init.normal_(self.query_D, std=size**-0.5)
            self.attention = parts.make_attention(options.attention, size, size)
            self.heads = (SINGLE_HEAD,)
            size = self.attention.context_size(size)
        elif self.pooling == "last":
            size = parts.final_size
        same = size == parts.embedding.size
        self.readout = nn.Identity() if same else nn.Linear(size, parts.embedding.size)
        self.dropout = Dropout(options.dropout)

    def start(self, encoded: EncoderOutput) -> ClassifierState:
        pooled_BD, weights_BS = self._pool(encoded)
        return ClassifierState(self.readout(self.dropout(pooled_BD)), weights_BS)

    def _pool(self, encoded: EncoderOutput) -> tuple[Tensor, Tensor | None]:
        """c [B, D], and the weights of attention [B, S]."""
        memory = encoded.memories[0]
        if self.pooling == "mean":
            return mean_annotation(memory), None
        if self.pooling == "max":
            return memory.values_BSD.masked_fill(~memory.mask_BS[:, :, None], float("-inf")).amax(1), None
        if self.pooling == "attention":
            query_B1D = self.query_D.to(memory.values_BSD.dtype).expand(len(memory.mask_BS), 1, -1)
            context_B1D, weights_B1S = self.attention(query_B1D, self.attention.prepare(memory))
            return context_B1D[:, 0], weights_B1S[:, 0]
        if encoded.final:
            return encoded.final[0][:, -1], None
        row_B = torch.arange(len(memory.mask_BS), device=memory.mask_BS.device)
        return memory.values_BSD[row_B, memory.mask_BS.sum(1) - 1], None

    def advance(
        self, token_NT: Tensor, state: ClassifierState, need_weights: bool = False
    ) -> tuple[DecoderOutput, ClassifierState]:
        num_tokens, weights_NHTS = token_NT.shape[1], None
        if need_weights and state.weights_NS is not None:
            weights_NHTS = state.weights_NS[:, None, None].expand(-1, -1, num_tokens, -1)
        return DecoderOutput(state.features_ND[:, None].expand(-1, num_tokens, -1), weights_NHTS), state
