"""The Transformer encoder (Vaswani et al. 2017), and the sublayers it shares with the decoder."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from nmt.config import Options
from nmt.models.attention.multihead import MultiHeadAttention, padding_bias
from nmt.models.dropout import Dropout
from nmt.models.embeddings import Embedding, Positions
from nmt.models.interfaces import Encoder, EncoderOutput, Memory
from nmt.models.layer_drop import LayerDrop
from nmt.models.layers import Layers
from nmt.models.masks import length_mask


class BlockOptions(Options):
    """Options of a layer of the Transformer, and of what its input is."""

    num_heads: int = Field(4, ge=1, description="of each attention; they share out the width")
    feed_forward_size: int = Field(1024, ge=1, description="width inside the feed-forward layer")
    dropout: float = Field(0.1, ge=0, lt=1, description="on embeddings and on what each sublayer adds")
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="on attention weights")
    activation_dropout: float = Field(0.0, ge=0, lt=1, description="inside the feed-forward layer")
    norm: Literal["pre", "post"] = Field("pre", description="layer norm before each sublayer, or after the sum")
    positions: Literal["sinusoidal", "learned"] = Field("sinusoidal", description="code added to the embeddings")
    max_positions: int = Field(512, ge=1, description="number of learned positions")


class TransformerOptions(BlockOptions):
    """Options of ``type: transformer``, for the encoder and the decoder. The width is ``embedding_size``."""

    num_layers: int = Field(3, ge=1, description="layers one above another")
    layer_drop: float = Field(
        0.0, ge=0, lt=1, description="probability that a layer is left out of a training step (Fan et al. 2020)"
    )


class FeedForward(nn.Module):
    """Position-wise: W2 max(0, W1 x + b1) + b2."""

    def __init__(self, width: int, options: BlockOptions) -> None:
        super().__init__()
        self.inner = nn.Linear(width, options.feed_forward_size)
        self.out = nn.Linear(options.feed_forward_size, width)
        self.dropout = Dropout(options.activation_dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.dropout(self.inner(x).relu()))
        return out


class Residual(nn.Module):
    """x + dropout(f(norm(x))) (pre-norm), or norm(x + dropout(f(x))) (post-norm, as in the paper)."""

    def __init__(self, width: int, options: BlockOptions) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(options.dropout)
        self.pre = options.norm == "pre"

    def before(self, x: Tensor) -> Tensor:
        """What the sublayer reads."""
        y: Tensor = self.norm(x) if self.pre else x
        return y

    def after(self, x: Tensor, y: Tensor) -> Tensor:
        """``x`` with what the sublayer gave."""
        x = x + self.dropout(y)
        return x if self.pre else self.norm(x)


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward layer, each with its residual."""

    def __init__(self, width: int, options: BlockOptions) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, options.num_heads, options.attention_dropout)
        self.feed_forward = FeedForward(width, options)
        self.around_attention = Residual(width, options)
        self.around_feed_forward = Residual(width, options)

    def forward(self, x_BSD: Tensor, bias: Tensor) -> Tensor:
        y_BSD = self.around_attention.before(x_BSD)
        attended_BSD, _ = self.attention(y_BSD, self.attention.project(y_BSD), bias)
        x_BSD = self.around_attention.after(x_BSD, attended_BSD)
        y_BSD = self.around_feed_forward.before(x_BSD)
        return self.around_feed_forward.after(x_BSD, self.feed_forward(y_BSD))


class TransformerEncoder(Encoder):
    """Embedding and position code, then a stack of self-attention layers."""

    Options = TransformerOptions

    def __init__(self, options: TransformerOptions, embedding: Embedding) -> None:
        super().__init__()
        width = embedding.size
        self.embedding = embedding
        self.num_heads = options.num_heads
        self.positions = Positions(width, options.positions, options.max_positions)
        self.layers: Layers[EncoderLayer] = Layers(EncoderLayer(width, options) for _ in range(options.num_layers))
        # Pre-norm leaves the sum of all layers unnormalised; post-norm has normalised it already.
        self.norm = nn.LayerNorm(width) if options.norm == "pre" else nn.Identity()
        self.dropout = Dropout(options.dropout)
        self.layer_drop = LayerDrop(options.layer_drop)
        self.output_size = self.final_size = width

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        mask_BS = length_mask(source_length_B, source_BS.shape[1])
        bias = padding_bias(mask_BS)
        x_BSD = self.dropout(self.positions(self.embedding(source_BS)))
        for layer, kept in zip(self.layers, self.layer_drop.kept(len(self.layers)), strict=True):
            if kept:
                x_BSD = layer(x_BSD, bias)
        return EncoderOutput((Memory(self.norm(x_BSD), mask_BS),))
