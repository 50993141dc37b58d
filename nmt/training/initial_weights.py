"""The weights that a run starts from: random ones, those of a trained model, word vectors."""

from pathlib import Path

import torch

from nmt.config import ModelOptions
from nmt.console import progress_bar, say
from nmt.data.pretrained_embeddings import read_vectors
from nmt.data.vocabulary import Vocabularies, Vocabulary
from nmt.errors import UserError
from nmt.model_directory import ModelDirectory
from nmt.models.build import build_model
from nmt.models.interfaces import Decoder, Encoder
from nmt.models.seq2seq import Seq2Seq
from nmt.models.weights import read_tensors

NAMED = 4
"""So many parts are named that the trained model doesn't have."""


def make_model(options: ModelOptions, vocabularies: Vocabularies, start: Path | None, is_new: bool) -> Seq2Seq:
    """The model of a recipe, with weights of the model directory ``start`` where they fit, and word vectors.

    Nothing is read unless ``is_new``: otherwise the weights will come from a checkpoint.
    """
    model = build_model(options, vocabularies, num_copies=4)  # weights, gradient and two moments
    if start is not None and is_new:
        init_from(start, model)
    _use_vectors(model, options, vocabularies, is_new)
    return model


def init_from(directory: Path, model: Seq2Seq) -> None:
    """Copy into a new model each weight of a trained one that has the same name and shape, and say which are left.

    With the same recipe that is fine-tuning. Where the recipes differ, as in an encoder that reads further turns of a
    dialogue, what both have in common starts trained, and the rest as it is. Both have the same vocabulary.

    Raises:
        UserError: its weights are missing or damaged, or no matrix is in common.
    """
    trained = read_tensors(ModelDirectory(directory).weights)
    taken, new = [], []
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in trained and trained[name].shape == parameter.shape:
                parameter.copy_(trained[name])
                taken.append(parameter)
            else:
                new.append(name)
    if not any(parameter.dim() > 1 for parameter in taken):  # biases of the output layer fit any model
        raise UserError(
            f"training.init_from: {directory} has no weight matrix in common with this recipe's model.",
            "Start from a model of the same kind and sizes (its recipe.yaml tells), or leave training.init_from out.",
        )
    share = sum(parameter.numel() for parameter in taken if parameter.requires_grad) / model.num_parameters
    parts = list(dict.fromkeys(name.rpartition(".")[0] for name in new))
    further = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
    rest = f"; new: {', '.join(parts[:NAMED])}{further}" if new else ""
    say(f"starting from {directory}: {share:.0%} of the weights{rest}")


def _use_vectors(model: Seq2Seq, options: ModelOptions, vocabularies: Vocabularies, is_new: bool) -> None:
    """Start embeddings from word vectors, and freeze them, where the recipe says so."""
    sides: dict[str, tuple[Path | None, Encoder | Decoder, Vocabulary]] = {
        "source": (options.vectors.source, model.encoder, vocabularies.source),
        "target": (options.vectors.target, model.decoder, vocabularies.target),
    }
    for side, (path, module, vocabulary) in sides.items():
        if path is None:
            continue
        embedding = module.embedding
        if is_new:
            with progress_bar(f"reading {path.name}", None):
                ids, vectors, num_words = read_vectors(path, vocabulary, options.embedding_size)
            embedding.init_from(torch.from_numpy(ids), torch.from_numpy(vectors))
            words = f"{len(ids):,} of {num_words:,} words ({len(ids) / num_words:.0%})"
            say(f"{side} embeddings: {path.name} has {words}")
        embedding.weight.requires_grad_(not options.vectors.freeze)
