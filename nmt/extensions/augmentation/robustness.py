"""Robustness against perturbed input: scores with each modifier applied to a test set, and a picture of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext

from nmt.core.console import warnings_to
from nmt.evaluation.scores import score_corpus
from nmt.extensions.augmentation.modifiers import MODIFIERS, modified
from nmt.metrics.table import METRICS, Score, directed_name
from nmt.plotting.style import Picture, curves_size, style, visible
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

    Raises:
        UserError: the model doesn't translate sentences.
    """
    translator.task.require("robustness")
    names = [name for name, modifier in MODIFIERS.items() if not modifier.needs_links]
    for name in (AS_IT_IS, *names):
        changed = pairs if name == AS_IT_IS else modified(name, pairs, seed)
        sources, references = [source for source, _ in changed], [target for _, target in changed]
        # Warnings would name lines of changed text, which the user doesn't have.
        with nullcontext() if name == AS_IT_IS else warnings_to(lambda message: None):
            texts = [translation.text for translation in translator.translate(sources)]
        yield name, score_corpus(texts, [references], metrics, sources=sources)


def draw_scores(scores: Mapping[str, float], metric: str) -> Picture:
    """Draw a bar for each score, from above.

    Args:
        scores: by name, such as that of a change of the test set.
    """
    with style(scores):
        figure = Picture(figsize=curves_size(6.4, 0.8 + 0.35 * len(scores)), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(list(map(visible, scores)), list(scores.values()), height=0.6)
        axes.bar_label(bars, fmt=f"%.{METRICS[metric].decimals}f", padding=3)
        axes.margins(x=0.15)  # room for the figures
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.set_xlabel(directed_name(metric))
    return figure
