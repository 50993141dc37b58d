"""Models in the format ONNX, as two networks: the encoder, and a step of the decoder with its state.

``encoder.onnx`` reads ``source`` [B, S] and ``mask`` [B, S] and gives what the decoder reads of a source. ``step.onnx``
reads this, a ``token`` of each of K hypotheses [B, K], its ``position`` and the state, and gives log-probabilities
[B, K, V], the mean attention of the alignment heads [B, K, S], the best continuations of the hypotheses and the new
state. With ``decoding.shortlist`` it also reads a ``shortlist`` of C target ids, and V is C.
``nmt/extensions/interchange/runtime.py``, which is copied into the folder as ``translate.py``, runs both.
"""

import contextlib
import importlib.util
import inspect
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from nmt.core.console import quoted
from nmt.core.errors import UserError
from nmt.core.files import check_unused, new_folder
from nmt.core.version import __version__
from nmt.data.batch import Ids
from nmt.decoding.hypotheses import Hypothesis
from nmt.extensions.documents import segmentation
from nmt.extensions.interchange import runtime
from nmt.extensions.interchange.check import DIVIDED, PLAIN, check, left_out
from nmt.extensions.interchange.ct2 import check_exportable, num_positions
from nmt.extensions.interchange.onnx_networks import GATES, networks
from nmt.extensions.interchange.pretrained.vocabulary import PretrainedVocabulary
from nmt.extensions.interchange.targets import ExportTarget, Quantization, shortlists
from nmt.extensions.ssru.network import SsruDecoder
from nmt.models.contracts import Decoder, Encoder
from nmt.models.networks.recurrent import BahdanauDecoder, LuongDecoder, RecurrentEncoder
from nmt.models.networks.transformer import TransformerDecoder, TransformerEncoder
from nmt.recipe.schema import DecodingOptions
from nmt.translation import patterns
from nmt.translation.translator import Translator

NETWORKS: Mapping[type[Encoder], Sequence[type[Decoder]]] = {
    TransformerEncoder: (TransformerDecoder, SsruDecoder), RecurrentEncoder: (BahdanauDecoder, LuongDecoder),
}  # fmt: skip
CLAIM = "Transformers, SSRU decoders and recurrent models with Bahdanau's or Luong's attention"
OPSET = 18
SHARED, MIN_SHARED_BYTES = "shared.bin", 1 << 16
"""A file for the largest matrix that both networks have, from this size on."""
DECODING = (
    "beam_size", "batch_size", "length_penalty", "alpha", "early_stopping", "max_length", "max_length_ratio",
    "max_length_extra", "split_sentences",
)  # fmt: skip
"""Decoding options that the runtime has."""
CARRIED = {**PLAIN, **DIVIDED, **runtime.CHOICES}
"""Values of decoding options that the runtime has a counterpart for."""
Input = tuple[Sequence[str], Any, Any]
"""A tensor, or a list of some, that a network reads: names, an example, and which of its sizes differ."""


