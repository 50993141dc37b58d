"""Components for nmt that live outside of it, one module for each kind."""

from nmt_example.attention import DistanceAttention
from nmt_example.cells import MguCell
from nmt_example.decoders import JordanDecoder
from nmt_example.encoders import ConvolutionalEncoder
from nmt_example.export_targets import NumpyArrays
from nmt_example.filters import Shouting
from nmt_example.logits_processors import MinLength
from nmt_example.metrics import WordRecall
from nmt_example.schedules import Linear
from nmt_example.techniques import ActivationDecay

COMPONENTS = {
    "mgu": MguCell,
    "distance": DistanceAttention,
    "convolutional": ConvolutionalEncoder,
    "jordan": JordanDecoder,
    "min_length": MinLength,
    "word_recall": WordRecall,
    "linear": Linear,
    "activation_decay": ActivationDecay,
    "shouting": Shouting,
    "numpy": NumpyArrays,
}
