"""``nmt inspect``: a look into runs, data and models, a module a command."""

from importlib import import_module

import typer

from nmt.cli.common import app

inspect_app = typer.Typer(
    help="A look into training runs, models and translations.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(inspect_app, name="inspect")

COMMANDS = ("run", "gradients", "lengths", "memory")
"""Modules of this folder, in the order of ``nmt inspect --help``; each registers its command with the group."""

for _name in COMMANDS:
    import_module(f"nmt.cli.inspect.{_name}")
