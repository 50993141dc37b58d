"""``nmt average``."""

from typing import Annotated

import typer

from nmt.cli.common import ModelDir, NewFolder, command
from nmt.core.console import say
from nmt.core.errors import UserError


@command(
    "nmt average runs/de-en --last 5 -o runs/de-en.average",
    "nmt average runs/de-en --best 3 -o runs/de-en.average",
    "nmt average runs/fr-en --origin 0.5 -o runs/fr-en.average",
)
def average(
    model_dir: ModelDir,
    output: NewFolder,
    last: Annotated[int | None, typer.Option(metavar="N", min=2, help="The newest N checkpoints.")] = None,
    best: Annotated[int | None, typer.Option(metavar="N", min=2, help="The best N on disk by validation.")] = None,
    origin: Annotated[
        float | None,
        typer.Option(metavar="SHARE", min=0.0, max=1.0, help="Mix in, with this share, the model of finetune_from."),
    ] = None,
) -> None:
    """Average checkpoints, or a tuned model and its origin.

    The average of checkpoints, weight by weight, often translates better than each of them (Vaswani et al. 2017,
    section 6.1). training.keep_last sets how many are kept. The average with the model of training.finetune_from
    reduces forgetting (Wortsman et al. 2022).
    """
    from nmt.extensions.averaging.averages import average_checkpoints, average_with_origin

    if origin is not None:
        if last or best:
            raise UserError("--origin averages no checkpoints.", "Remove --last and --best.")
        average_with_origin(model_dir, origin, output)
        say(f"wrote {output}: the average of {model_dir} and, with share {origin}, the model it was fine-tuned from")
        return
    chosen = average_checkpoints(model_dir, output, last=last, best=best)
    say(f"wrote {output}: the average of {len(chosen)} checkpoints, steps {', '.join(map(str, chosen))}")
