"""Reading of JSON that a user or another program wrote: bounded in depth, size and numbers, checked for its type."""

import json
import math
from pathlib import Path
from typing import Any

MAX_DEPTH = 100
MAX_BITS = 1000  # longest integer: all shorter ones can be converted to a floating-point number
MAX_FILE_BYTES = 1 << 28


def parse_object(text: str | bytes, finite: bool = True) -> dict[str, Any]:
    """Returns the object of a JSON text. Raises ValueError if it isn't JSON or no object, is nested too deeply, or has
    an integer that is too large, a lone surrogate or, with ``finite``, a number that isn't finite in float64."""
    check = _finite if finite else None
    try:
        value = json.loads(text, parse_float=check, parse_constant=check)
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    _check(value)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def read_object(path: Path, finite: bool = True) -> dict[str, Any]:
    """Returns the object of a JSON file of at most :data:`MAX_FILE_BYTES`.

    Raises:
        OSError: the file can't be read.
        ValueError: the file is too large, or :func:`parse_object` raises it.
    """
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"longer than {MAX_FILE_BYTES:,} bytes")
    return parse_object(content, finite)


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits[:20]} is not a finite number")
    return number


def _check(value: Any, depth: int = 0) -> None:
    """Raises ValueError for what can't be converted or written: deep nesting, huge integers and lone surrogates."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict | list):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            _check(part, depth + 1)
    elif isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ValueError(f"an integer has more than {MAX_BITS:,} bits")
    elif isinstance(value, str):
        value.encode()
