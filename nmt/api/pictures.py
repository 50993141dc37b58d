"""Pictures for programs and notebooks: of alignments, gradients, scores by length, and training runs.

``picture.savefig(FILE)`` writes PNG, SVG or PDF by the suffix of the file. Notebooks show pictures by themselves.
"""

from collections.abc import Iterable, Mapping, Sequence

from nmt.alignment.heads import by_layer
from nmt.alignment.links import WordAlignment
from nmt.api.run import Run
from nmt.data.links import Link
from nmt.evaluation.compare import LENGTHS, length_scores
from nmt.evaluation.scores import check_lengths
from nmt.evaluation.significance import SufficientStatistics, TestSet
from nmt.inspection.gradients import GradientNorms
from nmt.metrics.table import check_metrics
from nmt.plotting.curves import XAxis, draw_gradients, draw_lengths, draw_runs
from nmt.plotting.matrix import draw_grid, draw_matrix
from nmt.plotting.style import Picture
from nmt.translation.translator import Translator


def plot_alignment(
    alignment: WordAlignment, gold: Iterable[Link] | None = None, title: str | None = None, numbers: bool = False
) -> Picture:
    """Draws the attention of a sentence pair as a matrix with the links of the model.

    Args:
        alignment: from :meth:`nmt.Translator.align`.
        gold: true links, (source word, target word), which get an orange frame.
        title, numbers: a line above the picture; whether the weights are written into the cells.
    """
    links = None if gold is None else set(gold)
    return draw_matrix(alignment, None if links is None else (links, links), title, numbers)


def plot_heads(translator: Translator, source: str, target: str) -> Picture:
    """Draws each attention head on a sentence pair, a row for each layer."""
    [alignment] = translator.align([(source, target)], all_heads=True)
    heads = translator.model.decoder.heads
    layers = [[heads[index].short_name for index in layer] for layer in by_layer(heads)]
    return draw_grid(alignment, layers=layers, chosen=translator.aligner.heads.heads)


def plot_gradients(norms: Iterable[GradientNorms]) -> Picture:
    """Draws how far back gradients reach in models; ``norms`` are from :func:`nmt.gradient_norms`."""
    return draw_gradients({each.name: each.mean_T for each in norms})


def plot_lengths(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[str],
    sources: Sequence[str] | None = None,
    metric: str = "bleu",
    limits: Sequence[int] = LENGTHS,
) -> Picture:
    """Draws the scores of systems by sentence length.

    Args:
        systems: the translations of each system, by its name.
        references: a reference translation of each sentence.
        metric: name of the metric, as in :func:`nmt.score`.
        sources: source sentences, whose words are counted; without them those of the references.
        limits: the longest sentences of each bucket but the last, in words.

    Raises:
        UserError: there is no such metric, or the numbers of sentences differ.
    """
    check_metrics([metric], sources is not None)
    check_lengths({"references": len(references)} | {name: len(texts) for name, texts in systems.items()})
    test_set = TestSet(systems, [references], sources)
    statistics = SufficientStatistics(metric, test_set)
    rows = length_scores(test_set, [statistics], limits)
    return draw_lengths(rows, metric, test_set.measured_by, statistics.metric.signature)


def plot_runs(runs: Iterable[Run], x: XAxis = "updates", metric: str = "bleu") -> Picture:
    """Draws the curves of training runs; see :meth:`nmt.Run.plot`."""
    return draw_runs({run.name: run.history for run in runs}, x, metric)
