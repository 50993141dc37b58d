"""Import of pretrained models: a folder of Hugging Face becomes a model directory."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from nmt.core.console import warn
from nmt.core.device import total_memory
from nmt.core.errors import UserError
from nmt.core.files import check_unused, new_folder
from nmt.core.model_directory import CARD, READ, ModelDirectory
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.interchange.pretrained.families import EARLY_STOPPING, Config, Family, model_options, read_config
from nmt.extensions.interchange.pretrained.files import INCOMPLETE, read_stored
from nmt.extensions.interchange.pretrained.names import BIAS, counterpart, is_redundant
from nmt.extensions.interchange.pretrained.tokenizers import read_tokenizer
from nmt.models.build import parameter_shapes
from nmt.models.weights import check_finite, write_tensors
from nmt.recipe.options import validate
from nmt.recipe.schema import ModelOptions, Recipe
from nmt.training.objective import is_out_of_memory
from nmt.training.resolve import resolve

MAX_LENGTH = 256
"""Maximum number of pieces of a training pair of an imported model; longer positions are rare in its training text."""


def import_huggingface(
    directory: Path, output: Path, source_language: str | None = None, target_language: str | None = None
) -> ModelDirectory:
    """Writes a model directory with the weights and the tokenizer of a pretrained model.

    Args:
        directory: a folder with ``config.json``, safetensors files, and the files of a sentencepiece tokenizer.
        output: a new or empty folder.
        source_language, target_language: codes as the model has them; None: those of the tokenizer.

    Raises:
        UserError: nmt can't represent the model, a file is missing or damaged, the files don't fit together, the
            memory isn't enough, or the output exists.
    """
    check_unused(output)
    if not directory.is_dir():
        raise UserError(f"There is no folder {directory}.", "Name the folder of a downloaded model.")
    try:
        return _import(directory, output, source_language, target_language)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise _too_large(directory) from None


def _too_large(directory: Path) -> UserError:
    return UserError(
        f"{directory}: the model needs more memory than there is for this process.",
        "Import it where there is more memory, or raise the limit (ulimit -v); check that config.json belongs to it.",
    )


def _import(directory: Path, output: Path, source_language: str | None, target_language: str | None) -> ModelDirectory:
    family, config = read_config(directory)
    stored = read_stored(directory)
    vocabularies, languages, first_token = read_tokenizer(directory, config, source_language, target_language)
    options = model_options(family, config, first_token)
    weights = _weights(directory, stored, options, vocabularies)
    recipe = _recipe(family, config, options, languages, vocabularies)
    with new_folder(output) as temporary:
        files = ModelDirectory(temporary)
        files.recipe.write_text(recipe.to_yaml(), "utf-8")
        vocabularies.save(temporary)
        write_tensors(weights, files.weights)
        card, here = directory / CARD, directory.resolve()  # the card names the licence
        folders = (here, (here / "../../blobs").resolve())  # the cache of Hugging Face has links to the second
        if card.is_file() and card.stat().st_size <= (READ[CARD] or 0) and card.resolve().parent in folders:
            shutil.copyfile(card, files.card)
        elif card.is_symlink():
            warn(f"{card} is not copied: it is a link out of the folder, or to a file that is too large.")
    return ModelDirectory(output)


def _recipe(
    family: Family, config: Config, model: ModelOptions, languages: tuple[str, str], vocabularies: Vocabularies
) -> Recipe:
    """Returns a recipe that translates as the model is meant to, and with which it can be fine-tuned."""
    stopping = {theirs: ours for ours, theirs in EARLY_STOPPING.items()}
    values = {
        "description": f"imported {family.model_class}",
        "data": {
            "source": languages[0], "target": languages[1],
            "max_length": min(MAX_LENGTH, config.max_position_embeddings // 2),
        },
        "vocabulary": {"type": "pretrained", "size": len(vocabularies.target), "joint": vocabularies.share_ids},
        "model": model,
        "training": {
            "max_epochs": 3, "learning_rate": 3e-5, "schedule": {"type": "inverse_sqrt", "warmup_steps": 500},
            "batch_tokens": 2048,
        },
        "decoding": {
            "beam_size": config.num_beams if config.num_beams > 1 else 5,
            "alpha": config.length_penalty,
            "early_stopping": stopping.get(config.early_stopping or False, "likely"),
            "logits_processors": {"no_repeat_ngram": {"size": size}} if (size := config.no_repeat_ngram_size) else {},
        },
    }  # fmt: skip
    return resolve(validate(Recipe, values, "the recipe of the imported model"))


def _weights(
    directory: Path, stored: Mapping[str, Tensor], options: ModelOptions, vocabularies: Vocabularies
) -> dict[str, Tensor]:
    """Returns the parameters of nmt's model, without those tensors that it doesn't need."""
    weights, used = {}, set[str]()
    shapes = parameter_shapes(options, vocabularies)
    if 4 * sum(map(math.prod, shapes.values())) > (total_memory() or math.inf):
        raise _too_large(directory)
    for name, shape in shapes.items():
        there = counterpart(name, options.tie)
        if there.is_bias and BIAS not in stored:
            weights[name] = torch.zeros(shape)
            continue
        choices = (there.names, *((other,) for other in there.other_names))
        names = next((each for each in choices if stored.keys() >= set(each)), ())
        if not names:
            missing = next(each for each in there.names if each not in stored)
            raise UserError(f"{directory}: the weights lack the tensor {missing!r}.", INCOMPLETE)
        is_shared = used.issuperset(names)  # by two parameters, which nmt stores one by one
        used.update(names)
        rows = (shape[0] + there.offset) // len(names)
        expected = (1, rows) if there.is_bias else (rows, *shape[1:])
        for each in names:
            found = tuple(stored[each].shape)
            if found != expected and not (there.is_bias and found == shape):
                raise UserError(
                    f"{directory}: the tensor {each!r} has the shape {found}, not {expected}.",
                    "Take config.json, the weights and the tokenizer from the same model.",
                )
        weight = there.read([stored[each] for each in names])
        weights[name] = weight.clone() if is_shared else weight
    check_finite({name: stored[name] for name in sorted(used)}, directory)
    check_finite(weights, directory)  # of float64 that float32 can't hold
    rest = sorted(name for name in stored.keys() - used if not is_redundant(name))
    if rest:
        raise UserError(
            f"{directory}: unexpected tensor {rest[0]!r} ({len(rest)} in all).",
            "config.json describes another model than the weights, or the model has parts that nmt can't represent.",
        )
    return weights
