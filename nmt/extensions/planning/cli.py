"""``nmt plan``, which is ``nmt train --dry-run``."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmt.cli.common import AsJson, Settings, command, say_wrote, show_json
from nmt.cli.train import MAX_MINUTES
from nmt.core.console import print_table, quoted, say
from nmt.core.errors import UserError

if TYPE_CHECKING:
    from nmt.autotrain.prepared import Request

MINUTES = (5.0, 10.0, 20.0, 40.0, 80.0)


@command("nmt plan texts.de texts.en", "nmt plan texts.de texts.en --minutes 20 -o plan.yaml")
def plan(
    texts: Annotated[list[Path], typer.Argument(metavar="TEXT...", help="As for `nmt train`.")],
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M", min=0.5, max=MAX_MINUTES, help="Minutes that training may take.", show_default="5 to 80"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Recipe to write, with its text in FILE.text.")
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Estimate the quality before training.

    This is nmt train --dry-run. The speed of up to three models is measured. The table shows, for several durations of
    training and two optimizers, the chrF to expect on held-out text of the same kind, which is fitted to runs on other
    texts.
    """
    from nmt.autotrain.prepared import Request
    from nmt.recipe.load import parse_settings

    if output is not None and minutes is None:
        raise UserError("A recipe is for a number of minutes.", "Give --minutes, too.")
    show_plan(Request(texts, minutes, parse_settings(settings or [])), output, as_json)


def show_plan(request: "Request", output: Path | None = None, as_json: bool = False) -> None:
    """Shows what would be chosen for a text, and the quality to expect; see :func:`plan`."""
    from nmt.autotrain.prepared import prepare
    from nmt.core.files import check_target
    from nmt.core.output import write_output
    from nmt.data.vocabulary.files import Vocabularies
    from nmt.extensions.planning.quality import UPDATES, TextProfile, error_of, expected_chrf

    if output is not None:
        check_target(output, *request.texts)
        request.check_folder(Path(f"{output}.text"))
    with TemporaryDirectory(prefix="nmt-plan-") as scratch:
        text = Path(f"{output}.text" if output else scratch)
        prepared = prepare(request, text)
        recipe, vocabularies = prepared.choose(), Vocabularies.load(text)
        prepared_in = time.monotonic() - request.begun
    profile = TextProfile.read(prepared.texts, vocabularies)
    minutes = [request.minutes] if request.minutes else MINUTES
    rows: list[dict[str, Any]] = [
        {"model": model.kind, "width": model.width, "update": model.update, "optimizer": optimizer,
         "chrf": [expected_chrf(profile, model.worth * model.num_updates(60 * m - prepared_in), optimizer)
                  for m in minutes]}
        for model in (prepared.models if request.start is None else ())  # the figures are for training from nothing
        for optimizer in UPDATES
    ]  # fmt: skip
    if as_json:
        error = round(error_of(prepared.texts), 1)
        show_json({"text": vars(profile), "chrf_error": error, "minutes": minutes, "rows": rows})
    else:
        heads = ["model", "updates a minute", "optimizer", *(f"chrF, {m:g} min" for m in minutes)]
        texts = [
            [f"{r['model']} {r['width']}", f"{60 / r['update']:,.0f}", r["optimizer"], *(f"{c:.0f}" for c in r["chrf"])]
            for r in rows
        ]
        if texts:
            print_table("", heads, texts)
            say(f"The chrF of a run may well be {error_of(prepared.texts):.0f} above or below its estimate.")
        else:
            say("No quality is shown: estimates are of models that are trained from nothing, not of fine-tuned ones.")
    if output is not None:
        write_output(output, recipe.to_yaml())
        say_wrote(output)
        say(f"Train with: nmt train {quoted(output)} -o runs/planned")
