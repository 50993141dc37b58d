"""Transformers in the format ONNX, as two networks: the encoder, and a step of the decoder with its cache.

``encoder.onnx`` reads ``source`` [B, S] and ``mask`` [B, S] and gives the keys and values of each layer's attention to
the source. ``step.onnx`` reads them, a ``token`` of each of K hypotheses [B, K], its ``position`` and the state, and
gives log-probabilities [B, K, V], the mean attention of the alignment heads [B, K, S], the best continuations of the
hypotheses and the new state. With ``decoding.shortlist`` it also reads a ``shortlist`` of C target ids, and V is C.
``nmt/extensions/interchange/runtime/translate.py``, which is copied into the folder, runs both.
"""

import contextlib
import copy
import importlib.util
import io
import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import nmt.extensions.interchange.runtime.translate as runtime
from nmt.core.errors import UserError
from nmt.core.files import check_unused, new_folder
from nmt.core.version import __version__
from nmt.data.batch import Ids
from nmt.decoding.hypotheses import Hypothesis
from nmt.extensions.interchange.check import PLAIN, check, left_out
from nmt.extensions.interchange.ct2 import check_exportable, num_positions
from nmt.extensions.interchange.pretrained.vocabulary import PretrainedVocabulary
from nmt.extensions.interchange.targets import ExportTarget, Quantization, shortlists
from nmt.extensions.ssru.network import SsruDecoder, SsruLayer
from nmt.models.attention import KeysValues, MultiHeadAttention, padding_bias
from nmt.models.contracts import select_heads
from nmt.models.layers import Positions
from nmt.models.networks.transformer import DecoderLayer, TransformerDecoder, TransformerEncoder
from nmt.recipe.schema import DecodingOptions
from nmt.translation.translator import Translator

OPSET = 18
NETWORKS, SHARED = ("encoder.onnx", "step.onnx"), "shared.bin"
MIN_SHARED_BYTES = 1 << 16
DECODING = (
    "beam_size", "batch_size", "length_penalty", "alpha", "early_stopping", "max_length", "max_length_ratio",
    "max_length_extra",
)  # fmt: skip
"""Options of search that the runtime has."""
CARRIED = {**PLAIN, **runtime.CHOICES}
"""Values of decoding options that the runtime has a counterpart for."""


def export_onnx(translator: Translator, output: Path, quantization: str | None = None) -> None:
    """Writes a folder that :mod:`nmt.extensions.interchange.runtime` translates with.

    Args:
        translator: on the CPU, with sentencepiece vocabularies: a Transformer, or its encoder with an SSRU decoder.
        output: a new or empty folder.
        quantization: ``int8`` stores the weights of matrix products and embeddings in 8 bits; None keeps float32.

    Raises:
        UserError: the model or the quantization has no ONNX counterpart, a package isn't installed, or the folder is in
            use.
    """
    for package in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"The package {package} is not installed.", "pip install 'nmt[onnx]'")
    claim = "onnxruntime runs Transformers and SSRU decoders"
    check_exportable(translator, claim, (TransformerDecoder, SsruDecoder))
    if quantization not in (None, "int8"):
        raise UserError(f"The ONNX export has no {quantization}.", "Use --quantization int8, or leave it out.")
    check_unused(output)
    with new_folder(output) as temporary:
        state = _write_networks(translator, temporary)
        if quantization:
            _quantize(temporary)
        _share(temporary)
        config = configuration(translator, state)
        write_shortlist(translator, temporary, config["shortlist"])
        translator.vocabularies.save(temporary)
        text = json.dumps(config, indent=2, ensure_ascii=False)
        (temporary / "config.json").write_text(text + "\n", "utf-8")
        shutil.copyfile(runtime.__file__, temporary / "translate.py")


class _PositionTable(nn.Embedding):
    """The position codes as a table, with a position that is a tensor."""

    def __init__(self, positions: Positions, length: int) -> None:
        with torch.inference_mode():
            codes_TD = positions(torch.zeros(1, length, positions.size))[0]
        super().__init__(length, positions.size, _weight=codes_TD.clone())

    def forward(self, x_BTD: Tensor, start: Tensor | None = None) -> Tensor:
        return x_BTD + super().forward(torch.arange(x_BTD.shape[1]) if start is None else start[None])


