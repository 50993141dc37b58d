"""Initial weights of a run: random, of a trained model, or word vectors."""

import re
from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor, nn

from nmt.core.console import progress_bar, say
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.data.pretrained_embeddings import read_vectors
from nmt.data.vocabulary.base import SPACE, Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.build import ResolvedModel, build_model
from nmt.models.contracts import Decoder, Encoder, OutputLayer
from nmt.models.seq2seq import Seq2Seq
from nmt.models.weights import read_tensors
from nmt.recipe.schema import ModelOptions

NAMED = 4
"""Maximum number of new parts that a message names."""


def make_model(resolved: ResolvedModel, vocabularies: Vocabularies, start: Path | None, is_new: bool) -> Seq2Seq:
    """Builds the model of a recipe, with the weights of the model directory ``start`` that fit, and word vectors.

    Nothing is read unless ``is_new``: otherwise the weights will come from a checkpoint.
    """
    model = build_model(resolved, vocabularies, num_copies=4)  # weights, gradient and two moments
    if start is not None and is_new:
        copy_weights(start, model, vocabularies)
    _use_vectors(model, resolved.options, vocabularies, is_new)
    return model


def copy_weights(directory: Path, model: Seq2Seq, vocabularies: Vocabularies) -> None:
    """Copies each weight of a trained model with the same name and shape, and reports the others.

    With the same recipe that is fine-tuning. Where the recipes differ, as in an encoder that reads further turns of a
    dialogue, what both have in common starts trained, and the rest as it is. With another vocabulary, embeddings and
    the output layer are carried over piece by piece.

    Raises:
        UserError: its weights are missing or damaged, or no matrix is in common.
    """
    trained = read_tensors(ModelDirectory(directory).weights)
    before = Vocabularies.load(directory)
    if before.fingerprint != vocabularies.fingerprint:
        _carry_over(trained, model, vocabularies, before)
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
            f"training.finetune_from: {directory} has no weight matrix in common with this recipe's model.",
            "Name a model of the same kind and sizes (see its recipe.yaml), or leave training.finetune_from out.",
        )
    share = sum(parameter.numel() for parameter in taken if parameter.requires_grad) / model.num_parameters
    parts = list(dict.fromkeys(name.rpartition(".")[0] for name in new))
    further = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
    rest = f"; new: {', '.join(parts[:NAMED])}{further}" if new else ""
    say(f"starting from {directory}: {share:.0%} of the weights{rest}")


def _carry_over(trained: dict[str, Tensor], model: Seq2Seq, new: Vocabularies, old: Vocabularies) -> None:
    """Converts embeddings and output layer of a trained model to another vocabulary, in place.

    A piece that the old vocabulary has keeps its row; another begins as the mean of the old pieces that spell it
    (Gee et al. 2022, "Fast Vocabulary Transfer for Language Model Compression") or, without any, as it is.
    """
    sides = {"encoder": (new.source, old.source), "decoder": (new.target, old.target)}
    rows_of = {part: _parents(*vocabularies) for part, vocabularies in sides.items()}
    for path, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            name, part = f"{path}.{own}", path.partition(".")[0]
            # The table of an embedding, whose module has the path embedding.table, or the output layer.
            if isinstance(module, nn.Embedding | OutputLayer) and name in trained:
                rows = parameter.detach().clone()
                if rows.shape[1:] == trained[name].shape[1:]:
                    for row, parents in enumerate(rows_of[part]):
                        rows[row] = trained[name][parents].mean(dim=0) if parents else rows[row]
                trained[name] = rows
    shares = [
        sum(new.token(i) in tokens for i in range(len(new))) / len(new)
        for new, tokens in ((n, set(map(o.token, range(len(o))))) for n, o in sides.values())
    ]
    say(f"another vocabulary: {shares[0]:.0%} of the source pieces and {shares[1]:.0%} of the target pieces are known")


def _parents(new: Vocabulary, old: Vocabulary) -> list[list[int]]:
    """Returns, for each id of a vocabulary, the ids of another one whose rows initialise it."""
    known = {old.token(i): [i] for i in range(len(old))}
    known |= {new.token(of(new)): [of(old)] for of in map(attrgetter, ("pad", "unk", "sos", "eos"))}
    found = []
    for token in map(new.token, range(len(new))):
        is_spelled = not (old.is_closed or re.fullmatch("<.*>", token))  # a symbol or a byte
        spelling = old.encode(token.replace(SPACE, " ")) if is_spelled else []
        found.append(known.get(token) or [i for i in spelling if i != old.unk])
    return found


def _use_vectors(model: Seq2Seq, options: ModelOptions, vocabularies: Vocabularies, is_new: bool) -> None:
    """Initialises embeddings from word vectors and freezes them, as the recipe says."""
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
