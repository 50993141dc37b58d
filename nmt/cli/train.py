"""Commands that write models: ``nmt quickstart``, ``train``, ``average`` and ``export``; and ``nmt recipes``."""

import shlex
import shutil
import textwrap
from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt.cli.common import ModelDir, Plugins, Quiet, Settings, app, examples, stopped_by_signal


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
    from nmt.recipe import parse_settings

    with stopped_by_signal("to start again, give nmt quickstart another folder with -o"):
        result = run(output, parse_settings(settings or []))
    report(result, output)
    if not result.succeeded:
        raise typer.Exit(1)


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
        bool, typer.Option("--resume", help="Resume from the last checkpoint in the output folder.")
    ] = False,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Train a model from a recipe.

    A recipe names its data: a data set that is downloaded, or, with --set data.root=FOLDER, files of your own such
    as train.de, train.en, val.de and val.en. Ctrl-C stops after saving a checkpoint.
    """
    from nmt.recipe import default_output, parse_settings
    from nmt.training.run import train as run

    output = output or default_output(recipe)
    again = ["nmt", "train", recipe, "-o", str(output), *(f"--set={setting}" for setting in settings or [])]
    again += [*(f"--plugin={module}" for module in plugin or []), "--resume"]
    with stopped_by_signal(f"resume with: {shlex.join(again)}"):
        run(recipe, output, overrides=parse_settings(settings or []), resume=resume)


@app.command(
    short_help="Average checkpoints of a training run.",
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
        int | None, typer.Option(metavar="N", min=2, help="The best N by validation, of those on disk.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="N,N,…", help="Those of these steps, separated by commas.")
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
    """Average checkpoints of a training run, weight by weight (Vaswani et al. 2017, section 6.1).

    The average often translates better than each of them. training.keep_last sets how many are kept.
    """
    from nmt.console import say
    from nmt.errors import UserError
    from nmt.training.checkpointing.average import average_checkpoints

    if (output is not None) == replace:
        raise UserError("No output is named for the average.", "Give either -o FOLDER or --replace.")
    chosen = average_checkpoints(model_dir, output, last=last, best=best, steps=_numbers(steps))
    where = model_dir / "model.safetensors" if output is None else output
    say(f"wrote {where}: the average of {len(chosen)} checkpoints, steps {', '.join(map(str, chosen))}")


def _numbers(steps: str | None) -> list[int] | None:
    from nmt.errors import UserError

    if steps is None:
        return None
    try:
        return [int(step) for step in steps.split(",")]
    except ValueError:
        raise UserError(f"--steps {steps!r} is not a list of numbers.", "Write --steps 500,1000.") from None


@app.command(
    short_help="Convert a Transformer for CTranslate2, which runs it without PyTorch.",
    epilog=examples("nmt export runs/de-en -o de-en.ct2", "nmt export runs/de-en -o de-en.int8 --quantization int8"),
)
def export(
    model_dir: ModelDir,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="New folder to write.", show_default=False)
    ],
    format: Annotated[Literal["ctranslate2"], typer.Option(help="The program.")] = "ctranslate2",
    quantization: Annotated[
        Literal["int8", "int16", "float16", "bfloat16"] | None,
        typer.Option(help="Type of the stored weights.", show_default="float32"),
    ] = None,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Convert a model to the format of another program, and check that its translations there are the same.

    The folder holds the weights, the vocabularies and the sentencepiece models.
    Needs the package ctranslate2: pip install 'nmt[ctranslate2]'.
    """
    from nmt.console import say
    from nmt.export.ct2 import export as write
    from nmt.export.run import check, usage
    from nmt.loading import load
    from nmt.training.sinks import read_samples

    translator = load(model_dir, "cpu")
    write(translator, output, quantization)
    found = check(output, translator, read_samples(model_dir), exact=quantization is None)
    say(f"wrote {output}: {found}")
    say("In Python:\n")
    say(usage(output))


@app.command(
    short_help="List the recipes that come with nmt, print one, or list the keys of recipes.",
    epilog=examples(
        "nmt recipes",
        "nmt recipes multi30k/transformer > mine.yaml",
        "nmt recipes --keys training",
        "nmt recipes --keys model.encoder.cell",
    ),
)
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Print this recipe. With --keys: the part of a recipe.", show_default=False
        ),
    ] = None,
    keys: Annotated[bool, typer.Option("--keys", help="List the keys of recipes: type, default and meaning.")] = False,
    plugin: Plugins = None,
) -> None:
    """List the recipes that come with nmt; with NAME, print one, ready to edit.

    --keys lists what can be set in a recipe or by --set, or the part of it that NAME names.
    """
    if keys:
        _show_keys(name or "")
        return
    from nmt.recipe import find_recipe, load_recipe, shipped_recipes

    if name is not None:
        load_recipe(name)  # refuses what is no recipe
        typer.echo(find_recipe(name).read_text("utf-8"), nl=False)
        return
    shipped = shipped_recipes()
    width = max(map(len, shipped))
    for shipped_name in shipped:
        typer.echo(f"{shipped_name:{width}}  {load_recipe(shipped_name).description}")


def _show_keys(prefix: str) -> None:
    from nmt.cli.schema import recipe_keys

    width = min(120, shutil.get_terminal_size().columns)
    component = ""
    for key in recipe_keys(prefix):
        if key.component != component:
            component = key.component
            typer.echo(f"\n# {component or key.name.partition('.')[0]}")
        typer.echo(textwrap.fill(str(key), width, subsequent_indent="    "))
        typer.echo(textwrap.fill(key.meaning, width, initial_indent="    ", subsequent_indent="    "))
