"""Options of commands that are made from groups of options, such as those of a recipe."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from nmt.cli.common import Command
from nmt.recipe.options import Options

METAVARS = {int: "N", float: "X", str: "NAME", Path: "FILE"}
BOUNDS = {"gt": "<", "ge": "<=", "lt": "<", "le": "<="}


def options_of(
    group: type[Options], from_recipe: bool = True, section: str | None = None, others: Mapping[str, str] = {}
) -> Callable[[Command], Command]:
    """Returns a decorator that replaces the ``**`` parameter of a command by an option for each field of a group.

    Fields that are not single values get no option.

    Args:
        from_recipe: the default is None, and the recipe's value applies; otherwise it is that of the field.
        section: where help pages show the options; see :mod:`nmt.cli.help`.
        others: fields whose options are in another section, and that section.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if from_recipe else field.default,
                annotation=_option(
                    name, field, "from the recipe" if from_recipe else field.default, others.get(name, section)
                ),
            )
            for name, field in group.model_fields.items()
            if _value_type(field) is not None
        ]
        command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        return command

    return decorate


def _value_type(field: FieldInfo) -> Any:
    """Returns the type of a field that is a single value or a choice, without None; None for other fields."""
    kind = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kinds = [part for part in get_args(kind) if part is not NoneType]
        kind = kinds[0] if len(kinds) == 1 else None
    return kind if kind in (*METAVARS, bool) or get_origin(kind) is Literal else None


def _option(name: str, field: FieldInfo, default: Any, section: str | None) -> Any:
    """Returns the annotation of the parameter for a field; the help shows ``default`` unless it is None."""
    kind, limits = _value_type(field), bounds(field)
    flag = f"--{name.replace('_', '-')}"

    def check(value: Any) -> Any:
        possible: Any = Annotated[kind, *field.metadata] | None
        try:
            return TypeAdapter(possible, config=ConfigDict(allow_inf_nan=False)).validate_python(value)
        except ValidationError as error:
            raise typer.BadParameter(error.errors()[0]["msg"]) from None

    description = field.description or ""
    notes = "; ".join(filter(None, (None if default is None else f"default: {default}", limits)))
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        metavar=METAVARS.get(kind, "NAME" if sum(map(len, get_args(kind))) > 40 else None),  # pages have 80 columns
        help=f"{description[:1].upper()}{description[1:]}." + f"  [{notes}]" * bool(notes),
        show_default=False,
        rich_help_panel=section,
        callback=check if limits else None,
    )
    return Annotated[kind | None, option]


def bounds(field: FieldInfo) -> str:
    """Returns the range of a number, such as ``0<x<=1``; empty for fields without one."""
    limits = {name: getattr(limit, name) for limit in field.metadata for name in BOUNDS if hasattr(limit, name)}
    lower = [f"{value}{BOUNDS[name]}" for name, value in limits.items() if name in ("gt", "ge")]
    upper = [f"{BOUNDS[name]}{value}" for name, value in limits.items() if name in ("lt", "le")]
    return f"{''.join(lower)}x{''.join(upper)}" if limits else ""
