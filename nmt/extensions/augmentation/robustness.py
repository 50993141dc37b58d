"""Robustness against perturbed input: scores with each modifier applied to a test set."""

from collections.abc import Iterator, Sequence

from nmt.evaluation.scores import score_corpus
from nmt.extensions.augmentation.modifiers import MODIFIERS, modified
from nmt.metrics.table import Score
from nmt.translation.translator import Translator

AS_IT_IS = "as it is"


def robustness(
    translator: Translator, pairs: Sequence[tuple[str, str]], metrics: Sequence[str], seed: int = 1
) -> Iterator[tuple[str, dict[str, Score]]]:
    """The scores of a test set as it is, and with each modifier of training that needs no links.

    The translation is changed as well, where a modifier changes it in training.

    Args:
        translator: searches by the options of its recipe.
        pairs: source and reference.
        metrics: names of ``METRICS``.
        seed: of the changes.

    Raises:
        UserError: the model doesn't translate sentences.
    """
    translator.task.require("robustness")
    names = [name for name, modifier in MODIFIERS.items() if not modifier.needs_links]
    for name in (AS_IT_IS, *names):
        changed = pairs if name == AS_IT_IS else modified(name, pairs, seed)
        sources, references = [source for source, _ in changed], [target for _, target in changed]
        texts = [translation.text for translation in translator.translate(sources)]
        yield name, score_corpus(texts, [references], metrics, sources=sources)
