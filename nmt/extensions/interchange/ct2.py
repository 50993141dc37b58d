"""Transformers in the format of CTranslate2, which runs them without PyTorch.

CTranslate2 computes the same network, so each weight is only stored under its name there. Queries, keys and values of
self-attention share one matrix, and so do keys and values of cross-attention; position codes are a table of the model.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nmt.core.errors import UserError, extra
from nmt.core.files import check_unused, new_folder
from nmt.data.vocabulary.sentencepiece import SentencePieceVocabulary
from nmt.extensions.interchange.pretrained.vocabulary import PretrainedVocabulary
from nmt.extensions.interchange.targets import Quantization, shortlists
from nmt.models.attention import MultiHeadAttention
from nmt.models.contracts import Decoder, Encoder
from nmt.models.networks.transformer import TransformerDecoder, TransformerEncoder
from nmt.translation.translator import Translator

ACTIVATIONS = {"relu": "RELU", "silu": "SWISH", "gelu": "GELU"}
"""Names of activation functions in nmt and in CTranslate2."""


def export(translator: Translator, output: Path, quantization: Quantization | None = None) -> None:
    """Writes a folder that ``ctranslate2.Translator`` loads, with the vocabularies beside the weights.

    The vocabulary of an imported model is a table of ids; its sentencepiece models are written, too.

    Args:
        translator: a Transformer with sentencepiece vocabularies.
        output: a new or empty folder; with ``decoding.shortlist`` it gets a file of shortlists.
        quantization: the type in which the weights are stored; None keeps float32.

    Raises:
        UserError: the model is of another kind, ctranslate2 isn't installed, or the folder is in use.
    """
    require_ctranslate2()
    check_exportable(translator)
    check_unused(output)
    spec = _specification(translator)
    spec.validate()
    spec.optimize(quantization=quantization)
    with new_folder(output) as temporary:
        spec.save(str(temporary))
        translator.vocabularies.save(temporary)
        if lists := shortlists(translator):
            source, target = translator.vocabularies.source, translator.vocabularies.target
            tokens = ["", *map(source.token, range(len(source)))]  # of the empty one are the ids of all shortlists
            lines = (f"{token}\t{' '.join(map(target.token, ids))}\n" for token, ids in zip(tokens, lists, strict=True))
            (temporary / "vmap.txt").write_text("".join(lines), "utf-8")
        for side in ("source", "target"):
            vocabulary = getattr(translator.vocabularies, side)
            if isinstance(vocabulary, PretrainedVocabulary):
                (temporary / f"{side}.spm").write_bytes(vocabulary.sentencepiece_model)


def check_exportable(
    translator: Translator,
    claim: str = "CTranslate2 runs Transformers",
    networks: Mapping[type[Encoder], Sequence[type[Decoder]]] = {TransformerEncoder: (TransformerDecoder,)},
) -> None:
    """Checks that a program can have a counterpart of a model.

    Args:
        claim: which models the program has, for the message.
        networks: encoders that it has, and the decoders that it has with each.

    Raises:
        UserError: the model translates no sentences, has another encoder or decoder, or has vocabularies that are not
            those of sentencepiece or of an imported model.
    """
    translator.task.require("export")
    encoder, decoder, kinds = translator.model.encoder, translator.model.decoder, translator.recipe.model
    if type(decoder) not in networks.get(type(encoder), ()):  # subclasses are others
        raise UserError(
            f"{claim}; this model has the encoder {kinds.encoder['type']} and the decoder {kinds.decoder['type']}.",
            "Train a Transformer by --set model.encoder.type=transformer (in recipes the decoder too), or nmt distill.",
        )
    for vocabulary in (translator.vocabularies.source, translator.vocabularies.target):
        if not isinstance(vocabulary, SentencePieceVocabulary | PretrainedVocabulary):
            raise UserError(
                "Only models with sentencepiece vocabularies are exported.",
                "Train it with --set vocabulary.type=unigram, bpe or character.",
            )


def require_ctranslate2() -> Any:
    """The ctranslate2 package; raises UserError where it is missing."""
    with extra("ctranslate2"):
        import ctranslate2
    return ctranslate2


def _specification(translator: Translator) -> Any:
    """The network as CTranslate2 describes it, with the weights."""
    from ctranslate2.specs import TransformerSpec
    from ctranslate2.specs.transformer_spec import TransformerDecoderSpec, TransformerEncoderSpec

    encoder, decoder = translator.model.encoder, translator.model.decoder
    assert isinstance(encoder, TransformerEncoder)
    assert isinstance(decoder, TransformerDecoder)
    encoder_spec = TransformerEncoderSpec(
        len(encoder.layers), encoder.num_heads, **_form(encoder, translator.recipe.model.encoder)
    )
    _set_ends(encoder_spec, encoder, encoder_spec.embeddings[0], num_positions(translator))
    for spec, layer in zip(encoder_spec.layer, encoder.layers, strict=True):
        _set_self_attention(spec.self_attention, layer.attention, layer.around_attention.norm)
        _set_feed_forward(spec.ffn, layer)

    alignment_layer, heads = alignment_heads(translator)
    there = TransformerDecoderSpec(
        len(decoder.layers),
        decoder.num_heads,
        **_form(decoder, translator.recipe.model.decoder),
        alignment_layer=alignment_layer,
        alignment_heads=len(heads),
    )
    _set_ends(there, decoder, there.embeddings, num_positions(translator))
    for number, (spec, block) in enumerate(zip(there.layer, decoder.layers, strict=True)):
        _set_self_attention(spec.self_attention, block.self_attention, block.around_self.norm)
        assert block.cross_attention is not None  # there is an encoder
        assert block.around_cross is not None
        _set_cross_attention(
            spec.attention, block.cross_attention, block.around_cross.norm, heads if number == alignment_layer else ()
        )
        _set_feed_forward(spec.ffn, block)
    there.projection.weight, there.projection.bias = _array(decoder.output.weight_VD), _array(decoder.output.bias_V)

    spec = TransformerSpec(encoder_spec, there)
    source, target = translator.vocabularies.source, translator.vocabularies.target
    spec.register_source_vocabulary([source.token(i) for i in range(len(source))])
    spec.register_target_vocabulary([target.token(i) for i in range(len(target))])
    spec.config.layer_norm_epsilon = 1e-5
    spec.config.add_source_eos = True
    first = target.sos if decoder.first_token is None else decoder.first_token
    spec.config.decoder_start_token = spec.config.bos_token = target.token(first)
    spec.config.eos_token, spec.config.unk_token = target.token(target.eos), target.token(target.unk)
    spec.config.add_attribute("alignment_layer", alignment_layer)
    spec.config.add_attribute("alignment_heads", len(heads))
    spec.config.add_attribute("alignment_attention", translator.aligner.heads.attention)
    return spec


def alignment_heads(translator: Translator) -> tuple[int, list[int]]:
    """The decoder layer whose cross-attention CTranslate2 returns, and the heads of it that it averages.

    Of the model's alignment heads these are the ones in the layer that has most of them: CTranslate2 reads one layer.
    """
    heads = [translator.model.decoder.heads[index] for index in translator.aligner.heads.heads]
    [(layer, _)] = Counter(head.layer for head in heads).most_common(1)
    assert layer is not None
    return layer, [head.index for head in heads if head.layer == layer]


def num_positions(translator: Translator) -> int:
    """Positions that the exported model has codes for: as many as the longest translation has pieces."""
    options = translator.recipe.decoding
    longest_source = translator.max_pieces + 1
    return max(longest_source, int(longest_source * options.max_length_ratio) + options.max_length_extra) + 1


def _form(side: TransformerEncoder | TransformerDecoder, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the arguments of a specification that say how its layers compute."""
    from ctranslate2.specs.common_spec import Activation

    return {
        "pre_norm": isinstance(side.norm, nn.LayerNorm),
        "layernorm_embedding": isinstance(side.embedding_norm, nn.LayerNorm),
        "activation": Activation[ACTIVATIONS[(options or {}).get("activation", "relu")]],
    }


