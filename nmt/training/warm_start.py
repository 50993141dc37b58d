"""Weights to start from: those of a model that was trained before, on other text or with other parts."""

from pathlib import Path

import torch

from nmt.console import say
from nmt.data.vocabulary import Vocabularies
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.models.weights import read_tensors

NAMED = 4
"""So many parts are named that the trained model doesn't have."""


def check_vocabularies(directory: Path, vocabularies: Vocabularies) -> None:
    """Refuse a model to start from whose token ids stand for other tokens.

    Args:
        directory: the model directory of the trained one.
        vocabularies: the new model's, those of ``vocabulary.path``.

    Raises:
        UserError: they differ.
    """
    if Vocabularies.load(directory).fingerprint != vocabularies.fingerprint:
        raise UserError(
            f"training.init_from: {directory} has another vocabulary than vocabulary.path names.",
            "Leave vocabulary.path out: the run then takes that of the model it starts from.",
        )


def init_from(directory: Path, model: Seq2Seq) -> None:
    """Copy into a new model each weight of a trained one that has the same name and shape, and say which are left.

    With the same recipe that is fine-tuning. Where the recipes differ, as in an encoder that reads further turns of a
    dialogue, what both have in common starts trained, and the rest as it is.

    Args:
        directory: the model directory of the trained one; its best weights are taken.
        model: the new one, with the trained one's vocabulary.

    Raises:
        UserError: its weights are missing or damaged, or no matrix is in common.
    """
    trained = read_tensors(directory / "model.safetensors")
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
