"""Language models: the probability of a target line, without a source."""

from collections.abc import Iterable

from nmt.core.errors import UserError
from nmt.metrics.table import LOSS
from nmt.recipe.schema import NO_ENCODER, Recipe
from nmt.tasks.base import NO_SENTENCES, Task

_NO_SOURCE = (
    "This is a language model: it reads no source.",
    "Measure text by `nmt score --perplexity`, or name it in decoding.logits_processors of a translation.",
)


class LanguageModel(Task):
    """The decoder alone predicts each target line; source lines are ignored."""

    name = "language_model"
    default_metric = LOSS
    reads_source = False
    pipeline = "text-generation"
    commands = ("nmt score --perplexity MODEL_DIR text.{target}",)
    refused = dict.fromkeys(("translation", "gradients", "serving"), _NO_SOURCE) | {"robustness": NO_SENTENCES}

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        return recipe.model.encoder.get("type") == NO_ENCODER

    def title(self, source: str, target: str) -> str:
        return f"Language model of {target}"

    @classmethod
    def check(cls, recipe: Recipe) -> Iterable[UserError]:
        if recipe.training.metric not in (None, LOSS) or recipe.model.vectors.source:
            yield UserError(
                "A language model reads no source: it has no translation for training.metric, nor a source embedding.",
                "Set training.metric: loss, and leave out model.vectors.source.",
            )
