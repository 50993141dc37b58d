"""The tables of components, and how a recipe's ``model`` becomes a network."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from nmt.core.device import total_memory
from nmt.core.errors import Problems, UserError
from nmt.core.model_directory import ModelDirectory
from nmt.data.vocabulary.files import Vocabularies
from nmt.models import attention
from nmt.models.contracts import Attention, Decoder, DecoderParts, Encoder, EncoderParts, OutputLayer, table_ids
from nmt.models.layers import Embedding
from nmt.models.networks.recurrence import initialised_weights
from nmt.models.networks.recurrent import BahdanauDecoder, LuongDecoder, RecurrentDecoder, RecurrentEncoder
from nmt.models.networks.transformer import TransformerDecoder, TransformerEncoder
from nmt.models.seq2seq import NoEncoder, Seq2Seq
from nmt.models.weights import check_size, load_weights
from nmt.recipe.load import load_recipe
from nmt.recipe.options import validate
from nmt.recipe.registry import Table
from nmt.recipe.schema import NO_ENCODER, ModelOptions, Recipe

ENCODERS: Table[Encoder] = Table(
    "encoder",
    Encoder,
    {
        "recurrent": RecurrentEncoder,
        "transformer": TransformerEncoder,
        NO_ENCODER: NoEncoder,
    },
)

ATTENTIONS: Table[Attention] = Table(
    "attention",
    Attention,
    {
        "additive": attention.AdditiveAttention,
        "concat": attention.ConcatAttention,
        "cosine": attention.CosineAttention,
        "plain_cosine": attention.PlainCosineAttention,
        "dot": attention.DotAttention,
        "general": attention.GeneralAttention,
        "location": attention.LocationAttention,
        "scaled_dot": attention.ScaledDotAttention,
    },
)

DECODERS: Table[Decoder] = Table(
    "decoder",
    Decoder,
    {
        "recurrent": RecurrentDecoder,
        "bahdanau": BahdanauDecoder,
        "luong": LuongDecoder,
        "transformer": TransformerDecoder,
    },
)


def make_attention(values: dict[str, Any], query_size: int, memory_size: int) -> Attention:
    """The attention that a decoder's ``attention`` mapping describes."""
    attention, options = ATTENTIONS.choose(values, "model.decoder.attention")
    return attention(options, query_size, memory_size)


def build(model: Mapping[str, Any] | ModelOptions | Recipe, vocabularies: Vocabularies, num_copies: int = 1) -> Seq2Seq:
    """Makes an encoder and a decoder with fresh weights from torch's random state.

    Args:
        model: a recipe, or its part ``model``: a mapping with ``encoder``, ``decoder`` and ``embedding_size``.
        vocabularies: of the source and the target; their sizes are those of the embeddings.
        num_copies: numbers that memory must hold for each weight; 4 in training, with gradients and two moments.

    Returns:
        A module with ``encoder(source_BS, source_length_B)`` and ``decoder.unroll(target_input_BT, encoded)``, whose
        features ``decoder.output`` turns into logits; ``decoder.start`` and ``decoder.step`` decode token by token.

    Raises:
        UserError: options that are wrong, that don't fit together, or that need more memory than there is.
    """
    model = model.model if isinstance(model, Recipe) else model
    options = model if isinstance(model, ModelOptions) else validate(ModelOptions, model, "model")
    _check_memory(num_parameters(options, vocabularies), num_copies)
    return _assembled(options, vocabularies)


def _check_memory(num_parameters: int | None, num_copies: int = 1) -> None:
    num_bytes, memory = 4 * num_copies * (num_parameters or 0), total_memory()
    if memory is not None and num_bytes > memory:
        kinds = "weights, gradients and moments" if num_copies > 1 else "weights"
        raise UserError(
            f"The {kinds} of this model need {num_bytes / 1e9:,.1f} GB; this machine has {memory / 1e9:,.1f} GB.",
            "Lower model.embedding_size, the sizes and num_layers of model.encoder and model.decoder, or "
            "vocabulary.size.",
        )


