"""Word vectors as the first embeddings of a model, which ``model.vectors`` names."""

from pathlib import Path

import torch

from nmt.core.console import progress_bar, say
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.vectors.files import read_vectors
from nmt.models.contracts import Decoder, Encoder
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import ModelOptions


def use_vectors(model: Seq2Seq, options: ModelOptions, vocabularies: Vocabularies, is_new: bool) -> None:
    """Initialises embeddings from word vectors and freezes them, as the recipe says.

    Nothing is read unless ``is_new``: otherwise the weights will come from a checkpoint.
    """
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
