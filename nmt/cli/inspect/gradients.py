"""``nmt inspect gradients``."""

import json
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import AsJson, Device, Plugins, Quiet, examples
from nmt.cli.inspect import inspect_app


@inspect_app.command(
    short_help="How far back gradients reach in trained models.",
    epilog=examples("nmt inspect gradients runs/rnn runs/lstm --pairs val.de val.en -o gradients.png"),
)
def gradients(
    directories: Annotated[
        list[Path], typer.Argument(metavar="MODEL_DIR", help="Folders that `nmt train` wrote.", show_default=False)
    ],
    pairs: Annotated[
        tuple[Path, Path],
        typer.Option("--pairs", metavar="SOURCE TARGET", help="Sentence pairs to measure on.", show_default=False),
    ],
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Only so many pairs, the first ones.")] = 500,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Draw the curves: .png, .svg or .pdf.")
    ] = None,
    as_json: AsJson = False,
    device: Device = "auto",
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """How far back gradients reach: the norm of the loss's gradient at a source word, by the words read after it.

    In a plain recurrent network without attention it vanishes, in a trained LSTM it doesn't.
    """
    from nmt.console import progress_bar, say
    from nmt.data.corpus import FileText
    from nmt.inspection.gradients import gradient_norms
    from nmt.loading import load
    from nmt.plotting.curves import draw_gradients
    from nmt.plotting.style import suffix_of, write_figure
    from nmt.training.history import short_names

    if output is not None:
        suffix_of(output)  # before the work
    found = []
    for directory, name in zip(directories, short_names(directories), strict=True):
        with progress_bar(f"measuring {name}", None):
            found.append(gradient_norms(load(directory, device), islice(FileText(*pairs), limit), name))
    if as_json:
        shown = [{"model": norms.name, "norms": norms.mean_T.tolist(), "decay": norms.decay} for norms in found]
        typer.echo(json.dumps({"models": shown}, ensure_ascii=False))
    else:
        for norms in found:
            far = len(norms.mean_T) - 1
            share = f"{100 * norms.decay:.3g}%"
            typer.echo(f"{norms.name}: {far} words back a gradient has {share} of its size at the last word")
    if output is not None:
        write_figure(draw_gradients({norms.name: norms.mean_T for norms in found}), output)
        say(f"wrote {output}")
