"""``nmt inspect run``."""

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.cli.common import AsJson, Plugins, Quiet, examples
from nmt.cli.inspect import inspect_app

if TYPE_CHECKING:
    from nmt.training.history import History, Summary

NAME_WIDTH, RUN_WIDTH = 24, 18
"""Characters of the table's columns: as many runs stand side by side as the terminal has room for."""


@inspect_app.command(
    short_help="What training runs reached, as a table and as curves.",
    epilog=examples("nmt inspect run runs/de-en", "nmt inspect run runs/luong runs/bahdanau -o curves.png --x minutes"),
)
def run(
    directories: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", help="Model directories of `nmt train`, running or done.", show_default=False),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Draw the curves: .png, .svg or .pdf.")
    ] = None,
    x: Annotated[
        Literal["updates", "minutes"], typer.Option("--x", help="What is on the horizontal axes of the curves.")
    ] = "updates",
    as_json: AsJson = False,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """What training runs reached, as a table and as curves of loss, validation metric, learning rate and speed.

    Several runs stand side by side. Minutes are those of training; validation's count, pauses before a resume don't.
    """
    from nmt.training.history import read_histories

    histories = read_histories(directories)
    summaries = [history.summary() for history in histories]
    if as_json:
        typer.echo(json.dumps({"runs": [summary.to_json() for summary in summaries]}, ensure_ascii=False))
    else:
        _print(histories, summaries)
    if output is not None:
        from nmt.console import say
        from nmt.evaluation.metrics import METRICS, higher_is_better
        from nmt.plotting.curves import Panel, draw_runs
        from nmt.plotting.style import write_figure
        from nmt.training.history import short_names

        names = short_names([history.directory for history in histories])
        metric = next((name for history in histories for name in history.metrics), "bleu")
        best = max if higher_is_better(metric) else min
        panel = Panel(f"validation {METRICS[metric].name}", "valid", metric, best)
        write_figure(draw_runs(dict(zip(names, histories, strict=True)), x, panel), output)
        say(f"wrote {output}")


def _print(histories: "Sequence[History]", summaries: "Sequence[Summary]") -> None:
    from rich.console import Console

    from nmt.console import print_table
    from nmt.training.history import short_names

    metrics = list(dict.fromkeys(name for summary in summaries for name in summary.scores))

    figures = [_figures(summary, metrics) for summary in summaries]
    runs = list(zip(short_names([h.directory for h in histories]), figures, strict=True))
    at_once = max(1, (Console().width - NAME_WIDTH) // RUN_WIDTH)
    for start in range(0, len(runs), at_once):
        shown = runs[start : start + at_once]
        rows = [(name, *(figures[name] for _, figures in shown)) for name in shown[0][1]]
        print_table("", ("", *(name for name, _ in shown)), rows)


def _figures(s: "Summary", metrics: "Sequence[str]") -> dict[str, str]:
    """What a person reads, row by row. ``metrics``: those that any of the runs has."""
    from nmt.evaluation.metrics import METRICS

    def number(value: float | None, form: str = ",.0f", step: int | None = None) -> str:
        shown = "–" if value is None else format(value, form)
        return shown if step is None else f"{shown} at {step:,}"

    return {
        "recipe": fill(s.description or "–", RUN_WIDTH),
        "parameters": number(s.parameters),
        "updates": number(s.updates),
        "epochs": number(s.epochs),
        "minutes": number(s.minutes, ".1f"),
        "training loss, last": number(s.training_loss, ".3f"),
        "training loss, best": number(s.best_training_loss, ".3f"),
        "validation loss, best": number(s.validation_loss, ".3f", s.validation_loss_step),
        **{
            f"validation {METRICS[name].name}, best": number(score, f".{METRICS[name].decimals}f", step)
            for name in metrics
            for score, step in [s.scores.get(name, (None, None))]
        },
        "tokens/s, median": number(s.tokens_per_second),
        "padding": number(s.padding, ".1%"),
        "waiting for data": number(s.waiting_for_data, ".1%"),
        "peak memory, MB": number(s.peak_memory_mb),
        "ended": s.ended.removeprefix("training.") if s.ended else "no: it runs, or was killed",
    }
