"""The techniques that `nmt train TEXTS` chooses."""

from typing import Any

from nmt.core.device import pick_device
from nmt.data.vocabulary.files import Vocabularies
from nmt.recipe.schema import Recipe
from nmt.training.run import with_training

MAX_UPDATES = 20_000
"""Updates of a run that is long enough for attention to form by itself."""
TAUGHT, WEIGHT = ("bahdanau", "luong", "transformer"), 0.3
"""Decoders whose attention is taught, and the weight of the alignment loss of a head."""
MIN_VOCABULARY = 4000
"""Pieces of a vocabulary of which an update computes a sample in less time."""
REASONS = {
    "guided_alignment": "attention is taught by word links that are learned from the text (guided_alignment)",
    "sampled_softmax": "an update computes the targets of its batch and a sample of the other pieces (sampled_softmax)",
}


def with_techniques(recipe: Recipe, num_updates: int) -> tuple[Recipe, list[str]]:
    """Returns a recipe that was chosen for a text, with learned links and a sampled softmax, and a line for each.

    On a GPU an update takes so little time that attention forms in seconds, and CUDA graphs are worth more.
    """
    model, given = recipe.model, recipe.training.techniques
    is_short = num_updates <= MAX_UPDATES and pick_device(recipe.device).type == "cpu"
    if model.decoder["type"] not in TAUGHT or not is_short or recipe.training.finetune_from:
        return recipe, []
    guided: dict[str, Any] = {"links": "learned", "weight": WEIGHT, "embeddings": model.tie == "all"}
    if "num_heads" in model.decoder:  # one in each layer
        guided["head"] = ",".join(f"{layer}:1" for layer in range(1, 1 + model.decoder["num_layers"]))
    chosen = {"guided_alignment": guided}
    path = recipe.vocabulary.path  # its size in the recipe is a limit that characters and words may be far from
    if path and len(Vocabularies.load(path).target) >= MIN_VOCABULARY:
        chosen["sampled_softmax"] = {}
    if {name for name, options in given.items() if options is not None} - chosen.keys():
        return recipe, []  # they may not go together
    reasons = [reason for name, reason in REASONS.items() if name in chosen.keys() - given]
    return with_training(recipe, techniques=chosen | given), reasons
