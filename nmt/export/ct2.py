"""Transformers in the format of CTranslate2, which runs them without PyTorch.

CTranslate2 computes the same network: what happens here is that each weight gets the name it has there. It fuses the
projections of queries, keys and values, has the keys and values of cross-attention in one matrix as we do, and adds
position codes from a table that is part of the model.
"""

import os
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nmt.data.vocabulary import SentencePieceVocabulary
from nmt.errors import UserError
from nmt.models.multihead import MultiHeadAttention
from nmt.models.transformer import FeedForward, Residual, TransformerDecoder, TransformerEncoder
from nmt.translator import Translator

Quantization = Literal["int8", "int16", "float16", "bfloat16"]

Array = npt.NDArray[np.float32]


def export(translator: Translator, output: Path, quantization: Quantization | None = None) -> None:
    """Write a folder that ``ctranslate2.Translator`` loads, with the sentencepiece models beside the weights.

    Args:
        translator: a Transformer with sentencepiece vocabularies.
        output: a new or empty folder.
        quantization: the type in which the weights are stored; None keeps float32.

    Raises:
        UserError: the model is of another kind, ctranslate2 isn't installed, or the folder is in use.
    """
    check_exportable(translator)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} exists already.", "Name a new folder with -o, or delete it.")
    spec = _specification(translator)
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        spec.validate()
        spec.optimize(quantization=quantization)
        spec.save(os.fspath(temporary))
        translator.vocabularies.save(temporary)
        os.replace(temporary, output)
    except OSError as error:
        raise UserError(f"{output} can't be written: {error.strerror}.", "Make room, or name another folder.") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_exportable(translator: Translator) -> None:
    """Raise UserError with the reason why a model can't be exported."""
    require_ctranslate2()
    encoder, decoder = translator.model.encoder, translator.model.decoder
    if type(encoder) is not TransformerEncoder or type(decoder) is not TransformerDecoder:  # no kind of its own
        kinds = {translator.recipe.model.encoder["type"], translator.recipe.model.decoder["type"]} - {"transformer"}
        raise UserError(
            f"CTranslate2 runs Transformers; this model is {' and '.join(sorted(kinds))}.",
            "Use `nmt translate` for it, or train one such as multi30k/transformer.",
        )
    if translator.recipe.data.context is not None:
        raise UserError(
            "Models of dialogues are not exported: their turns are put together by nmt.", "Use `nmt translate`."
        )
    vocabularies = translator.vocabularies
    for vocabulary in (vocabularies.source, vocabularies.target):
        if not isinstance(vocabulary, SentencePieceVocabulary):
            raise UserError(
                "Only models with sentencepiece vocabularies are exported; this one has whole words.",
                "Train it with --set vocabulary.type=unigram, bpe or character.",
            )


def require_ctranslate2() -> Any:
    """The ctranslate2 package; raises UserError where it is missing."""
    try:
        import ctranslate2
    except ImportError:
        raise UserError("The package ctranslate2 is not installed.", "pip install 'nmt[ctranslate2]'") from None
    return ctranslate2


def _specification(translator: Translator) -> Any:
    """The network as CTranslate2 describes it, filled with the weights."""
    from ctranslate2.specs import TransformerSpec

    spec = TransformerSpec(_encoder(translator), _decoder(translator))
    source, target = translator.vocabularies.source, translator.vocabularies.target
    spec.register_source_vocabulary([source.token(i) for i in range(len(source))])
    spec.register_target_vocabulary([target.token(i) for i in range(len(target))])
    config = spec.config
    config.layer_norm_epsilon = 1e-5
    config.add_source_eos = True
    config.decoder_start_token = config.bos_token = target.token(target.sos)
    config.eos_token, config.unk_token = target.token(target.eos), target.token(target.unk)
    return spec


def _encoder(translator: Translator) -> Any:
    from ctranslate2.specs.transformer_spec import TransformerEncoderSpec

    encoder = translator.model.encoder
    assert isinstance(encoder, TransformerEncoder)
    pre_norm = isinstance(encoder.norm, nn.LayerNorm)
    spec = TransformerEncoderSpec(len(encoder.layers), encoder.num_heads, pre_norm)
    spec.embeddings[0].weight = _array(encoder.embedding.weight)
    _set_ends(spec, encoder, translator)
    for there, layer in zip(spec.layer, encoder.layers, strict=True):
        _set_self_attention(there.self_attention, layer.attention, layer.around_attention)
        _set_feed_forward(there.ffn, layer.feed_forward, layer.around_feed_forward)
    return spec


def _decoder(translator: Translator) -> Any:
    from ctranslate2.specs.transformer_spec import TransformerDecoderSpec

    decoder = translator.model.decoder
    assert isinstance(decoder, TransformerDecoder)
    pre_norm = isinstance(decoder.norm, nn.LayerNorm)
    spec = TransformerDecoderSpec(len(decoder.layers), decoder.num_heads, pre_norm)
    spec.embeddings.weight = _array(decoder.embedding.weight)
    _set_ends(spec, decoder, translator)
    for there, layer in zip(spec.layer, decoder.layers, strict=True):
        _set_self_attention(there.self_attention, layer.self_attention, layer.around_self)
        _set_cross_attention(there.attention, layer.cross_attention, layer.around_cross)
        _set_feed_forward(there.ffn, layer.feed_forward, layer.around_feed_forward)
    spec.projection.weight = _array(decoder.output.weight_VD)
    spec.projection.bias = _array(decoder.output.bias_V)
    return spec


def _set_ends(spec: Any, side: TransformerEncoder | TransformerDecoder, translator: Translator) -> None:
    """What comes before the layers and after them."""
    spec.scale_embeddings = side.embedding.is_scaled
    with torch.inference_mode():
        code_1TD = side.positions(torch.zeros(1, num_positions(translator), side.positions.size))
    spec.position_encodings.encodings = _array(code_1TD[0])
    if isinstance(side.norm, nn.LayerNorm):
        _set_norm(spec.layer_norm, side.norm)


def num_positions(translator: Translator) -> int:
    """Positions that the exported model has codes for: as many as the longest translation has pieces."""
    options = translator.recipe.decoding
    longest_source = translator.max_pieces + 1
    return max(longest_source, int(longest_source * options.max_length_ratio) + options.max_length_extra) + 1


def _set_self_attention(spec: Any, attention: MultiHeadAttention, around: Residual) -> None:
    query, key_value = attention.query, attention.key_value
    spec.linear[0].weight = np.concatenate([_array(query.weight), _array(key_value.weight)])
    spec.linear[0].bias = np.concatenate([_array(query.bias), _array(key_value.bias)])
    _set_linear(spec.linear[1], attention.out)
    _set_norm(spec.layer_norm, around.norm)


def _set_cross_attention(spec: Any, attention: MultiHeadAttention, around: Residual) -> None:
    for there, linear in zip(spec.linear, (attention.query, attention.key_value, attention.out), strict=True):
        _set_linear(there, linear)
    _set_norm(spec.layer_norm, around.norm)


def _set_feed_forward(spec: Any, feed_forward: FeedForward, around: Residual) -> None:
    _set_linear(spec.linear_0, feed_forward.inner)
    _set_linear(spec.linear_1, feed_forward.out)
    _set_norm(spec.layer_norm, around.norm)


def _set_linear(spec: Any, linear: nn.Linear) -> None:
    spec.weight, spec.bias = _array(linear.weight), _array(linear.bias)


def _set_norm(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def _array(tensor: Tensor) -> Array:
    """A copy on the CPU: some of them are changed."""
    array: Array = tensor.detach().float().cpu().numpy().copy()
    return array
