"""``nmt train``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import Plugins, Quiet, Settings, app, examples, stopped_by_signal


@app.command(
    epilog=examples(
        "nmt train multi30k/transformer -o runs/de-en",
        "nmt train multi30k/bahdanau -o runs/mine --set data.root=FOLDER",
        "nmt train multi30k/bahdanau -o runs/mine --set data.root=FOLDER --resume",
        "nmt train recipe.yaml -o runs/tuned --set training.init_from=runs/mine",
    )
)
def train(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="YAML file, or a name that `nmt recipes` lists.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Model directory to write.", show_default="runs/NAME of the recipe"
        ),
    ] = None,
    settings: Settings = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in the output folder.")
    ] = False,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Train a model from a recipe.

    A recipe names its data: a data set that is downloaded, or, with --set data.root=FOLDER, files of your own such
    as train.de, train.en, val.de and val.en. Ctrl-C stops after saving a checkpoint.
    """
    from nmt.recipe import default_output
    from nmt.training.run import train as run

    output = output or default_output(recipe)
    again = ["nmt", "train", recipe, "-o", str(output), *(f"--set={setting}" for setting in settings or [])]
    again += [*(f"--plugin={module}" for module in plugin or []), "--resume"]
    with stopped_by_signal(f"go on with: {shlex.join(again)}"):
        run(recipe, output, settings or [], resume)
