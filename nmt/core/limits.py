"""Limits of input files, which keep a hostile or mistaken file from taking all memory or time."""

import os

from nmt.core.errors import UserError

MAX_LINE_BYTES = 1 << 17
"""Longest line of text: memory of alignment and search grows with the square of its length."""
MAX_RATIO = 200
"""Bytes that a byte of a compressed file may expand to; text has about 3 to 20."""


def max_line_bytes() -> int:
    """Returns ``$NMT_MAX_LINE_BYTES``, or :data:`MAX_LINE_BYTES`."""
    return _from_environment("NMT_MAX_LINE_BYTES", MAX_LINE_BYTES)


def max_ratio() -> int:
    """Returns ``$NMT_MAX_COMPRESSION_RATIO``, or :data:`MAX_RATIO`."""
    return _from_environment("NMT_MAX_COMPRESSION_RATIO", MAX_RATIO)


def _from_environment(name: str, default: int) -> int:
    value = os.environ.get(name) or str(default)
    if not (value.isdecimal() and value.isascii() and 0 < len(value) < 16 and int(value)):
        raise UserError(
            f"{name} is {value!r}, which is not a positive number.", f"Set it to a number, or unset {name}."
        )
    return int(value)
