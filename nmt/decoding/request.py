"""A line to translate, with what its translation must say."""

import json
from dataclasses import dataclass

from nmt.errors import UserError


@dataclass(frozen=True)
class Request:
    """A source line and wishes for its translation."""

    source: str
    prefix: str = ""
    """What the translation begins with."""
    must_contain: tuple[str, ...] = ()
    """Phrases that it contains, word for word."""


def plain_request(line: str, number: int) -> Request:
    """A line that is nothing but its text."""
    return Request(line)


def json_request(line: str, number: int) -> Request:
    """A line ``{"source": …, "prefix": …, "must_contain": […]}``, of which only the source is needed.

    What ``nmt translate --format jsonl`` wrote may be read again: other keys are passed over.

    Args:
        number: of the line, for messages.

    Raises:
        UserError: the line is not such an object.
    """
    if not line.strip():
        return Request("")
    try:
        values = json.loads(line)
        source, prefix, phrases = values["source"], values.get("prefix", ""), values.get("must_contain", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f'line {number} of the input is not a JSON object with a "source".',
            'Write {"source": "…", "prefix": "…", "must_contain": ["…"]}, or leave out --input-format jsonl.',
        ) from None
    texts = [source, prefix, *(phrases if isinstance(phrases, list) else [None])]
    if not all(isinstance(text, str) for text in texts):
        raise UserError(
            f'line {number} of the input: "source" and "prefix" must be text, "must_contain" a list of texts.',
            "Mend that line.",
        )
    return Request(source, prefix, tuple(phrases))
