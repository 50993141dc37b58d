"""An encoder."""

from pydantic import Field
from torch import Tensor, nn

from nmt.models.contracts import Encoder, EncoderOutput, EncoderParts, Memory
from nmt.models.layers import length_mask
from nmt.recipe.options import Options


class ConvolutionalEncoderOptions(Options):
    """Options of ``type: convolutional``."""

    radius: int = Field(1, ge=0, description="words read on each side of a word")


class ConvolutionalEncoder(Encoder):
    """Annotations h_i = x_i + tanh(W [x_{i-r}, …, x_{i+r}]), in the spirit of Gehring et al. 2017; ``final`` is their
    mean."""

    Options = ConvolutionalEncoderOptions

    def __init__(self, options: ConvolutionalEncoderOptions, parts: EncoderParts) -> None:
        super().__init__()
        self.embedding = parts.embedding
        size = self.final_size = parts.embedding.size
        self.memory_sizes = (size,)
        self.convolution = nn.Conv1d(size, size, 2 * options.radius + 1, padding=options.radius)

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        x_BSD = self.embedding(source_BS) * mask_BS[:, :, None]
        annotations_BSD = x_BSD + self.convolution(x_BSD.transpose(1, 2)).transpose(1, 2).tanh()
        total_BD = (annotations_BSD * mask_BS[:, :, None]).sum(dim=1)
        return EncoderOutput((Memory(annotations_BSD, mask_BS),), ((total_BD / source_length_B[:, None])[:, None],))
