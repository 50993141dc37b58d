"""``nmt average``."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import ModelDir, Plugins, Quiet, app, examples


@app.command(
    short_help="The mean of a run's checkpoints.",
    epilog=examples(
        "nmt average runs/de-en --last 5 -o runs/de-en.average",
        "nmt average runs/de-en --best 3 -o runs/de-en.average",
        "nmt average runs/de-en --steps 4000,4500,4770 --replace",
    ),
)
def average(
    model_dir: ModelDir,
    last: Annotated[int | None, typer.Option(metavar="N", min=2, help="The newest N checkpoints.")] = None,
    best: Annotated[
        int | None, typer.Option(metavar="N", min=2, help="The best N by validation, of those still on disk.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="N,N,…", help="Those after so many updates, with commas between.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="New model directory to write.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite model.safetensors of MODEL_DIR instead.")
    ] = False,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """The mean of a run's checkpoints, weight by weight (Vaswani et al. 2017, section 6.1).

    It often translates better than each of them. How many are on disk is set by training.keep_last.
    """
    from nmt.console import say
    from nmt.errors import UserError
    from nmt.training.checkpointing.average import average_checkpoints

    if (output is not None) == replace:
        raise UserError("It is not clear where the mean goes.", "Give either -o FOLDER or --replace.")
    chosen = average_checkpoints(model_dir, output, last=last, best=best, steps=_numbers(steps))
    where = model_dir / "model.safetensors" if output is None else output
    say(f"the mean of {len(chosen)} checkpoints, steps {', '.join(map(str, chosen))}, is {where}")


def _numbers(steps: str | None) -> list[int] | None:
    from nmt.errors import UserError

    if steps is None:
        return None
    try:
        return [int(step) for step in steps.split(",")]
    except ValueError:
        raise UserError(f"--steps {steps!r} is not a list of numbers.", "Write --steps 500,1000.") from None
