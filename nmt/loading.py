"""From a model directory to a translator."""

from collections.abc import Sequence
from pathlib import Path

import torch

from nmt.alignment.heads import AlignmentHeads
from nmt.config import Recipe
from nmt.data.vocabulary import Vocabularies
from nmt.device import pick_device, pick_precision
from nmt.errors import UserError, nearest
from nmt.model_directory import ModelDirectory
from nmt.models.build import build_model
from nmt.models.seq2seq import Seq2Seq
from nmt.models.weights import load_weights
from nmt.recipe import load_recipe
from nmt.translator import Translator


def load(
    model_dir: str | Path,
    device: str = "auto",
    precision: str = "fp32",
    ensemble: Sequence[str | Path] = (),
) -> Translator:
    """Read a model directory.

    Args:
        model_dir: what ``nmt train`` wrote.
        device: auto, cpu, cuda, …
        precision: fp32, bf16, fp16, or auto for what the hardware does best.
        ensemble: model directories with the same vocabularies, whose probabilities are averaged in.

    Raises:
        UserError: it isn't a model directory, is incomplete, damaged, or from a newer nmt; an unknown option; an
            ensemble whose vocabularies differ.
    """
    directory = Path(model_dir)
    known = ("fp32", "bf16", "fp16", "auto")
    if precision not in known:
        raise UserError(f"There is no precision {precision!r}.", nearest(precision, known))
    where = pick_device(device)
    recipe, vocabularies, model = _read(directory, where)
    others = []
    for other in map(Path, ensemble):
        _, own, another = _read(other, where)
        if _fingerprints(own) != _fingerprints(vocabularies):
            raise UserError(
                f"{other} has another vocabulary than {directory}.",
                f"Train it with --set vocabulary.path={directory}, so that the two can translate together.",
            )
        others.append(another)
    heads = AlignmentHeads.load(directory, model.decoder)
    return Translator(model, vocabularies, recipe, pick_precision(precision, where), heads, directory, others)


def _fingerprints(vocabularies: Vocabularies) -> tuple[str, str]:
    return vocabularies.source.fingerprint, vocabularies.target.fingerprint


def _read(directory: Path, device: torch.device) -> tuple[Recipe, Vocabularies, Seq2Seq]:
    """Recipe, vocabularies and model of a directory, ready to translate."""
    files = ModelDirectory(directory)
    files.check()
    recipe = load_recipe(files.recipe)
    vocabularies = Vocabularies.load(directory)
    model = build_model(recipe.model, vocabularies)
    load_weights(model, files.weights)
    model.to(device).eval()
    return recipe, vocabularies, model