def export_onnx(translator: Translator, output: Path, quantization: str | None = None) -> None:
    """Writes a folder that :mod:`nmt.extensions.interchange.runtime` translates with.

    Args:
        translator: on the CPU, with sentencepiece vocabularies, and one of :data:`NETWORKS`.
        output: a new or empty folder.
        quantization: ``int8`` stores the weights of matrix products and embeddings in 8 bits; None keeps float32.

    Raises:
        UserError: the model or the quantization has no ONNX counterpart, a package isn't installed, or the folder is in
            use.
    """
    for package in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"The package {package} is not installed.", 'pip install "nmt[onnx]"')
    check_exportable(translator, f"onnxruntime runs {CLAIM}", NETWORKS)
    if quantization not in (None, "int8"):
        raise UserError(f"The ONNX export has no {quantization}.", "Use --quantization int8, or leave it out.")
    check_unused(output)
    with new_folder(output) as temporary:
        converted, state = _converted(translator)
        if quantization:
            converted = {name: _quantized(network, temporary / name) for name, network in converted.items()}
        _save(converted, temporary)
        config = configuration(translator, state)
        write_shortlist(translator, temporary, config["shortlist"])
        translator.vocabularies.save(temporary)
        (temporary / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")
        for name, module in (("translate", runtime), ("segmentation", segmentation), ("patterns", patterns)):
            code = re.sub(r"(?m)^from nmt\.\S+\.(\w+) import", r"from \1 import", inspect.getsource(module))
            (temporary / f"{name}.py").write_text(code, "utf-8")


def _converted(translator: Translator) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Returns both networks by the names of their files, and the shape of each part of the first state."""
    encoder, step = networks(translator)
    # No size is 0 or 1: the exporter takes such a size for a constant.
    source_BS, mask_BS = torch.full((2, 5), 4), torch.ones(2, 5, dtype=torch.bool)
    with torch.inference_mode():
        memory = [part.clone() for part in encoder(source_BS, mask_BS)]
        longer = [part.shape for part in encoder(torch.full((2, 6), 4), torch.ones(2, 6, dtype=torch.bool))]
    memory_names, shapes = [f"memory.{number}" for number in range(len(memory))], step.initial_shapes()
    state_names = [f"state.{number}" for number in range(len(shapes))]
    any_size = torch.export.Dim.DYNAMIC
    of_sentences = {0: any_size, 1: any_size}
    of_memory = [
        {0: any_size} | {axis: any_size for axis, size in enumerate(part.shape) if size != sizes[axis]}
        for part, sizes in zip(memory, longer, strict=True)
    ]
    of_state = [of_sentences | {2 + axis: any_size for axis, size in enumerate(shape) if not size} for shape in shapes]
    of_encoder: list[Input] = [(["source"], source_BS, of_sentences), (["mask"], mask_BS, of_sentences)]
    of_step: list[Input] = [
        (["token"], torch.full((2, 3), 4), of_sentences),
        (["position"], torch.tensor(7), {}),
        (["mask"], mask_BS, of_sentences),
        (["score"], torch.zeros(2, 3), of_sentences),
        (["at_limit"], mask_BS[:, 0], {0: any_size}),
        (memory_names, memory, of_memory),
        (state_names, [torch.zeros(2, 3, *(size or 7 for size in shape)) for shape in shapes], of_state),
    ]
    if translator.recipe.decoding.shortlist:
        of_step.append((["shortlist"], torch.arange(50), {0: any_size}))
    outputs = ["log_probability", "attention", *runtime.BEST, *(f"new.{name}" for name in state_names)]
    converted = {
        "encoder.onnx": _convert(encoder, of_encoder, memory_names),
        "step.onnx": _convert(step, of_step, outputs),
    }
    return converted, dict(zip(state_names, shapes, strict=True))


def _convert(network: nn.Module, inputs: Sequence[Input], outputs: Sequence[str]) -> Any:
    names, example, sizes = zip(*inputs, strict=True)
    with torch.inference_mode(False), torch.no_grad(), _silent():
        program = torch.onnx.export(
            network,
            example,
            input_names=list(chain(*names)),
            output_names=outputs,
            dynamic_shapes=sizes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    converted = cast(Any, program).model_proto  # made anew at each access
    graph = converted.graph
    for part in (graph, *graph.node, *graph.value_info):  # a tenth of an int8 export, with paths of this machine
        part.ClearField("metadata_props")
    return converted


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


def _quantized(network: Any, path: Path) -> Any:
    """Returns a network whose matrices have 8 bits: a scale for each column of a product, and each row of a table."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    vectors = {weight.name for weight in network.graph.initializer if len(weight.dims) < 2}  # of additive attention
    kept = [node.name for node in network.graph.node if node.op_type == "MatMul" and node.input[1] in vectors]
    with _silent():
        quantize_dynamic(network, path, ["MatMul", "Gemm"], True, weight_type=QuantType.QInt8, nodes_to_exclude=kept)
    network = onnx.load(path)
    graph = network.graph
    of_kernels = {name for node in graph.node if node.op_type in GATES for name in node.input[1:3]}
    for table in [*graph.initializer]:
        if table.name in of_kernels:
            _quantize_kernel(graph, table)
        elif len(table.dims) == 2:
            _quantize_table(graph, table)
    return network


def _in_8_bits(graph: Any, table: Any) -> tuple[str, str]:
    """Replaces a tensor by one of 8 bits and the scales of its rows; returns their names."""
    from onnx import numpy_helper

    weight, quantized, scales = numpy_helper.to_array(table), f"{table.name}_quantized", f"{table.name}_scale"
    scale = (abs(weight).max(-1, keepdims=True) / 127).clip(1e-30)
    weight = (weight / scale).round().astype("int8")
    graph.initializer.extend([numpy_helper.from_array(weight, quantized), numpy_helper.from_array(scale, scales)])
    graph.initializer.remove(table)
    return quantized, scales


def _quantize_kernel(graph: Any, table: Any) -> None:
    """Stores weights of a recurrent operator, which computes in float32, in 8 bits."""
    from onnx import TensorProto, helper

    quantized, scale = _in_8_bits(graph, table)
    graph.node.insert(0, helper.make_node("Mul", [f"{quantized}_cast", scale], [table.name]))
    graph.node.insert(0, helper.make_node("Cast", [quantized], [f"{quantized}_cast"], to=TensorProto.FLOAT))


def _quantize_table(graph: Any, table: Any) -> None:
    """Stores a table of vectors in 8 bits if its rows are read, and lets the output layer multiply in 8 bits."""
    from onnx import TensorProto, helper

    readers = [node for node in graph.node if node.op_type in ("Gather", "Transpose") and node.input[0] == table.name]
    if not readers:
        return
    quantized, scale = _in_8_bits(graph, table)
    user_of = {name: node for node in graph.node for name in node.input}
    for node in readers:
        replaced, rows, of_rows, steps = [node], quantized, scale, list[Any]()
        if node.op_type == "Gather":
            rows, of_rows = (f"{node.output[0]}_{part}" for part in ("rows", "scales"))
            steps += [("Gather", [quantized, node.input[1]], [rows]), ("Gather", [scale, node.input[1]], [of_rows])]
            user = user_of[node.output[0]]
            if user.op_type == "Transpose" and user_of[user.output[0]].op_type == "MatMul":  # not of an encoder
                replaced.append(user)
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


def _save(networks: Mapping[str, Any], folder: Path) -> None:
    """Writes the networks, and the largest matrix that both have to a file of its own, so that it is there once."""
    import onnx
    from onnx.external_data_helper import set_external_data

    tables = [{table.raw_data: table for table in network.graph.initializer} for network in networks.values()]
    content = max(tables[0].keys() & tables[1].keys(), key=len, default=b"")
    if len(content) >= MIN_SHARED_BYTES:
        (folder / SHARED).write_bytes(content)
        for own in tables:
            set_external_data(own[content], SHARED)
            own[content].ClearField("raw_data")
    for name, network in networks.items():
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
    """Returns the decoding options that the runtime has; the length penalty of a plugin becomes ``average``."""
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
    """An :class:`Exported` folder that :func:`export_onnx` wrote, run by :mod:`nmt.extensions.interchange.runtime`.

    Raises:
        UserError: the folder can't be loaded.
    """

    def __init__(self, directory: Path) -> None:
        with _explained():
            self.model = runtime.load(directory, torch.get_num_threads())

    def translate(self, sources: Sequence[Ids]) -> list[list[int]]:
        """Returns the best translation of each encoded sentence, by the search that the folder names."""
        return [of_sentence[0].ids if of_sentence else [] for of_sentence in self.search(sources)]

    def search(self, sources: Sequence[Ids], options: DecodingOptions | None = None) -> list[list[Hypothesis]]:
        """Returns the best translations of encoded sentences by beam search, best first; without options by the search
        that the folder names."""
        changes = {} if options is None else {name: getattr(options, name) for name in DECODING}
        with _explained():
            found = self.model.search([list(map(int, ids)) for ids in sources], **changes)
        return [[Hypothesis(*each) for each in of_sentence] for of_sentence in found]

    def score(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[list[float]]:
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
            "Without PyTorch (pip install onnxruntime sentencepiece sentencex):\n",
            f"python {quoted(output / 'translate.py')} < source > target",
        ]
