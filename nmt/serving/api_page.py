"""The page that describes the API: made of its specification, without scripts and without anything from elsewhere."""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

Json = Mapping[str, Any]

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>nmt: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page/style.css">
</head>
<body>
<header>
  <h1>API</h1>
  <nav aria-label="Pages"><a href="./">Page</a> <a href="openapi.json">openapi.json</a> <a href="spec">spec</a></nav>
</header>
<main>
{sections}
</main>
</body>
</html>
"""


def api_page(*specifications: Json) -> str:
    """HTML of specifications, one after another.

    Args:
        specifications: of OpenAPI 3 with bodies of JSON, or of Swagger 2 with values of a form.
    """
    return PAGE.format(sections="\n".join(part for found in specifications for part in _sections(found)))


def _sections(specification: Json) -> Iterator[str]:
    info = specification["info"]
    yield f"<h2>{escape(info['title'])} {escape(info['version'])}</h2>"
    for path, methods in specification["paths"].items():
        for method, operation in methods.items():
            text = _prose(operation.get("description") or operation.get("summary", ""))
            rows = "".join(_row(*field) for field in _fields(specification, operation))
            head = "<tr><th>field<th>type<th>default<th>meaning</tr>"
            yield (
                f'<section class="operation"><h3><code>{method.upper()} {escape(path)}</code></h3><p>{text}</p>'
                + (f'<div class="scrolled" tabindex="0"><table>{head}{rows}</table></div>' if rows else "")
                + "</section>"
            )


def _fields(specification: Json, operation: Json) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and meaning of each value that a request has."""
    for parameter in operation.get("parameters", ()):
        is_required = "required" if parameter.get("required") else ""
        yield parameter["name"], parameter.get("type", "string"), is_required, parameter.get("description", "")
    body = operation.get("requestBody")
    if body is None:
        return
    schema = body["content"]["application/json"]["schema"]
    schema = specification["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name, field in schema["properties"].items():
        default = "required" if name in schema.get("required", ()) else json.dumps(field.get("default"))
        default = "" if default in ("null", '""') else default
        yield name, _type(field), default, field.get("description", "")


def _row(*cells: str) -> str:
    name, *others = cells
    return f"<tr><td><code>{escape(name)}</code>" + "".join(f"<td>{_prose(cell)}" for cell in others) + "</tr>\n"


def _prose(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _type(schema: Json) -> str:
    """A schema in words."""
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"] if option.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    return str(schema.get("type", "list" if "prefixItems" in schema else "value"))
