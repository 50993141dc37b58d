"""An encoder and a decoder put together, as training and search use them."""

import torch
from torch import Tensor, nn

from nmt.models.contracts import Decoder, DecoderOutput, Encoder, EncoderOutput, EncoderParts, Memory, State, StepOutput
from nmt.recipe.options import Options


class NoEncoder(Encoder):
    """In place of an encoder in a language model, p(y) = Π p(y_t | y_1 … y_{t-1}): a memory without positions.

    The source is ignored, and has no embedding.
    """

    memory_sizes, final_size = (), 0
    _nothing: Tensor

    def __init__(self, options: Options, parts: EncoderParts) -> None:
        super().__init__()
        # Has the device and type of the model, and no parameters.
        self.register_buffer("_nothing", torch.empty(0, parts.embedding.size), persistent=False)

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        values_BSD = self._nothing.expand(len(source_BS), -1, -1)
        return EncoderOutput((Memory(values_BSD, source_BS[:, :0].bool()),))


class Seq2Seq(nn.Module):
    """Encodes, then unrolls with the true target (training, alignment) or decodes step by step (search)."""

    @property
    def reads_source(self) -> bool:
        """Whether the source has an influence: there is an encoder."""
        return bool(self.encoder.memory_sizes or self.encoder.final_size)

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        encoded: EncoderOutput = self.encoder(source_BS, source_length_B)
        return encoded

    def forward(
        self, source_BS: Tensor, source_length_B: Tensor, target_input_BT: Tensor, need_weights: bool = False
    ) -> DecoderOutput:
        """Teacher forcing: features for every target position, before the output layer.

        The extra losses of encoder and decoder come together in ``aux_losses``; those of one name are added up.
        """
        encoded = self.encode(source_BS, source_length_B)
        unrolled = self.decoder.unroll(target_input_BT, encoded, need_weights)
        for name, loss in encoded.aux_losses.items():
            unrolled.aux_losses[name] = unrolled.aux_losses[name] + loss if name in unrolled.aux_losses else loss
        unrolled.source_diagnostics.update(encoded.diagnostics)
        return unrolled

    def start(self, source_BS: Tensor, source_length_B: Tensor) -> State:
        """The decoder's state before the first token, one row a sentence."""
        return self.decoder.start(self.encode(source_BS, source_length_B))

    def step(
        self, token_N: Tensor, state: object, need_weights: bool = False, rows: Tensor | None = None
    ) -> StepOutput:
        return self.decoder.step(token_N, state, need_weights, rows)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def alignment_heads(self) -> tuple[int, ...]:
        """See :attr:`nmt.models.contracts.Decoder.alignment_heads`."""
        return self.decoder.alignment_heads

    @property
    def num_parameters(self) -> int:
        """Trainable numbers, shared ones counted once."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
