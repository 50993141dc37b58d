"""How a recipe's mapping chooses a component from a table."""

from collections.abc import Mapping
from typing import Any

from nmt.config import Options, validate
from nmt.errors import UserError, nearest


def component(table: Mapping[str, Any], values: Mapping[str, Any], where: str) -> tuple[Any, Options]:
    """The class that ``type`` names in a table, and its checked options.

    Raises:
        UserError: no ``type``, an unknown one, or an option that is wrong.
    """
    if values.get("type") is None:
        raise UserError(f"{where} has no type.", f"Known: {', '.join(table)}.")
    kind = str(values["type"])
    if kind not in table:
        raise UserError(f"{where}.type: there is no {kind!r}.", nearest(kind, list(table)))
    others = {key: value for key, value in values.items() if key != "type"}
    return table[kind], validate(table[kind].Options, others, where)
