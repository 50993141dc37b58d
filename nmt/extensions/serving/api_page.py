"""The page that describes the API: made of its specification, without scripts and without anything from elsewhere."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup, escape

from nmt.plotting.templates import render

Json = Mapping[str, Any]


def api_page(*specifications: Json) -> str:
    """HTML of specifications, one after another.

    Args:
        specifications: of OpenAPI 3 with bodies of JSON, or of Swagger 2 with values of a form.
    """
    return render("api.html.j2", __file__, specifications=specifications, fields_of=_fields, prose=_prose)


def _fields(specification: Json, operation: Json) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and meaning of each value that a request has."""
    for parameter in operation.get("parameters", ()):
        is_required = "required" if parameter.get("required") else ""
        yield parameter["name"], parameter.get("type", "string"), is_required, parameter.get("description", "")
    if body := operation.get("requestBody"):
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        schema = specification["components"]["schemas"][name]
        for name, field in schema["properties"].items():
            default = "required" if name in schema.get("required", ()) else json.dumps(field.get("default"))
            yield name, _type(field), "" if default in ("null", '""') else default, field.get("description", "")


def _prose(text: str) -> Markup:
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _type(schema: Json) -> str:
    """Returns a schema in words."""
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"] if option.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    return str(schema.get("type", "list" if "prefixItems" in schema else "value"))