class _OutputLayer(nn.Module):
    """Logits of vectors [..., D] for all tokens, or for those of a shortlist."""

    def __init__(self, weight_VD: nn.Parameter, bias_V: Tensor) -> None:
        super().__init__()
        self.weight_VD, self.bias_V = weight_VD, nn.Parameter(bias_V)

    def forward(self, features: Tensor, ids_C: Tensor | None) -> Tensor:
        if ids_C is None:
            return features @ self.weight_VD.T + self.bias_V
        return features @ self.weight_VD.index_select(0, ids_C).T + self.bias_V[ids_C]


class _Encoder(nn.Module):
    """The encoder and the projection of its memory: keys and values of each layer [B, H, S, d]."""

    def __init__(self, encoder: TransformerEncoder, attentions: Sequence[MultiHeadAttention]) -> None:
        super().__init__()
        self.encoder, self.attentions = encoder, nn.ModuleList(attentions)

    def forward(self, source_BS: Tensor, mask_BS: Tensor) -> tuple[Tensor, ...]:
        encoder, bias = self.encoder, padding_bias(mask_BS)
        x_BSD = encoder.embedding_norm(encoder.positions(encoder.embedding(source_BS)))
        for layer in encoder.layers:
            x_BSD = layer(x_BSD, bias)
        memory_BSD, parts = encoder.norm(x_BSD), list[Tensor]()
        for attention in self.attentions:
            parts += cast(MultiHeadAttention, attention).project(memory_BSD)
        return tuple(parts)


