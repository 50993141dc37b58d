"""``nmt plan``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.common import AsJson, Settings, command, say_wrote, show_json
from nmt.core.console import print_table, progress_bar, say
from nmt.core.errors import UserError

if TYPE_CHECKING:
    from nmt.extensions.planning.plan import Plan

MAX_MINUTES = 60 * 24 * 366
"""A year."""


@command("nmt plan train.de train.en", "nmt plan train.de train.en --minutes 20 -o plan.yaml")
def plan(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Training text, a sentence a line.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Its translation, line by line.")],
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M", min=1, max=MAX_MINUTES, help="Minutes that training may take.", show_default="5 to 80"
        ),
    ] = None,
    valid: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="SOURCE TARGET", help="Validation text.", show_default="held-out training pairs"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Recipe to write: the best of the plan for --minutes."),
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Estimate time, memory and chrF before training.

    Transformers of three widths are trained on the text for some seconds each, which takes one or two minutes on a CPU.
    The table shows their memory, their updates per minute and, for several durations of training, the expected chrF on
    text of the same kind. The estimate of chrF is fitted to runs on other texts.
    """
    from nmt.core.output import open_output
    from nmt.extensions.planning.plan import MINUTES, WIDTHS, PlanFiles
    from nmt.extensions.planning.plan import plan as run
    from nmt.recipe import yaml12
    from nmt.recipe.load import parse_settings

    if output is not None and minutes is None:
        raise UserError("A recipe is for a number of minutes.", "Give --minutes, too.")
    files = PlanFiles(source, target, valid, parse_settings(settings or []))
    with progress_bar("planning", len(WIDTHS) + 1) as bar:
        found = run(files, [minutes] if minutes else MINUTES, bar.update)
    if as_json:
        show_json(found.figures())
    else:
        _show(found)
    if output is not None and minutes is not None:
        best = found.best(minutes)
        with open_output(output) as file:
            file.write(yaml12.dump(files.recipe(found.profile, best.width, best.num_updates(minutes))))
        say_wrote(output)
        say(f"Train with: nmt train {output} -o runs/planned")


def _show(found: "Plan") -> None:
    from nmt.extensions.planning.plan import CHRF_ERROR

    profile = found.profile
    say(
        f"{profile.num_pairs:,} pairs of {profile.num_words:.1f} words; {profile.familiar:.0%} of the groups of "
        "three words of a sentence occur in others"
    )
    rows = [
        [
            str(trial.width),
            "–" if trial.memory_mb is None else f"{trial.memory_mb:,}",
            f"{60 / trial.update:,.0f}",
            *("–" if (chrf := found.chrf(trial, m)) is None else f"{chrf:.0f}" for m in found.minutes),
        ]
        for trial in found.trials
    ]
    heads = ["width", "memory, MB", "updates a minute", *(f"chrF, {m:g} min" for m in found.minutes)]
    print_table("", heads, rows)
    say(f"The mean error of the estimated chrF is {CHRF_ERROR:g} for texts of other kinds.")
