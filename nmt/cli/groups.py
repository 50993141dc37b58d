"""Groups of commands: a command's module is imported when the command is called or its help is shown.

A group has a table of nmt's own commands. Other packages, and the extensions of nmt, add commands by entry points:
those of the group ``nmt.commands`` are commands of the program, those of ``nmt.commands.inspect`` belong to ``nmt
inspect``. The name of an entry point is the name of the command, and it refers to a function that
:func:`nmt.cli.common.command` has decorated, or to another group (:func:`nmt.cli.common.group`).
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_from_info, get_group
from typer.models import CommandInfo

from nmt.cli.help import GroupedCommand
from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.recipe.registry import entry_points_in, is_deleted

ENTRY_POINTS = "nmt.commands"
FIRST = 10
"""Number of commands of the program that its help shows first."""


class LazyGroup(TyperGroup):
    """A group of commands that are imported when they are called.

    Attributes:
        own: nmt's commands, in the order of the help: names, and ``MODULE:FUNCTION``.
        entry_points: the group of entry points by which other packages add commands.
    """

    own: Mapping[str, str] = {}
    entry_points = ENTRY_POINTS

    def list_commands(self, ctx: Any) -> list[str]:
        added = (entry.name for entry in entry_points_in(self.entry_points) if not is_deleted(entry))
        return [*self.own, *sorted(set(added) - self.own.keys())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Imports and returns a command; None if there is none of this name.

        Raises:
            UserError: the command's package is broken, or is an extension that was deleted.
        """
        if cmd_name in self.own:
            module, _, attribute = self.own[cmd_name].partition(":")
            return as_command(cmd_name, getattr(import_module(module), attribute))
        for entry in entry_points_in(self.entry_points):
            if entry.name == cmd_name:
                if is_deleted(entry):
                    raise UserError(
                        f"The command {cmd_name!r} belongs to the extension {entry.module}, which was deleted.",
                        "Install nmt again to have all extensions.",
                    )
                try:
                    return as_command(cmd_name, entry.load())
                except Exception as error:  # whatever a package does when it is imported
                    raise UserError(
                        f"The command {cmd_name!r} of {entry.value} can't be imported: {error}.",
                        "Update or uninstall the package that it belongs to.",
                    ) from error
        return None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Shows the commands that most users need, in the order in which they meet them, before all others."""
        names = self.list_commands(ctx)
        sections = {"Commands": names} if self.entry_points != ENTRY_POINTS else {
            "Commands": names[:FIRST], "More commands": names[FIRST:],
        }  # fmt: skip
        width = max(map(len, names))
        limit = formatter.width - 6 - width
        for title, members in sections.items():
            with formatter.section(title):
                rows = [(name.ljust(width), self._summary(ctx, name, limit)) for name in members]
                formatter.write_dl(rows)

    def _summary(self, context: Any, name: str, limit: int) -> str:
        try:
            return str(self.get_command(context, name).get_short_help_str(limit))
        except UserError as error:
            warn(f"{error.message} {error.remedy}")
            return ""


def as_command(name: str, value: Any) -> Any:
    """Returns the command of a decorated function, or of a group."""
    if isinstance(value, typer.Typer):
        made = get_group(value)
        made.name = name
        return made
    info = CommandInfo(name=name, callback=value, cls=GroupedCommand, epilog=value.epilog)
    return get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode=None)