def _set_ends(spec: Any, side: TransformerEncoder | TransformerDecoder, embedding: Any, length: int) -> None:
    """Fills in the parts before and after the layers."""
    if isinstance(side.embedding_norm, nn.LayerNorm):
        _set_norm(spec.layernorm_embedding, side.embedding_norm)
    embedding.weight = _array(side.embedding.weight)
    spec.scale_embeddings = side.embedding.scale != 1.0
    # Without max_input_length, as in Argos Translate, CTranslate2 reads 1,024 pieces of a source.
    code_1TD = side.positions(torch.zeros(1, max(length, 1024), side.positions.size))
    spec.position_encodings.encodings = _array(code_1TD[0])
    if isinstance(side.norm, nn.LayerNorm):
        _set_norm(spec.layer_norm, side.norm)


def _set_self_attention(spec: Any, attention: MultiHeadAttention, norm: nn.LayerNorm) -> None:
    query, key_value = attention.query, attention.key_value
    spec.linear[0].weight = np.concatenate([_array(query.weight), _array(key_value.weight)])
    spec.linear[0].bias = np.concatenate([_array(query.bias), _array(key_value.bias)])
    _set_linear(spec.linear[1], attention.out)
    _set_norm(spec.layer_norm, norm)


def _set_cross_attention(spec: Any, attention: MultiHeadAttention, norm: nn.LayerNorm, first: Sequence[int]) -> None:
    """Copy the weights with some heads first, in any order of which the output is the same."""
    for there, linear in zip(spec.linear, (attention.query, attention.key_value, attention.out), strict=True):
        _set_linear(there, linear)
    rest = [head for head in range(attention.num_heads) if head not in first]
    width = attention.query.out_features
    order_D = np.arange(width).reshape(attention.num_heads, -1)[[*first, *rest]].flatten()
    query, key_value, out = spec.linear
    for linear, rows in ((query, order_D), (key_value, np.concatenate([order_D, order_D + width]))):
        linear.weight, linear.bias = linear.weight[rows], linear.bias[rows]
    out.weight = np.ascontiguousarray(out.weight[:, order_D])
    _set_norm(spec.layer_norm, norm)


def _set_feed_forward(spec: Any, layer: Any) -> None:
    _set_linear(spec.linear_0, layer.feed_forward.inner)
    _set_linear(spec.linear_1, layer.feed_forward.out)
    _set_norm(spec.layer_norm, layer.around_feed_forward.norm)


def _set_linear(spec: Any, linear: nn.Linear) -> None:
    spec.weight, spec.bias = _array(linear.weight), _array(linear.bias)


def _set_norm(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def _array(tensor: Tensor) -> npt.NDArray[np.float32]:
    """A copy on the CPU: some of them are changed."""
    array: npt.NDArray[np.float32] = tensor.detach().float().cpu().numpy().copy()
    return array
