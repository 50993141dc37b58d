"""Components for nmt that live outside of it, one module for each kind."""

from nmt_example.attention import DistanceAttention
from nmt_example.cells import MguCell
from nmt_example.decoders import JordanDecoder
from nmt_example.encoders import ConvolutionalEncoder
from nmt_example.logits_processors import MinLength

COMPONENTS = {
    "mgu": MguCell,
    "distance": DistanceAttention,
    "convolutional": ConvolutionalEncoder,
    "jordan": JordanDecoder,
    "min_length": MinLength,
}
