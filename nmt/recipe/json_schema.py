"""JSON schema of recipes, with which editors complete and check their keys.

The schema covers the keys of :class:`nmt.recipe.schema.Recipe` and the options of every component in the tables of
:mod:`nmt.recipe.registry`, those of plugins included. Conditions between keys are checked by nmt alone.
"""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from nmt.recipe.options import ChoiceOf, Options, groups_in
from nmt.recipe.registry import TABLES, choices_of
from nmt.recipe.schema import Recipe

OTHER_NAMES = {"metric": ("loss",), "mbr": ("none",)}
"""Names that a field accepts beside those of its table."""

Schema = dict[str, Any]


def recipe_schema() -> Schema:
    """Returns the JSON schema (draft 2020-12) of recipes; the modules that define the tables must be imported."""
    definitions: Schema = {}
    schema = _group(Recipe, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nmt recipe",
        **{key: value for key, value in schema.items() if key != "title"},
        "$defs": dict(sorted(definitions.items())),
    }


def _group(group: type[Options], definitions: Schema) -> Schema:
    """Schema of a group of keys; the groups and components in it are added to the definitions."""
    schema: Schema = group.model_json_schema()
    inner = schema.pop("$defs", {})
    schema.pop("description", None)  # the docstring of the class, which is for programmers
    for name, field in group.model_fields.items():
        property_ = schema["properties"][name]
        for choice in choices_of(field):
            property_ = {"description": field.description, **_choice(name, field, choice, definitions)}
        for options in groups_in(field.annotation):
            names = inner[options.__name__]["properties"].get("type", {}).get("enum", ())
            if names and _accepts(field, names[0]):  # a name in place of a mapping, as of the optimizer
                reference = {"$ref": f"#/$defs/{options.__name__}"}
                property_ = {"description": field.description, "anyOf": [{"enum": names}, reference]}
        property_.pop("title", None)
        schema["properties"][name] = property_
        for options in groups_in(field.annotation):
            definitions.setdefault(options.__name__, {})  # before it is filled: a group could contain itself
            definitions[options.__name__] = _group(options, definitions)
    return schema


def _accepts(field: FieldInfo, value: Any) -> bool:
    possible: Any = Annotated[field.annotation, Field(), *field.metadata]
    try:
        TypeAdapter(possible).validate_python(value)
    except ValidationError:
        return False
    return True


def _choice(name: str, field: FieldInfo, choice: ChoiceOf, definitions: Schema) -> Schema:
    """Schema of a field that chooses a component, or several."""
    table, prefix = TABLES[choice.kind], choice.kind.replace(" ", "_")
    if field.annotation is str:
        return {"enum": [*table, *OTHER_NAMES.get(name, ())]}
    if not _accepts(field, {}):
        return {"enum": [*table, None]}
    for row, component in table.items():
        if (key := f"{prefix}.{row}") not in definitions:
            definitions[key] = {}
            definitions[key] = _group(getattr(component, "Options", Options), definitions)
            if not choice.many:
                definitions[key]["properties"] = {"type": {"const": row}, **definitions[key].get("properties", {})}
    options = {row: {"$ref": f"#/$defs/{prefix}.{row}"} for row in table}
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
