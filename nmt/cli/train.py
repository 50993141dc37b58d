"""``nmt quickstart`` and ``nmt train``, which write models, and ``nmt recipes``."""

import time
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import NewFolder, Settings, command, command_to_resume, complete_recipe, stopped_by_signal
from nmt.core.errors import UserError

MAX_MINUTES = 60.0 * 24 * 366
"""A year."""


@command("nmt quickstart -o quickstart", draws=True)
def quickstart(output: NewFolder = Path("quickstart"), settings: Settings = None) -> None:
    """Train a small model, translate, score, align and plot.

    All of it takes a few minutes. Nothing is downloaded: the English-German corpus is part of the package.
    """
    from nmt.quickstart.run import quickstart as run
    from nmt.quickstart.run import report
    from nmt.recipe.load import parse_settings

    with stopped_by_signal("to start again, give nmt quickstart another folder with -o"):
        figures = run(output, parse_settings(settings or []))
    if not report(figures, output):
        raise typer.Exit(1)


@command(
    "nmt train texts.de texts.en --minutes 30 -o runs/de-en",
    "nmt train texts.tsv --minutes 30 --dry-run",
    "nmt train news.de news.en --minutes 10 --from runs/de-en -o runs/news",
    "nmt train multi30k/transformer -o runs/de-en",
    "nmt train recipe.yaml -o runs/mine --set data.root=FOLDER --resume",
)
def train(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT... or RECIPE",
            help="Text: two line-aligned files (source, target), .tsv, .csv, .jsonl, .tmx, .xlf, .po, or a folder "
            "with train.*; then folders that `nmt backtranslate` wrote. Or a recipe: a YAML file, or a name that `nmt "
            "recipes` lists.",
            autocompletion=complete_recipe,
        ),
    ] = [],  # noqa: B006 # typer copies it
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Model directory to write.", show_default="runs/NAME"),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            min=0.5,
            max=MAX_MINUTES,
            help="With text: minutes for everything.",
            show_default="until more brings nothing",
        ),
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--from", metavar="MODEL_DIR", help="With text: trained model to fine-tune.")
    ] = None,
    keep_all: Annotated[bool, typer.Option("--keep-all", help="With text: train on all lines as they are.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With text: show the choices and, without --from, the quality to expect.")
    ] = False,
    settings: Settings = None,
    resume: Annotated[bool, typer.Option(help="Resume from the last checkpoint of the output.")] = False,
) -> None:
    """Train a model from text files or from a recipe.

    With text, everything is chosen from it, from the machine and from the minutes: validation and test text are held
    out, the learning rate falls to its end within the time, and the model is tested at the end. All choices are in
    recipe.yaml of the model directory.

    A recipe names its data: a data set that is downloaded, or, with --set data.root=FOLDER, files of your own such
    as train.de, train.en, val.de and val.en. Ctrl-C stops after saving a checkpoint.
    """
    begun = time.monotonic()  # the minutes include those of the imports, which are several seconds
    from nmt.recipe.load import is_recipe, parse_settings
    from nmt.recipe.registry import provided

    overrides = parse_settings(settings or [])
    with stopped_by_signal(f"resume with: {command_to_resume()}"):
        if is_recipe(given):
            if minutes is not None or start or keep_all or dry_run:
                raise UserError(
                    "--minutes, --from, --keep-all and --dry-run are for text files, not for a recipe.",
                    "Give files of text, or keys such as --set training.max_minutes=30.",
                )
            from nmt.training.run import train as run

            run(given[0], output, overrides=overrides, resume=resume)
        else:
            from nmt.autotrain.prepared import Request
            from nmt.autotrain.run import autotrain

            if dry_run and resume:
                raise UserError("--dry-run is for a new run.", "Leave out --resume.")
            request = Request([*map(Path, given)], minutes, overrides, keep_all, start, begun)
            if dry_run:
                provided("plan", "--dry-run")(request)
            else:
                autotrain(request, output, resume)


@command(
    "nmt recipes",
    "nmt recipes multi30k/transformer > mine.yaml",
    "nmt recipes --keys training",
    "nmt recipes --keys model.encoder.cell",
    "nmt recipes --schema > recipe.schema.json",
)
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Recipe to print; with --keys: part of a recipe to list.",
            autocompletion=complete_recipe,
        ),
    ] = None,
    keys: Annotated[bool, typer.Option(help="List the keys of recipes: type, default and meaning.")] = False,
    schema: Annotated[bool, typer.Option(help="Print the JSON schema of recipes, for editors and validators.")] = False,
) -> None:
    """List the shipped recipes, print one, or list all keys.

    With NAME, a recipe is printed, ready to edit. --keys lists the keys of a recipe, or of the part that
    NAME names.
    """
    from nmt.recipe.load import find_recipe, load_recipe, shipped_recipes
    from nmt.recipe.registry import provided

    if schema:
        if keys or name is not None:
            raise UserError("--schema is the schema of every recipe.", "Leave out NAME and --keys.")
        provided("recipe schema", "--schema")()
    elif keys:
        provided("recipe keys", "--keys")(name or "")
    elif name is not None:
        load_recipe(name)  # refuses what is no recipe
        typer.echo(find_recipe(name).read_text("utf-8"), nl=False)
    else:
        shipped = shipped_recipes()
        width = max(map(len, shipped))
        for shipped_name in shipped:
            typer.echo(f"{shipped_name:{width}}  {load_recipe(shipped_name).description}")