def num_parameters(model: ModelOptions, vocabularies: Vocabularies) -> int | None:
    """Returns the number of parameters of a model without allocating any; None if it can't be known beforehand. Raises
    UserError as :func:`build`."""
    try:
        return sum(map(prod, parameter_shapes(model, vocabularies).values()))
    except (RuntimeError, TypeError):  # a component of a plugin that computes with its weights when it is made
        return None


def parameter_shapes(model: ModelOptions, vocabularies: Vocabularies) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a model's parameters by name, shared ones once, without allocating any. Raises UserError as
    :func:`build`."""
    with torch.device("meta"), _NoInitialisation():
        network = _assembled(model, vocabularies)
    return {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}


class _NoInitialisation(TorchFunctionMode):
    """Leaves out operations in place on parameters, such as those that draw them, which take long for nothing here."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, given = getattr(func, "__name__", ""), (*args, *(kwargs or {}).values())
        is_initial = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
        changed = (given[0], getattr(given[0], "_base", None)) if given else ()  # a gate's matrix can be a view
        if is_initial and any(isinstance(each, nn.Parameter) for each in changed):
            return given[0]  # torch.nn.init gives its tensor by name
        return func(*args, **(kwargs or {}))


def read_model(directory: str | Path, device: torch.device) -> tuple[Recipe, Vocabularies, Seq2Seq]:
    """Recipe, vocabularies and model of a model directory; the model is in eval mode. Raises UserError if it isn't a
    model directory, is incomplete, damaged, or from a newer nmt."""
    files = ModelDirectory(directory)
    files.check()
    recipe = load_recipe(files.recipe)
    vocabularies = Vocabularies.load(files.path)
    size = num_parameters(recipe.model, vocabularies)
    check_size(files.weights, size)
    _check_memory(size)
    with _NoInitialisation():
        model = _assembled(recipe.model, vocabularies)
    load_weights(model, files.weights)
    model.to(device).eval()
    return recipe, vocabularies, model


def _assembled(options: ModelOptions, vocabularies: Vocabularies) -> Seq2Seq:
    """Returns the network, whatever memory it needs."""
    problems = Problems()
    with problems:
        encoder_class, encoder_options = ENCODERS.choose(options.encoder, "model.encoder")
    with problems:
        decoder_class, decoder_options = DECODERS.choose(options.decoder, "model.decoder")
    problems.raise_if_any("model")
    if options.tie == "all" and not vocabularies.share_ids:
        raise UserError(
            "model.tie: all shares source and target embeddings.", "Set vocabulary.joint to true, or tie: target."
        )
    size, scale = options.embedding_size, options.scale_embeddings
    source = Embedding(len(vocabularies.source), size, vocabularies.source.pad, scale)
    shared = source.weight if options.tie == "all" else None
    target = Embedding(len(vocabularies.target), size, vocabularies.target.pad, scale, shared)
    tied_to = None if options.tie == "none" else target.weight
    output = OutputLayer(size, len(vocabularies.target), tied_to, options.output_bias)
    try:
        encoder = encoder_class(encoder_options, EncoderParts(source, vocabularies.source))
        parts = DecoderParts(target, output, encoder.memory_sizes, encoder.final_size, make_attention)
        model = Seq2Seq(encoder, decoder_class(decoder_options, parts))
    except ValueError as error:
        raise UserError(f"model: {error}.", "Change model.encoder or model.decoder in the recipe.") from None
    if options.init == "xavier":
        _xavier(model)
    return model


def _xavier(model: nn.Module) -> None:
    """Glorot & Bengio 2010 for every matrix but the embeddings, the output layer and what a cell's options decide."""
    kept = table_ids(model) | {id(weight) for weight in initialised_weights(model)}
    for parameter in model.parameters():
        if parameter.dim() > 1 and parameter.requires_grad and id(parameter) not in kept:
            nn.init.xavier_uniform_(parameter)
