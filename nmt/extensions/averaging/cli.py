"""``nmt average``."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import ModelDir, command, numbers_in
from nmt.core.console import say
from nmt.core.errors import UserError


@command(
    "nmt average runs/de-en --last 5 -o runs/de-en.average",
    "nmt average runs/de-en --best 3 -o runs/de-en.average",
    "nmt average runs/de-en --steps 4000,4500,4770 --replace",
    "nmt average runs/fr-en --origin 0.5 -o runs/fr-en.average",
)
def average(
    model_dir: ModelDir,
    last: Annotated[int | None, typer.Option(metavar="N", min=2, help="The newest N checkpoints.")] = None,
    best: Annotated[int | None, typer.Option(metavar="N", min=2, help="The best N on disk by validation.")] = None,
    steps: Annotated[str | None, typer.Option(metavar="N,N,…", help="Checkpoints of these steps.")] = None,
    origin: Annotated[
        float | None,
        typer.Option(metavar="SHARE", min=0.0, max=1.0, help="Mix in, with this share, the model of finetune_from."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write.")] = None,
    replace: Annotated[bool, typer.Option(help="Replace model.safetensors of MODEL_DIR instead.")] = False,
) -> None:
    """Average checkpoints, or a tuned model and its origin.

    The average of checkpoints, weight by weight, often translates better than each of them (Vaswani et al. 2017,
    section 6.1). training.keep_last sets how many are kept. The average with the model of training.finetune_from
    reduces forgetting (Wortsman et al. 2022).
    """
    from nmt.extensions.averaging.averages import average_checkpoints, average_with_origin

    if (output is not None) == replace:
        raise UserError("No output is named for the average.", "Give either -o FOLDER or --replace.")
    if origin is not None:
        if output is None or last or best or steps:
            raise UserError("--origin needs -o FOLDER.", "Remove --replace, --last, --best and --steps.")
        average_with_origin(model_dir, origin, output)
        say(f"wrote {output}: the average of {model_dir} and, with share {origin}, the model it was fine-tuned from")
        return
    numbers = numbers_in(steps, "--steps") if steps is not None else None
    chosen = average_checkpoints(model_dir, output, last=last, best=best, steps=numbers)
    where = model_dir / "model.safetensors" if output is None else output
    say(f"wrote {where}: the average of {len(chosen)} checkpoints, steps {', '.join(map(str, chosen))}")
