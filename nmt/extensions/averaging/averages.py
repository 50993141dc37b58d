"""The mean of the weights of checkpoints, or of a fine-tuned model and its origin, as a new model."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from nmt.core.errors import UserError
from nmt.core.files import check_unused, new_folder
from nmt.core.model_directory import ModelDirectory
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.build import read_model
from nmt.models.weights import read_weights, weights_of, write_tensors
from nmt.recipe.registry import hooks
from nmt.training.checkpoint import CheckpointFolder, damage, step_of
from nmt.training.weights import copy_weights


def average_checkpoints(
    directory: Path, output: Path, *, last: int | None = None, best: int | None = None
) -> list[int]:
    """Writes the mean of some checkpoints as a model (Vaswani et al. 2017, section 6.1).

    Args:
        output: a new model directory.
        last: number of checkpoints to average, two or more, the newest.
        best: number of checkpoints to average, the best by validation: of those on disk that were validated. Exactly
            one of the two is given.

    Returns:
        The numbers of updates of the checkpoints averaged, in order.

    Raises:
        UserError: too few checkpoints, one that is missing, damaged or of another shape, or ``output`` exists.
    """
    run = ModelDirectory(directory)
    check_unused(output)
    run.check_files()
    chosen = _choose(directory, last, best)
    for checkpoint in chosen:
        if wrong := damage(checkpoint):
            raise UserError(f"{checkpoint} is damaged: {wrong}.", "Copy it again, or delete its folder.")
    write_model(run, mean_weights(checkpoint / "weights.safetensors" for checkpoint in chosen), output)
    return [step_of(checkpoint) for checkpoint in chosen]


def mean_weights(paths: Iterable[Path]) -> dict[str, Tensor]:
    """Returns the mean of weights files, summed in float64, in the type of the first file.

    Raises:
        UserError: a file is missing, damaged or not finite, or its tensors are not those of the first.
    """
    start, *others = paths
    first = read_weights(start)
    sums = {name: tensor.to(torch.float64, copy=True) for name, tensor in first.items()}
    for path in others:
        tensors = read_weights(path)
        wrong = sorted(first.keys() ^ tensors.keys()) or [n for n, t in tensors.items() if t.shape != first[n].shape]
        if wrong:
            raise UserError(
                f"{path} doesn't fit the checkpoints before it: {wrong[0]!r} is missing or has another shape.",
                "Average checkpoints of one run, with one recipe.",
            )
        for name, tensor in tensors.items():
            sums[name] += tensor
    return {name: (total / (1 + len(others))).to(first[name].dtype) for name, total in sums.items()}


def _choose(directory: Path, last: int | None, best: int | None) -> list[Path]:
    """Returns the checkpoints to average, in order."""
    if (last is None) == (best is None):
        raise UserError("It is not clear what to average.", "Give one of --last N, --best N and --origin SHARE.")
    folder, count = CheckpointFolder(directory), last or best or 0
    if not folder.all():
        raise UserError(f"{directory} holds no checkpoints.", "Name the folder of a training run.")
    chosen = folder.all()[-count:] if best is None else folder.best()[:count]
    if len(chosen) < count:
        kind = ("" if best is None else "validated ") + f"checkpoint{'s' * (len(chosen) != 1)}"
        fewer = "Ask for fewer, or train" if len(chosen) > 1 else "Train"
        key, every = ("keep_last", "checkpoint_every") if best is None else ("keep_best", "validate_every")
        remedy = f"{fewer} with --set training.{key}={count} and, if the run is short, a smaller training.{every}."
        raise UserError(f"{directory} holds {len(chosen)} {kind}, not {count}.", remedy)
    return sorted(chosen, key=step_of)


def write_model(run: ModelDirectory, weights: Mapping[str, Tensor], output: Path) -> None:
    """Writes weights to a new folder, with recipe, vocabulary and alignment data of the run."""
    vocabularies = Vocabularies.load(run.path)
    with new_folder(output) as temporary:
        for file in (run.recipe, run.alignment, run.lexicon):
            if file.is_file():
                shutil.copyfile(file, temporary / file.name)
        for hook in hooks("model_written"):
            hook(run, ModelDirectory(temporary))
        vocabularies.save(temporary)
        write_tensors(weights, ModelDirectory(temporary).weights)


def average_with_origin(directory: Path, share: float, output: Path) -> None:
    """Writes the weighted mean of a fine-tuned model and of the model that it was fine-tuned from.

    Much of what fine-tuning makes a model forget comes back, for some of what it has learned (Wortsman et al. 2022,
    "Robust fine-tuning of zero-shot models").

    Args:
        share: of the original model; what it lacks, such as the embeddings of new pieces, is as fine-tuned.
        output: a new model directory.

    Raises:
        UserError: the model wasn't fine-tuned, its origin is missing or damaged, or ``output`` has files.
    """
    check_unused(output)
    recipe, vocabularies, model = read_model(directory, torch.device("cpu"))
    origin = recipe.training.finetune_from
    if origin is None:
        raise UserError(f"{directory} was not fine-tuned from another model.", "Name a run that was fine-tuned.")
    if not origin.is_dir():
        raise UserError(
            f"{directory} was fine-tuned from {origin}, which doesn't exist here.",
            f"Start where it was trained, or correct training.finetune_from in {directory / 'recipe.yaml'}.",
        )
    tuned = {name: weight.clone() for name, weight in weights_of(model).items()}
    copy_weights(origin, model, vocabularies, spells_new=False)
    mean = {name: torch.lerp(tuned[name], weight, share) for name, weight in weights_of(model).items()}
    write_model(ModelDirectory(directory), mean, output)