def best_continuations(
    log_p_BKV: Tensor, score_BK: Tensor, at_limit_B: Tensor, eos: int, never: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the C = 2K best continuations of the hypotheses of each sentence.

    A search needs no more, and all log-probabilities are 16 MB for 100 sentences, 5 hypotheses and 8,000 tokens.

    Args:
        log_p_BKV: log-probabilities of the next token.
        score_BK: log-probabilities of the hypotheses.
        at_limit_B: whether EOS is the only continuation.
        eos: its id.
        never: ids that no translation contains.

    Returns:
        Their log-probabilities, best first, the places of their hypotheses, and their tokens, each [B, C].
    """
    _, size, num_tokens = log_p_BKV.shape
    value_BKC, token_BKC = log_p_BKV.topk(cast(Any, torch).sym_min(2 * size + len(never), num_tokens))
    for token in never:
        value_BKC = value_BKC.masked_fill(token_BKC == token, -inf)
    ended_BKC = functional.pad(log_p_BKV[:, :, eos, None], (0, value_BKC.shape[2] - 1), value=-inf)
    value_BKC = score_BK[:, :, None] + torch.where(at_limit_B[:, None, None], ended_BKC, value_BKC)
    token_BKC = token_BKC.masked_fill(at_limit_B[:, None, None], eos)
    value_BC, place_BC = value_BKC.flatten(1).topk(2 * size)
    parent_BC = place_BC // value_BKC.shape[2]
    return value_BC, parent_BC.int(), token_BKC.flatten(1).gather(1, place_BC).int()


class _Step(nn.Module):
    """A step of a decoder. A state is a list of tensors [B, K, …], and memory the keys and values of each layer."""

    def __init__(
        self, decoder: TransformerDecoder | SsruDecoder, heads: Sequence[int], eos: int, never: Sequence[int]
    ) -> None:
        super().__init__()
        self.decoder, self.heads, self.eos, self.never = decoder, list(heads), eos, list(never)

    def forward(
        self,
        token_BK: Tensor,
        position: Tensor,
        mask_BS: Tensor,
        score_BK: Tensor,
        at_limit_B: Tensor,
        memory: Sequence[Tensor],
        state: Sequence[Tensor],
        shortlist_C: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        decoder, bias, weights, parts = self.decoder, padding_bias(mask_BS), list[Tensor](), list[Tensor]()
        x_BKD = decoder.positions(decoder.embedding(token_BK), position)
        if isinstance(decoder, TransformerDecoder):
            x_BKD = decoder.embedding_norm(x_BKD)
        size = len(state) // len(decoder.layers)
        for number, layer in enumerate(decoder.layers):
            own, keys_values = state[size * number : size * (number + 1)], (memory[2 * number], memory[2 * number + 1])
            x_BKD, weights_BHKS, new = self.read(layer, x_BKD, own, keys_values, bias)
            weights.append(weights_BHKS)
            parts += new
        log_p_BKV = cast(Any, decoder.output)(decoder.norm(x_BKD), shortlist_C).log_softmax(-1)
        attention_BKS = select_heads(torch.cat(weights, dim=1), self.heads).mean(1)
        # The special ids are the first of a shortlist, so they have the same places in it.
        value_BC, parent_BC, token_BC = best_continuations(log_p_BKV, score_BK, at_limit_B, self.eos, self.never)
        if shortlist_C is not None:
            token_BC = shortlist_C[token_BC.long()].int()
        return log_p_BKV, attention_BKS, log_p_BKV[:, :, self.eos], value_BC, parent_BC, token_BC, *parts

    def read(
        self, layer: Any, x_BKD: Tensor, state: Sequence[Tensor], keys_values: KeysValues, bias: Tensor
    ) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        """Returns the output of a layer [B, K, D], its attention weights [B, H, K, S] and its new state."""
        raise NotImplementedError

    def initial_shapes(self) -> list[list[int]]:
        """Shapes of the first state, after [B, K]; it is zero."""
        raise NotImplementedError


class _TransformerStep(_Step):
    """The cache of a hypothesis holds its own past alone: keys and values of each layer [B, K, H, C, d]."""

    def read(
        self, layer: DecoderLayer, x_BKD: Tensor, state: Sequence[Tensor], keys_values: KeysValues, bias: Tensor
    ) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        assert layer.cross_attention is not None  # there is an encoder
        assert layer.around_cross is not None
        y_N1D, shape = layer.around_self.before(x_BKD).flatten(0, 1)[:, None], x_BKD.shape[:2]
        new = (torch.unflatten(part, 0, shape) for part in layer.self_attention.project(y_N1D))
        past = [torch.cat(pair, dim=3) for pair in zip(state, new, strict=True)]
        own = past[0].flatten(0, 1), past[1].flatten(0, 1)
        attended_N1D, _ = layer.self_attention(y_N1D, own, torch.zeros(1))
        x_BKD = layer.around_self.after(x_BKD, torch.unflatten(attended_N1D[:, 0], 0, shape))
        attended_BKD, weights_BHKS = layer.cross_attention(layer.around_cross.before(x_BKD), keys_values, bias, True)
        x_BKD = layer.around_cross.after(x_BKD, attended_BKD)
        y_BKD = layer.feed_forward(layer.around_feed_forward.before(x_BKD))
        return layer.around_feed_forward.after(x_BKD, y_BKD), cast(Tensor, weights_BHKS), past

    def initial_shapes(self) -> list[list[int]]:
        decoder = cast(TransformerDecoder, self.decoder)
        return [[decoder.num_heads, 0, decoder.embedding.size // decoder.num_heads]] * (2 * len(decoder.layers))


class _SsruStep(_Step):
    """The state is the cell of each layer, [B, K, D]."""

    def read(
        self, layer: SsruLayer, x_BKD: Tensor, state: Sequence[Tensor], keys_values: KeysValues, bias: Tensor
    ) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        y_BKD, [cell_BKD] = layer.around_unit.before(x_BKD), state
        forget_BKD = layer.unit.forget(y_BKD).sigmoid()
        cell_BKD = forget_BKD * cell_BKD + (1 - forget_BKD) * layer.unit.value(y_BKD)
        x_BKD = layer.around_unit.after(x_BKD, cell_BKD.relu())
        attended_BKD, weights_BHKS = layer.attention(layer.around_attention.before(x_BKD), keys_values, bias, True)
        x_BKD = layer.around_attention.after(x_BKD, attended_BKD)
        if layer.feed_forward is not None and layer.around_feed_forward is not None:
            y_BKD = layer.feed_forward(layer.around_feed_forward.before(x_BKD))
            x_BKD = layer.around_feed_forward.after(x_BKD, y_BKD)
        return x_BKD, weights_BHKS, [cell_BKD]

    def initial_shapes(self) -> list[list[int]]:
        return [[self.decoder.embedding.size]] * len(self.decoder.layers)


def networks(translator: Translator) -> tuple[nn.Module, _Step]:
    """Returns the encoder and the step of the decoder as they are exported."""
    model, length = copy.deepcopy(translator.model).eval(), num_positions(translator)
    encoder, decoder = cast(TransformerEncoder, model.encoder), cast(TransformerDecoder | SsruDecoder, model.decoder)
    decoder.output = cast(Any, _OutputLayer(cast(Any, decoder.output.weight_VD), decoder.output.bias_V))
    for side in (encoder, decoder):
        side.positions = cast(Any, _PositionTable(side.positions, length))
    heads, attentions = translator.aligner.heads.heads, list[MultiHeadAttention]()
    target = translator.vocabularies.target
    never = [target.pad, target.sos]  # no translation contains them
    step: _Step
    if isinstance(decoder, TransformerDecoder):
        step = _TransformerStep(decoder, heads, target.eos, never)
        attentions = [layer.cross_attention for layer in decoder.layers if layer.cross_attention is not None]
    else:
        step = _SsruStep(decoder, heads, target.eos, never)
        attentions = [layer.attention for layer in decoder.layers]
    return _Encoder(encoder, attentions).eval(), step.eval()


def _write_networks(translator: Translator, folder: Path) -> dict[str, list[int]]:
    """Writes both networks; returns the shape of each part of the first state."""
    network, step = networks(translator)
    # No size is 0 or 1: the exporter takes such a size for a constant.
    source_BS, mask_BS = torch.full((2, 5), 4), torch.ones(2, 5, dtype=torch.bool)
    with torch.inference_mode():
        memory = [part.clone() for part in network(source_BS, mask_BS)]
    names = [f"memory.{number}" for number in range(len(memory))]
    any_size = torch.export.Dim.DYNAMIC
    of_sentences = {0: any_size, 1: any_size}
    shapes_of_source = (of_sentences, of_sentences)
    _write(network, (source_BS, mask_BS), shapes_of_source, folder / "encoder.onnx", ["source", "mask"], names)
    shapes = step.initial_shapes()
    state = [torch.zeros(2, 3, *(size or 7 for size in shape)) for shape in shapes]
    parts = [f"state.{number}" for number in range(len(state))]
    of_state = [of_sentences | {2 + axis: any_size for axis, size in enumerate(shape) if not size} for shape in shapes]
    of_memory = [{0: any_size, 2: any_size}] * len(memory)
    num_shortlists = int(bool(translator.recipe.decoding.shortlist))
    example = (torch.full((2, 3), 4), torch.tensor(7), mask_BS, torch.zeros(2, 3), mask_BS[:, 0], memory, state)
    sizes: tuple[Any, ...] = (of_sentences, {}, of_sentences, of_sentences, {0: any_size}, of_memory, of_state)
    _write(
        step,
        (*example, *[torch.arange(50)] * num_shortlists),
        (*sizes, *[{0: any_size}] * num_shortlists),
        folder / "step.onnx",
        ["token", "position", "mask", "score", "at_limit", *names, *parts, *["shortlist"] * num_shortlists],
        ["log_probability", "attention", *runtime.BEST, *(f"new.{name}" for name in parts)],
    )
    return dict(zip(parts, shapes, strict=True))


def _write(
    network: nn.Module, example: tuple[Any, ...], sizes: Any, path: Path, inputs: list[str], outputs: list[str]
) -> None:
    with torch.inference_mode(False), torch.no_grad(), _silent():
        torch.onnx.export(
            network,
            example,
            path,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=sizes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps the progress and warnings of the exporter from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _quantize(folder: Path) -> None:
    """Stores the matrices of both networks in 8 bits: a scale for each column of a product, and each row of a table."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _silent():
        for path in map(folder.joinpath, NETWORKS):
            quantize_dynamic(onnx.load(path), path, ["MatMul"], per_channel=True, weight_type=QuantType.QInt8)
            network = onnx.load(path)
            for table in [table for table in network.graph.initializer if len(table.dims) == 2]:
                _quantize_table(network.graph, table)
            onnx.save(network, path)


def _quantize_table(graph: Any, table: Any) -> None:
    """Stores a table of vectors in 8 bits if its rows are read, and lets the output layer multiply in 8 bits."""
    from onnx import TensorProto, helper, numpy_helper

    readers = [node for node in graph.node if node.op_type in ("Gather", "Transpose") and node.input[0] == table.name]
    if not readers:
        return
    weight_VD, quantized, scale = numpy_helper.to_array(table), f"{table.name}_quantized", f"{table.name}_scale"
    scale_V1 = (abs(weight_VD).max(1, keepdims=True) / 127).clip(1e-30)
    weight_VD = (weight_VD / scale_V1).round().astype("int8")
    graph.initializer.extend([numpy_helper.from_array(weight_VD, quantized), numpy_helper.from_array(scale_V1, scale)])
    graph.initializer.remove(table)
    user_of = {name: node for node in graph.node for name in node.input}
    for node in readers:
        replaced, rows, of_rows, steps = [node], quantized, scale, list[Any]()
        if node.op_type == "Gather":
            rows, of_rows = (f"{node.output[0]}_{part}" for part in ("quantized", "scale"))
            steps += [("Gather", [quantized, node.input[1]], [rows]), ("Gather", [scale, node.input[1]], [of_rows])]
            if user_of[node.output[0]].op_type == "Transpose":
                replaced.append(user_of[node.output[0]])
        if replaced[-1].op_type == "Transpose":  # of the output layer
            replaced.append(user_of[replaced[-1].output[0]])
            features, of_features, zero, columns, of_columns, sums, of_sums = (
                f"{replaced[-1].output[0]}_{number}" for number in range(7)
            )
            steps += [
                ("Transpose", [rows], [columns]),
                ("Transpose", [of_rows], [of_columns]),
                ("DynamicQuantizeLinear", [replaced[-1].input[0]], [features, of_features, zero]),
                ("MatMulInteger", [features, columns, zero], [sums]),
                ("Mul", [of_features, of_columns], [of_sums]),
            ]
            rows, of_rows = sums, of_sums
        [result] = replaced[-1].output
        steps += [("Cast", [rows], [f"{result}_unscaled"]), ("Mul", [f"{result}_unscaled", of_rows], [result])]
        place = [*graph.node].index(replaced[-1])
        for operator, inputs, outputs in reversed(steps):
            attributes: dict[str, Any] = {"to": TensorProto.FLOAT} if operator == "Cast" else {}
            graph.node.insert(place, helper.make_node(operator, inputs, outputs, **attributes))
        for each in replaced:
            graph.node.remove(each)


def _share(folder: Path) -> None:
    """Moves the largest matrix to a file of its own if both networks have it, so that it is there once."""
    import onnx
    from onnx.external_data_helper import set_external_data

    networks = {name: onnx.load(folder / name) for name in NETWORKS}
    tables = [{table.raw_data: table for table in network.graph.initializer} for network in networks.values()]
    content = max(tables[0].keys() & tables[1].keys(), key=len, default=b"")
    if len(content) < MIN_SHARED_BYTES:
        return
    (folder / SHARED).write_bytes(content)
    for (name, network), own in zip(networks.items(), tables, strict=True):
        set_external_data(own[content], SHARED)
        own[content].ClearField("raw_data")
        onnx.save(network, folder / name)


def write_shortlist(translator: Translator, folder: Path, kind: str | None) -> None:
    """Writes the lists of :func:`nmt.extensions.interchange.targets.shortlists` as a type, each after its length."""
    if lists := shortlists(translator):
        numbers = [number for ids in lists for number in (len(ids), *ids)]
        np.array(numbers, dtype=kind).tofile(folder / runtime.SHORTLIST)


def configuration(translator: Translator, state: dict[str, list[int]]) -> dict[str, Any]:
    """Returns the content of ``config.json``."""
    data, vocabularies, decoding = translator.recipe.data, translator.vocabularies, translator.recipe.decoding
    source, target = vocabularies.source, vocabularies.target
    of_source: dict[str, Any] = {"pad": source.pad, "eos": source.eos}
    of_target: dict[str, Any] = {"sos": target.sos, "eos": target.eos, "size": len(target)}
    for name, side, options in (("source", source, of_source), ("target", target, of_target)):
        options["file"] = f"vocabulary{'' if vocabularies.joint else '.' + name}{side.suffix}"
    if not isinstance(source, PretrainedVocabulary):  # whose file has its tags and hidden ids
        hidden = {target.pad, target.sos, target.eos, target.separator, *target.tags.values()} - {None}
        of_source["tags"], of_target["hidden"] = dict(source.tags), sorted(cast(set[int], hidden))
    return {
        "format": "nmt-onnx",
        "version": runtime.FORMAT,
        "nmt": __version__,
        "languages": [data.source, data.target],
        "max_pieces": translator.max_pieces,
        "num_positions": num_positions(translator) - 1,
        "first": translator.recipe.model.decoder.get("first_token"),
        "source": of_source,
        "target": of_target,
        "state": state,
        "shortlist": np.min_scalar_type(len(target)).name if decoding.shortlist else None,
        "decoding": carried(decoding),
    }


def carried(options: DecodingOptions) -> dict[str, Any]:
    """Returns the options of search that the runtime has; the length penalty of a plugin becomes ``average``."""
    found = options.model_dump(include=set(DECODING))
    if options.length_penalty not in runtime.CHOICES["length_penalty"]:
        found |= {"length_penalty": "average", "alpha": 1.0}
    return {name: found[name] for name in DECODING}


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turns an error of the runtime into a UserError."""
    try:
        yield
    except runtime.FolderError as error:
        raise UserError(f"onnxruntime: {error}.", "Export the model again.") from None


class OnnxModel:
    """A folder that :func:`export_onnx` wrote, run by :mod:`nmt.extensions.interchange.runtime`.

    Raises:
        UserError: the folder can't be loaded.
    """

    def __init__(self, directory: Path) -> None:
        with _explained():
            self.model = runtime.load(directory, torch.get_num_threads())

    def translate(self, sources: Sequence[Ids]) -> list[list[int]]:
        """Returns the best translation of each encoded sentence, by the search that the folder names."""
        found = self._search(sources)
        return [of_sentence[0].ids if of_sentence else [] for of_sentence in found]

    def search(self, sources: Sequence[Ids], options: DecodingOptions) -> list[list[Hypothesis]]:
        """Returns the best translations of encoded sentences by beam search, best first."""
        found = self._search(sources, **{name: getattr(options, name) for name in DECODING})
        return [[Hypothesis(*each) for each in of_sentence] for of_sentence in found]

    def _search(self, sources: Sequence[Ids], **options: Any) -> list[list[runtime.Hypothesis]]:
        with _explained():
            return self.model.search([list(map(int, ids)) for ids in sources], **options)

    def score(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[list[float]]:
        """Returns log-probabilities of the tokens and EOS of given translations: ids of source and target."""
        with _explained():
            return [self.model.score(list(map(int, source)), list(map(int, target))) for source, target in pairs]


def open_onnx(translator: Translator) -> OnnxModel:
    """Exports a model to a folder that is deleted again, and opens it; see :func:`export_onnx`."""
    with TemporaryDirectory() as scratch:
        export_onnx(translator, Path(scratch) / "model")
        return OnnxModel(Path(scratch) / "model")


class Onnx(ExportTarget):
    """A folder for :mod:`nmt.extensions.interchange.runtime`, which needs onnxruntime and no PyTorch."""

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        export_onnx(translator, output, quantization)
        agreement = check(output, translator, partial(OnnxModel, output), lines, quantization is None)
        return [
            f"wrote {output}: {agreement}",
            *left_out(translator.recipe.decoding, CARRIED, "The runtime"),
            "Without PyTorch (pip install onnxruntime sentencepiece):\n",
            f"python {output / 'translate.py'} < source > target",
        ]
