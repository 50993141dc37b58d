"""``nmt recipes``."""

import typer

from nmt.cli.common import Plugins, app, examples


@app.command(epilog=examples("nmt recipes"))
def recipes(plugin: Plugins = None) -> None:
    """List the recipes that come with nmt."""
    import yaml

    from nmt.recipe import shipped_recipes

    shipped = shipped_recipes()
    width = max(map(len, shipped))
    for name, path in shipped.items():
        typer.echo(f"{name:{width}}  {yaml.safe_load(path.read_text('utf-8')).get('description', '')}")
