"""``nmt quickstart``."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import Plugins, Quiet, Settings, app, examples, stopped_by_signal


@app.command(
    short_help="Train a small model, translate, score, align and plot.",
    epilog=examples("nmt quickstart -o quickstart"),
)
def quickstart(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="New folder to write to.")] = Path(
        "quickstart"
    ),
    settings: Settings = None,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Train a small model on the embedded corpus, translate, score, align and plot: all of it in a few minutes.

    Nothing is downloaded: the English-German corpus is part of the package.
    """
    from nmt.quickstart import quickstart as run
    from nmt.quickstart import report

    with stopped_by_signal("nmt quickstart starts anew: give it another folder with -o"):
        result = run(output, settings or [])
    report(result, output)
    if not result.succeeded:
        raise typer.Exit(1)
