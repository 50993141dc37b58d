"""Limits of input files, which keep a hostile or mistaken file from taking all memory or time."""

import os

from nmt.core.errors import UserError

LIMITS = {"NMT_MAX_LINE_BYTES": 1 << 17, "NMT_MAX_COMPRESSION_RATIO": 200}
"""Defaults by the names of the variables of the environment that change them: the longest line of text, because memory
of alignment and search grows with the square of its length, and the bytes that a byte of a compressed file may expand
to; text has about 3 to 20."""


def limit(name: str) -> int:
    """Returns the value of a variable of :data:`LIMITS`. Raises UserError if the variable is no positive number."""
    value = os.environ.get(name) or str(LIMITS[name])
    if not (value.isdecimal() and value.isascii() and len(value) < 16 and int(value)):
        raise UserError(f"{name} is {value!r}, not a positive number.", f"Set it to a number, or unset {name}.")
    return int(value)
