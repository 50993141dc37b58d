"""Validation scores by minutes of training, for models of several widths on several texts.

    python tools/experiments/quality_by_minutes.py --text news runs/news64 runs/news256 \
        --text captions runs/captions64 runs/captions256 -o quality.svg

Prints a table and, with ``-o``, draws a panel for each text and a line for each width. A score between two validations
lies on the line between them; there is none before the first validation and after the end of a run.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.ticker import NullFormatter
from runs import exit_codes

from nmt.metrics.table import METRICS
from nmt.plotting.history import History, read_history
from nmt.plotting.style import Picture, style, write_figure
from nmt.recipe.load import load_recipe

MINUTES = (5, 10, 20, 40, 80, 160)
SLACK = 0.02
"""Share of the minutes by which the last validation of a run may be earlier."""

Runs = Mapping[int, History]
"""Runs on one text by the width of the model."""


def curve(run: History, metric: str) -> tuple[list[float], list[float]]:
    """Returns minutes of training, validations included, and the score of the validations after as many."""
    seconds, scores = run.series("valid", metric, "seconds")
    return [each / 60 for each in seconds], scores


def score_at(run: History, metric: str, minutes: float) -> float | None:
    """Returns the score after as many minutes; None where it wasn't measured."""
    at, scores = curve(run, metric)
    if not at or not at[0] <= minutes <= at[-1] * (1 + SLACK):
        return None
    return float(np.interp(minutes, at, scores))


def table(texts: Mapping[str, Runs], metric: str) -> str:
    """Returns a table in Markdown: a row for each text and width, a column for each number of minutes."""
    rows = [["text", "width", *(f"{each} min" for each in MINUTES)], ["---"] * (2 + len(MINUTES))]
    for text, runs in texts.items():
        for width, run in sorted(runs.items()):
            scores = [score_at(run, metric, each) for each in MINUTES]
            rows.append([text, str(width), *("–" if score is None else f"{score:.1f}" for score in scores)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw(texts: Mapping[str, Runs], metric: str) -> Picture:
    """Draws a panel for each text. Minutes have a logarithmic axis, on which each doubling is as wide."""
    widths = sorted({width for runs in texts.values() for width in runs})
    lines = {}
    with style(texts):
        figure = Picture(figsize=(3.4 * len(texts), 3.5), layout="constrained")
        for axes, (text, runs) in zip(figure.subplots(1, len(texts), squeeze=False)[0], texts.items(), strict=True):
            for width, run in runs.items():
                (lines[width],) = axes.plot(*curve(run, metric), marker=".", color=f"C{widths.index(width)}")
            axes.set(title=text, xscale="log", xlabel="minutes", ylim=(0, None))
            ticks = [each for each in MINUTES if each <= max(axes.get_xlim()[1], MINUTES[0])]
            axes.set_xticks(ticks, list(map(str, ticks)))
            axes.xaxis.set_minor_formatter(NullFormatter())
        names = [f"width {width}" for width in widths]
        figure.legend([lines[width] for width in widths], names, loc="outside upper left", ncols=len(widths))
        figure.axes[0].set_ylabel(f"validation {METRICS[metric].name}")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--text", nargs="+", action="append", required=True, metavar=("NAME", "MODEL_DIR"), help="a text and its runs"
    )
    parser.add_argument("--metric", choices=list(METRICS), default="bleu")
    parser.add_argument("-o", "--output", type=Path, help="picture to write (.png, .svg or .pdf)")
    options = parser.parse_args()
    texts = {
        name: {
            load_recipe(run.directory / "recipe.yaml").model.embedding_size: run
            for run in map(read_history, map(Path, runs))
        }
        for name, *runs in options.text
    }
    for name, runs in texts.items():
        if not runs:
            parser.error(f"--text {name} names no run")
    sys.stdout.write(table(texts, options.metric) + "\n")
    if options.output:
        write_figure(draw(texts, options.metric), options.output)


if __name__ == "__main__":
    with exit_codes():
        main()
