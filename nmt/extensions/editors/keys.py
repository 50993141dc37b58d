"""The keys of recipes, with their types, defaults and meanings."""

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
import yaml
from pydantic_core import to_jsonable_python

import nmt.training.resolve  # noqa: F401 # which fills the tables of components
from nmt.cli.schema import bounds
from nmt.core.errors import UserError, nearest
from nmt.recipe.options import Options, groups_in
from nmt.recipe.registry import TABLES, choices_of
from nmt.recipe.schema import Recipe

TYPE_NAMES = {int: "integer", float: "number", str: "text", bool: "true or false", Path: "path", NoneType: "null"}


@dataclass(frozen=True)
class Key:
    """A key of a recipe."""

    name: str  # dotted, such as ``training.max_steps``
    kind: str  # its type and range
    default: str | None  # as YAML; None for a key without one
    meaning: str  # its description in the schema
    component: str = ""  # of which component it is an option, such as ``model.encoder: recurrent``; empty for others

    def __str__(self) -> str:
        return f"{self.name}: {self.kind}, {'required' if self.default is None else f'default {self.default}'}"


def show_keys(prefix: str) -> None:
    """Prints the keys of a recipe that are ``prefix`` or below it."""
    width = min(120, shutil.get_terminal_size().columns)
    component = ""
    for key in recipe_keys(prefix):
        if key.component != component:
            component = key.component
            typer.echo(f"\n# {component or key.name.partition('.')[0]}")
        typer.echo(textwrap.fill(str(key), width, subsequent_indent="    "))
        typer.echo(textwrap.fill(key.meaning, width, initial_indent="    ", subsequent_indent="    "))


def recipe_keys(prefix: str = "") -> list[Key]:
    """Returns the keys of a recipe that are ``prefix`` or below it, with the options of each component.

    The options of a component's components, such as those of the cell of an encoder, are listed where ``prefix``
    leads to them.

    Raises:
        UserError: no key has this prefix.
    """
    known = list(dict.fromkeys(_walk(Recipe, "", prefix)))
    matching = [key for key in known if key.name == prefix or key.name.startswith(f"{prefix}." if prefix else "")]
    if not matching:
        raise UserError(f"There is no key {prefix!r} in a recipe.", nearest(prefix, [key.name for key in known]))
    return matching


def _walk(group: type[Options], path: str, prefix: str, component: str = "") -> Iterator[Key]:
    for field_name, field in group.model_fields.items():
        name, inner = f"{path}{field_name}", groups_in(field.annotation)
        choices = choices_of(field)
        if field.annotation not in inner:  # a group of keys that must be there is no value by itself
            some = ((each.kind, " ".join(TABLES[each.kind]), each.many) for each in choices)
            kinds = [f"{kind}s, some of {names}" if many else f"{kind}, one of {names}" for kind, names, many in some]
            kind = ", ".join(filter(None, kinds or [_type_name(field.annotation), bounds(field)]))
            default = None
            if not field.is_required():
                value = to_jsonable_python(field.get_default(call_default_factory=True))
                default = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
            yield Key(name, kind, default, field.description or "", component)
        for options in inner:
            yield from _walk(options, f"{name}.", prefix, component)
        if not component or prefix.startswith(name):
            for choice in choices:
                for row, cls in TABLES[choice.kind].items():
                    place, title = (f"{name}.{row}", f"{name}.{row}") if choice.many else (name, f"{name}: {row}")
                    yield from _walk(getattr(cls, "Options", Options), f"{place}.", prefix, title)


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
