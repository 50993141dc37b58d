"""JSON schema of recipes, with which editors complete and check their keys.

The schema covers the keys of :class:`nmt.recipe.schema.Recipe` and the options of every component in the tables of
:mod:`nmt.recipe.registry`, those of plugins included. Conditions between keys are checked by nmt alone.
"""

import json
from typing import Annotated, Any

import typer
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

import nmt.training.resolve  # noqa: F401 # which fills the tables of components
from nmt.recipe.options import ChoiceOf, Options, groups_in
from nmt.recipe.registry import TABLES, choices_of
from nmt.recipe.schema import Recipe

OTHER_NAMES = {"metric": ("loss",), "mbr": ("none",)}
"""Names that a field accepts beside those of its table."""

Schema = dict[str, Any]


def show_schema() -> None:
    """Prints the JSON schema of recipes."""
    typer.echo(json.dumps(recipe_schema(), indent=1, ensure_ascii=False))


def recipe_schema() -> Schema:
    """Returns the JSON schema (draft 2020-12) of recipes."""
    definitions: Schema = {}
    _define("recipe", Recipe, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **definitions.pop("recipe"),
        "title": "nmt recipe",
        "$defs": dict(sorted(definitions.items())),
    }


def _define(key: str, group: type[Options], definitions: Schema, **properties: Schema) -> None:
    """Adds the schema of a group of keys to the definitions, and those of the groups and components in it."""
    if key in definitions:
        return
    definitions[key] = schema = group.model_json_schema()
    for unwanted in ("$defs", "description"):  # the description is the docstring of the class, for programmers
        schema.pop(unwanted, None)
    for name, field in group.model_fields.items():
        for choice in choices_of(field):
            chosen = _choice(name, field, choice, definitions)
            schema["properties"][name] = {"description": field.description, **chosen}
        schema["properties"][name].pop("title", None)
        for options in groups_in(field.annotation):
            _define(options.__name__, options, definitions)
    schema["properties"] = properties | schema["properties"]


def _accepts(field: FieldInfo, value: Any) -> bool:
    possible: Any = Annotated[field.annotation, Field(), *field.metadata]
    try:
        TypeAdapter(possible).validate_python(value)
    except ValidationError:
        return False
    return True


def _choice(name: str, field: FieldInfo, choice: ChoiceOf, definitions: Schema) -> Schema:
    """Schema of a field that chooses a component, or several."""
    table = TABLES[choice.kind]
    if not _accepts(field, {}):
        return {"enum": [*table, *(OTHER_NAMES.get(name, ()) if field.annotation is str else [None])]}
    options = {}
    for row, component in table.items():
        key = f"{choice.kind.replace(' ', '_')}.{row}"
        own = {} if choice.many else {"type": {"const": row}}
        _define(key, getattr(component, "Options", Options), definitions, **own)
        options[row] = {"$ref": f"#/$defs/{key}"}
    if choice.many:
        rows = {row: {"anyOf": [reference, {"type": "null"}]} for row, reference in options.items()}
        return {"type": "object", "properties": rows, "additionalProperties": False}
    default = field.get_default(call_default_factory=True)
    chosen = default.get("type") if isinstance(default, dict) else None
    mapping = {
        "type": "object",
        "properties": {"type": {"enum": list(table)}},
        "required": [] if chosen else ["type"],
        # A condition for each type: the message for a wrong key is then about the type that was chosen.
        "allOf": [
            {
                "if": {"properties": {"type": {"const": row}}, "required": [] if row == chosen else ["type"]},
                "then": reference,
            }
            for row, reference in options.items()
        ],
    }
    others: list[Schema] = [{"enum": list(table)}] if _accepts(field, next(iter(table))) else []
    others += [{"type": "null"}] if _accepts(field, None) else []
    return {"anyOf": [mapping, *others]} if others else mapping
