"""The networks that are exported to ONNX, run by PyTorch with the search of the runtime; needs no onnxruntime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import BuildOnce, TrainTiny

from nmt.extensions.interchange.onnx import configuration, write_shortlist
from nmt.extensions.interchange.onnx_networks import networks
from nmt.extensions.interchange.pretrained.huggingface import import_huggingface
from nmt.extensions.interchange.runtime import translate as runtime
from nmt.translation.load import load
from nmt.translation.translator import Translator
from tests.extensions.interchange.huggingface_folders import lines_of, strange_lines, write_folder
from tests.extensions.interchange.pretrained.test_huggingface import CASES, TARGETS

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
def test_imported_models_translate_alike(name: str, build_once: BuildOnce, tmp_path: Path) -> None:
    """With their activations, norms, positions, language tokens, and the token that the decoder reads before SOS."""
    folder = build_once(f"huggingface_{name}", lambda path: write_folder(path, **CASES[name]))
    translator = load(import_huggingface(folder, tmp_path / "model", None, TARGETS.get(name)).path, "cpu")
    model = exported(translator, tmp_path / "model")
    lines = [*lines_of("de", 10), *strange_lines(10), "", ">>fra<< Ein Mann schläft."]
    for beam_size in (1, 4):
        options = {"beam_size": beam_size, "max_length": 8}
        found = translator.translate(lines, restore_case=False, **options)
        assert model.translate(lines, **options) == [" ".join(each.text.split()) for each in found]
    [pair] = translator.score([(lines[0], lines_of("en", 1)[0])])
    scores = model.score(translator.encode_source(pair.source), translator.encode_target(pair.target))
    assert scores == pytest.approx(pair.token_log_probabilities, abs=1e-5)


@pytest.mark.extension("shortlist")
def test_with_a_shortlist_it_translates_as_nmt_does(
    train_tiny: TrainTiny, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "MULTIPLE", 8)
    monkeypatch.setattr("nmt.extensions.shortlist.candidates.MULTIPLE", 8)
    monkeypatch.setattr("nmt.extensions.shortlist.candidates.COMMON", 5)
    layers = "num_layers: 1, num_heads: 4, feed_forward_size: 64, dropout: 0"
    directory = train_tiny(
        "vocabulary={type: unigram, size: 110, joint: true}", f"model.encoder={{type: transformer, {layers}}}",
        f"model.decoder={{type: ssru, {layers}}}", "training.max_steps=60", "training.learning_rate=0.005",
    )  # fmt: skip
    (directory / "lexicon.tsv").write_text("hund\tdog\t3\nmond\tmoon\t2\ndie\tthe\t9\n", "utf-8")
    translator = load(directory, "cpu")
    decoding = translator.options(shortlist=1)
    translator = translator.replaced(recipe=translator.recipe.model_copy(update={"decoding": decoding}))
    write_shortlist(translator, directory, configuration(translator, {})["shortlist"])
    model, lines = exported(translator, directory), (tiny_corpus / "train.de").read_text("utf-8").splitlines()
    options = {"beam_size": 4, "batch_size": 3}
    found = model.translate(lines, **options)
    assert found == [each.text for each in translator.translate(lines, restore_case=False, **options)]
    everything = load(directory, "cpu").translate(lines, restore_case=False, **options)
    assert found != [each.text for each in everything], "the shortlist left nothing out"
    [pair] = translator.score([(lines[0], "The dog sees the moon.")])
    scores = model.score(translator.encode_source(pair.source), translator.encode_target(pair.target))
    assert scores == pytest.approx(pair.token_log_probabilities, abs=1e-5)
