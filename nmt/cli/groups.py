"""Groups of commands: a command's module is imported when the command is called or its help is shown.

A group has a table of nmt's own commands. Other packages, and the extensions of nmt, add commands by entry points:
those of the group ``nmt.commands`` are commands of the program, those of ``nmt.commands.inspect`` belong to ``nmt
inspect``. The name of an entry point is the name of the command, and it refers to a function that
:func:`nmt.cli.common.command` has decorated, or to another group (:func:`nmt.cli.common.group`).
"""

import ast
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_from_info, get_group
from typer.models import CommandInfo

from nmt.cli.help import GroupedCommand
from nmt.core.console import warn
from nmt.core.errors import UserError, nearest

ENTRY_POINTS = "nmt.commands"
FIRST = ("quickstart", "train", "translate", "score", "compare", "align", "inspect", "recipes", "export", "serve")
"""The commands that most users need, in the order in which they meet them. They are shown first, as far as they are
there."""


class LazyGroup(TyperGroup):
    """A group of commands that are imported when they are called.

    Attributes:
        own: nmt's commands, in the order of the help: names, and ``MODULE:FUNCTION``.
        entry_points: the group of entry points by which other packages add commands.
    """

    own: Mapping[str, str] = {}
    entry_points = ENTRY_POINTS

    def list_commands(self, ctx: Any) -> list[str]:
        return [*self._places()]

    def _places(self) -> dict[str, str]:
        """Returns ``MODULE:FUNCTION`` of each command, in the order of the help."""
        from nmt.recipe.registry import entry_points_in

        added = {entry.name: entry.value for entry in entry_points_in(self.entry_points)}
        return {**self.own, **{name: added[name] for name in sorted(added.keys() - self.own.keys())}}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Imports and returns a command.

        Raises:
            UserError: there is none of this name; its package is broken, or is an extension that was deleted.
        """
        if cmd_name in self.own:
            module, _, attribute = self.own[cmd_name].partition(":")
            return as_command(cmd_name, getattr(import_module(module), attribute))
        from nmt.recipe.registry import entry_points_in, is_deleted  # whose import takes a tenth of a second

        for entry in entry_points_in(self.entry_points, with_deleted=True):
            if entry.name == cmd_name:
                if is_deleted(entry):
                    raise UserError(
                        f"The command {cmd_name!r} belongs to {entry.module}, an extension that was deleted, or that "
                        "requires one that was.",
                        "Install nmt again to have all extensions.",
                    )
                try:
                    return as_command(cmd_name, entry.load())
                except Exception as error:  # whatever a package does when it is imported
                    raise UserError(
                        f"The command {cmd_name!r} of {entry.value} can't be imported: {error}.",
                        "Update or uninstall the package that it belongs to.",
                    ) from error
        if ctx.resilient_parsing:  # a shell asks for completions
            return None
        remedy = nearest(cmd_name, self._places(), f"`{ctx.command_path} --help` lists its commands.")
        raise UserError(f"{ctx.command_path} has no command {cmd_name!r}.", remedy)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Shows the commands that most users need, in the order in which they meet them, before all others."""
        places = self._places()
        first = [name for name in FIRST if name in places]
        sections = {"Commands": [*places]} if self.entry_points != ENTRY_POINTS else {
            "Commands": first, "More commands": sorted(places.keys() - first),
        }  # fmt: skip
        width = max(map(len, places))
        for title, members in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), summary_of(places[name])) for name in members])


def summary_of(place: str) -> str:
    """Returns the first line of the help of a command or group, which is read from its source and not imported.

    Args:
        place: ``MODULE:FUNCTION``; empty is returned if it can't be read.
    """
    module, _, name = place.partition(":")
    try:
        spec = find_spec(module)
        source = Path(spec.origin).read_text("utf-8") if spec is not None and spec.origin is not None else ""
        statements = ast.parse(source).body
    except (ImportError, OSError, SyntaxError, ValueError) as error:
        warn(f"the command at {place} can't be read: {error}.")
        return ""
    for statement in statements:
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            return (ast.get_docstring(statement) or "").partition("\n")[0]
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return str(ast.literal_eval(statement.value.args[1]))  # type: ignore[attr-defined]
    return ""


def as_command(name: str, value: Any) -> Any:
    """Returns the command of a decorated function, or of a group."""
    if isinstance(value, typer.Typer):
        made = get_group(value)
        made.name = name
        return made
    info = CommandInfo(name=name, callback=value, cls=GroupedCommand, epilog=value.epilog)
    return get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode=None)
