"""``nmt inspect``: commands that look into training runs, models and translations."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from nmt.cli.common import AsJson, command, group, say_wrote, show_json
from nmt.core.console import print_table, warn

Curves = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="A picture: .png, .svg or .pdf.")]
Limit = Annotated[int, typer.Option(metavar="N", min=1, help="Use only the first N lines.")]

NAME_WIDTH, RUN_WIDTH = 24, 18
"""Characters of the columns of the table of runs."""


@command(
    "nmt inspect run runs/de-en",
    "nmt inspect run runs/luong runs/bahdanau -o curves.png --x minutes",
    draws=True,
)
def run(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR", help="Model directories, in training or done.")],
    output: Curves = None,
    x: Annotated[Literal["updates", "minutes"], typer.Option(help="Horizontal axis of the curves.")] = "updates",
    as_json: AsJson = False,
) -> None:
    """Show results of training runs, as a table and as curves.

    The curves are loss, validation metric, learning rate and speed. Minutes include validation, but not the pauses
    before a run was resumed.
    """
    from nmt.plotting.history import read_histories, short_names

    histories = read_histories(directories)
    names, summaries = short_names([run.directory for run in histories]), [run.summary() for run in histories]
    metrics = list(dict.fromkeys(name for history in histories for name in history.metrics))
    if as_json:
        show_json({"runs": summaries})
    else:
        _print_runs(names, summaries, metrics)
    if output is not None:
        from nmt.plotting.curves import draw_runs
        from nmt.plotting.style import write_figure

        metric, *others = metrics or ["bleu"]
        if others:
            warn(f"the curves show {metric}, which not all of these runs have; the table has {', '.join(others)}, too.")
        write_figure(draw_runs(dict(zip(names, histories, strict=True)), x, metric), output)
        say_wrote(output)


def _print_runs(names: Sequence[str], summaries: Sequence[dict[str, Any]], metrics: Sequence[str]) -> None:
    """The runs beside one another, as many at a time as the terminal has room for."""
    figures = [_figures(summary, metrics) for summary in summaries]
    at_once = max(1, (Console().width - NAME_WIDTH) // RUN_WIDTH)
    for start in range(0, len(names), at_once):
        shown = slice(start, start + at_once)
        rows = [(row, *(of_run[row] for of_run in figures[shown])) for row in figures[0]]
        print_table("", ("", *names[shown]), rows)


def _figures(summary: dict[str, Any], metrics: Sequence[str]) -> dict[str, str]:
    """The rows of the table. ``metrics``: those that any of the runs has."""
    from nmt.metrics.table import METRICS

    def number(name: str, form: str = ",.0f") -> str:
        value, step = summary.get(name), summary.get(f"{name}_step")
        shown = "–" if value is None else format(value, form)
        return shown if step is None else f"{shown} at {step:,}"

    return {
        "recipe": fill(summary["description"] or "–", RUN_WIDTH),
        "parameters": number("parameters"),
        "updates": number("updates"),
        "epochs, whole": number("epochs"),
        "minutes": number("minutes", ".1f"),
        "training loss, last": number("training_loss", ".3f"),
        "training loss, best": number("best_training_loss", ".3f"),
        "validation loss, best": number("validation_loss", ".3f"),
        **{f"validation {METRICS[name].name}, best": number(name, f".{METRICS[name].decimals}f") for name in metrics},
        "tokens/s, median": number("tokens_per_second"),
        "padding": number("padding", ".1%"),
        "waiting for data": number("waiting_for_data", ".1%"),
        "peak memory, MB": number("peak_memory_mb"),
        "ended": str(summary["ended"] or "no: running, or killed").removeprefix("training."),
    }


group_of_commands = group("inspect", "Inspect training runs, models and translations.", {"run": f"{__name__}:run"})
