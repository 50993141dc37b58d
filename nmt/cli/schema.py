"""Options of commands that are generated from the fields of a group of options, so that each is described once."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from nmt.config import Options

METAVARS = {int: "N", float: "X", str: "NAME", Path: "FILE"}
BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}

Command = TypeVar("Command", bound=Callable[..., Any])


def options_of(group: type[Options]) -> Callable[[Command], Command]:
    """A decorator that replaces the ``**`` parameter of a command by an option for each field of a group.

    An option that isn't given is None: the value in the recipe holds. Fields that aren't single values have no option.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(name, field))
            for name, field in group.model_fields.items()
            if _value_type(field) is not None
        ]
        command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        return command

    return decorate


def _value_type(field: FieldInfo) -> Any:
    """The type of a field that is a single value or a choice, without its None; None for other fields."""
    kind = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kinds = [part for part in get_args(kind) if part is not NoneType]
        kind = kinds[0] if len(kinds) == 1 else None
    return kind if kind in (*METAVARS, bool) or get_origin(kind) is Literal else None


def _option(name: str, field: FieldInfo) -> Any:
    """The annotation of the parameter for a field."""
    kind = _value_type(field)
    flag = f"--{name.replace('_', '-')}"

    def check(value: Any) -> Any:
        if value is not None:
            from pydantic import ConfigDict, TypeAdapter, ValidationError

            checked: Any = Annotated[kind, *field.metadata]
            try:
                TypeAdapter(checked, config=ConfigDict(allow_inf_nan=False)).validate_python(value)
            except ValidationError as error:
                raise typer.BadParameter(error.errors()[0]["msg"]) from None
        return value

    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        metavar=METAVARS.get(kind),
        help=f"{described(field)} [default: from the recipe{'; ' * bool(field.metadata)}{bounds(field)}]",
        show_default=False,
        callback=check if field.metadata else None,
    )
    return Annotated[kind | None, option]


def described(field: FieldInfo) -> str:
    """The description of a field as a sentence."""
    text = field.description or ""
    return f"{text[:1].upper()}{text[1:]}."


def bounds(field: FieldInfo) -> str:
    """The range of a number, such as ``x>0, x<=1``; empty for fields without one."""
    limits = [(sign, getattr(limit, name, None)) for limit in field.metadata for name, sign in BOUNDS.items()]
    return ", ".join(f"x{sign}{value:g}" for sign, value in limits if value is not None)
