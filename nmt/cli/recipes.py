"""``nmt recipes``."""

import shutil
import textwrap
from typing import Annotated

import typer

from nmt.cli.common import Plugins, app, examples


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
