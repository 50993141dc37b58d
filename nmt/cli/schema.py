"""Options of commands and the list of keys, made from the schema of recipes."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from nmt.cli.common import Command
from nmt.core.errors import UserError, nearest
from nmt.recipe.options import ChoiceOf, Options, groups_in

METAVARS = {int: "N", float: "X", str: "NAME", Path: "FILE"}
TYPE_NAMES = {int: "integer", float: "number", str: "text", bool: "true or false", Path: "path", NoneType: "null"}
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


@dataclass(frozen=True)
class Key:
    """A key of a recipe.

    Attributes:
        name: dotted, such as ``training.max_steps``.
        kind: its type and range.
        default: as YAML; None for a key without one.
        meaning: its description in the schema.
        component: of which component it is an option, such as ``model.encoder: recurrent``; empty for others.
    """

    name: str
    kind: str
    default: str | None
    meaning: str
    component: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.kind}, {'required' if self.default is None else f'default {self.default}'}"


def import_tables() -> None:
    """Import the modules that define the tables of components."""
    import_module("nmt.training.resolve")  # looks up every kind of component that a recipe names


def recipe_keys(prefix: str = "") -> list[Key]:
    """Returns the keys of a recipe that are ``prefix`` or below it, with the options of each component.

    The options of a component's components, such as those of the cell of an encoder, are listed where ``prefix``
    leads to them.

    Raises:
        UserError: no key has this prefix.
    """
    from nmt.recipe.schema import Recipe

    import_tables()
    known = list(dict.fromkeys(_walk(Recipe, "", prefix)))
    matching = [key for key in known if key.name == prefix or key.name.startswith(f"{prefix}." if prefix else "")]
    if not matching:
        raise UserError(f"There is no key {prefix!r} in a recipe.", nearest(prefix, [key.name for key in known]))
    return matching


def _walk(group: type[Options], path: str, prefix: str, component: str = "") -> Iterator[Key]:
    from nmt.recipe.registry import TABLES, choices_of

    for field_name, field in group.model_fields.items():
        name, inner = f"{path}{field_name}", groups_in(field.annotation)
        choices = choices_of(field)
        if field.annotation not in inner:  # a group of keys that must be there is no value by itself
            kinds = [_choice_text(choice, list(TABLES[choice.kind])) for choice in choices]
            kind = ", ".join(filter(None, kinds or [_type_name(field.annotation), bounds(field)]))
            default = None if field.is_required() else _on_a_line(field.get_default(call_default_factory=True))
            yield Key(name, kind, default, field.description or "", component)
        for options in inner:
            yield from _walk(options, f"{name}.", prefix, component)
        if not component or prefix.startswith(name):
            for choice in choices:
                for row, cls in TABLES[choice.kind].items():
                    place, title = (f"{name}.{row}", f"{name}.{row}") if choice.many else (name, f"{name}: {row}")
                    yield from _walk(getattr(cls, "Options", Options), f"{place}.", prefix, title)


def _choice_text(choice: ChoiceOf, names: list[str]) -> str:
    return f"{choice.kind}{'s' if choice.many else ''}, {'some' if choice.many else 'one'} of {' '.join(names)}"


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(map(_type_name, arguments))
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (tuple, list):
        return f"list of {_type_name(arguments[0]).replace('group', 'groups').removesuffix('s')}s"
    return TYPE_NAMES.get(annotation, "group of keys")


def _on_a_line(value: Any) -> str:
    text: str = yaml.safe_dump(to_jsonable_python(value), default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()
