"""The networks that are exported to ONNX, run by PyTorch with the search of the runtime; needs no onnxruntime."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import BuildOnce

from nmt.extensions.interchange import runtime
from nmt.extensions.interchange.onnx import configuration, write_shortlist
from nmt.extensions.interchange.onnx_networks import networks
from nmt.extensions.interchange.targets import with_decoding
from nmt.translation.load import load
from nmt.translation.translator import Translator
from tests.extensions.interchange.huggingface_folders import imported_model, lines_of, strange_lines

ARGUMENTS = ("source", "token", "position", "mask", "score", "at_limit")


class Session:
    """Runs a network as onnxruntime does; inputs of the same kind are a list."""

    def __init__(self, network: torch.nn.Module, outputs: Sequence[str] = ()) -> None:
        self.network, self.outputs = network, outputs

    def run(self, names: Sequence[str] | None, inputs: Mapping[str, Any]) -> list[Any]:
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        arguments = [tensors[name] for name in ARGUMENTS if name in tensors]
        for kind in ("memory.", "state."):
            arguments += [parts] if (parts := [part for name, part in tensors.items() if name.startswith(kind)]) else []
        arguments += [tensors["shortlist"]] if "shortlist" in tensors else []
        with torch.inference_mode():
            found = [part.numpy() for part in self.network(*arguments)]
        return found if names is None else [found[self.outputs.index(name)] for name in names]


def exported(translator: Translator, folder: Path) -> Any:
    """The model of the runtime with the networks of a translator, whose vocabularies and shortlist are in a folder."""
    encoder, step = networks(translator)
    state = {f"state.{number}": shape for number, shape in enumerate(step.initial_shapes())}
    model: Any = object.__new__(runtime.Model)
    model.config = configuration(translator, state)
    model._source, model._target = (model._vocabulary(folder, side) for side in ("source", "target"))
    model._shortlist = runtime._Shortlist(folder, model.config) if model.config["shortlist"] else None
    outputs = ["log_probability", "attention", *runtime.BEST, *(f"new.{name}" for name in state)]
    model._encoder, model._step, model._first = Session(encoder), Session(step, outputs), model.config["first"]
    model._memory = [f"memory.{number}" for number in range(2 * len(step.decoder.layers))]
    return model


@pytest.mark.quick("mbart")
@pytest.mark.parametrize(
    "name", ["marian", "marian_separate", "marian_untied", "marian_codes", "m2m100", "nllb", "mbart"]
)
def test_imported_models_translate_alike(name: str, build_once: BuildOnce) -> None:
    """With their activations, norms, positions, language tokens, and the token that the decoder reads before SOS."""
    translator = load(directory := imported_model(name, build_once), "cpu")
    model = exported(translator, directory)
    lines = [*lines_of("de", 10), *strange_lines(10), "", "  ", "!!!"]
    lines += [">>fra<< Ein Mann schläft.", ">>fra<< Ein Mann schläft. Eine Frau? 😀 >>eng<< Ja. Nein!"]
    for beam_size in (1, 4):
        options = {"beam_size": beam_size, "max_length": 8, "split_sentences": beam_size == 4}
        found = translator.translate(lines, restore_case=False, **options)
        assert [" ".join(text.split()) for text in model.translate(lines, **options)] == [
            " ".join(each.text.split()) for each in found
        ]
    assert model.translate([]) == []
    [pair] = translator.score([(lines[0], lines_of("en", 1)[0])])
    scores = model.score(translator.encode_source(pair.source), translator.encode_target(pair.target))
    assert scores == pytest.approx(pair.token_log_probabilities, abs=1e-5)


@pytest.mark.extension("shortlist")
def test_with_a_shortlist_it_translates_as_nmt_does(
    ssru_model: Path, tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "MULTIPLE", 8)
    monkeypatch.setattr("nmt.extensions.shortlist.candidates.MULTIPLE", 8)
    monkeypatch.setattr("nmt.extensions.shortlist.candidates.COMMON", 5)
    directory = shutil.copytree(ssru_model, tmp_path / "model")
    (directory / "lexicon.tsv").write_text("hund\tdog\t3\nmond\tmoon\t2\ndie\tthe\t9\n", "utf-8")
    own = load(directory, "cpu")
    translator = with_decoding(own, shortlist=1)
    write_shortlist(translator, directory, configuration(translator, {})["shortlist"])
    model, lines = exported(translator, directory), (tiny_corpus / "train.de").read_text("utf-8").splitlines()
    options = {"beam_size": 4, "batch_size": 3}
    found = model.translate(lines, **options)
    assert found == [each.text for each in translator.translate(lines, restore_case=False, **options)]
    everything = own.translate(lines, restore_case=False, **options)
    assert found != [each.text for each in everything], "the shortlist left nothing out"
    [pair] = translator.score([(lines[0], "The dog sees the moon.")])
    scores = model.score(translator.encode_source(pair.source), translator.encode_target(pair.target))
    assert scores == pytest.approx(pair.token_log_probabilities, abs=1e-5)
