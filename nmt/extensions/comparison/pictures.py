"""Pictures of scores by sentence length, and of confused labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nmt.core.errors import UserError
from nmt.evaluation.scores import TestSet, check_lengths
from nmt.extensions.comparison.compare import LENGTHS, scores_by_length
from nmt.metrics.table import METRICS, directed_name
from nmt.plotting.curves import draw_legend
from nmt.plotting.matrix import MAX_WORDS, draw_directions, write_numbers
from nmt.plotting.style import (
    FAINT_INK,
    Picture,
    curves_size,
    draw_cells,
    draw_colour_bar,
    panels,
    scaled,
    style,
    visible,
)


def plot_lengths(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[str],
    sources: Sequence[str] | None = None,
    metric: str = "bleu",
    limits: Sequence[int] = LENGTHS,
) -> Picture:
    """Draws the scores of systems by sentence length; raises UserError as :func:`nmt.score` does.

    Args:
        systems: the translations of each system, by its name.
        references: a reference translation of each sentence.
        metric: name of the metric, as in :func:`nmt.score`.
        sources: source sentences, whose words are counted; without them those of the references.
        limits: the longest sentences of each bucket but the last, in words.
    """
    check_lengths({"references": len(references)} | {name: len(texts) for name, texts in systems.items()})
    test_set = TestSet(systems, [references], sources)
    found = scores_by_length(metric, test_set, limits)
    return draw_lengths(found["rows"], metric, test_set.measured_by, found["signature"])


def draw_lengths(rows: Sequence[Mapping[str, Any]], metric: str, measured_by: str, note: str = "") -> Picture:
    """Draw the scores of systems by sentence length (Bahdanau et al. 2015, figure 2).

    Args:
        rows: from :func:`nmt.extensions.comparison.compare.length_scores`.
        measured_by: the side whose words are counted, ``source`` or ``reference``.
        note: small print, such as the signature of the metric.
    """
    systems = list(rows[0]["scores"][metric])
    with style(systems):
        figure = Picture(figsize=curves_size(max(6.4, 1.0 + 0.8 * len(rows)), 4.3), layout="constrained")
        axes = figure.subplots()
        for below, system in enumerate(systems):
            size = scaled(14 - 8 * (below + 1) / len(systems))  # a system shows around those that are equal to it
            values = [row["scores"][metric][system] for row in rows]
            axes.plot(values, marker="o", markersize=size, label=visible(system))
        axes.set_xticks(range(len(rows)), [f"{row['label']}\n({row['sentences']:,})" for row in rows])
        axes.set(xlabel=f"words of the {measured_by} (sentences)", ylabel=directed_name(metric))
        axes.set_ylim(bottom=min(0.0, axes.dataLim.y0))
        axes.set_title("" if note == METRICS[metric].name else note, loc="right", fontsize=scaled(6), color=FAINT_INK)
        draw_legend(figure)
    return figure


def draw_confusion(references: Sequence[str], predictions: Sequence[str]) -> Picture:
    """Draw a confusion matrix: how many lines of each label (rows) were given each label (columns).

    A cell is as dark as the share of its row.
    """
    labels = sorted({*references, *predictions})
    if len(labels) > MAX_WORDS:
        problem = f"There are {len(labels):,} different labels; a picture has room for {MAX_WORDS:,}."
        raise UserError(problem, "Give files with a label on each line, or leave out the picture.")
    place = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, ([place[label] for label in references], [place[label] for label in predictions]), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [visible(label) or "(empty)" for label in labels]
    side = min(0.45 * len(labels), 30)
    with style(names):
        figure, [[axes]] = panels(1, 1, side, side)
        draw_cells(axes, shares, names, names)
        write_numbers(axes, {cell: f"{count:,}" for cell, count in np.ndenumerate(counts) if count}, shares)
        draw_directions(axes, "reference ↓   predicted →")
        draw_colour_bar(axes, "share of the row", len(labels))
    return figure
