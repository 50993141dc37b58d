"""Word alignments as text: Pharaoh lines and JSON lines.

Schema of a JSON object, one a line:

    source   list of str                 the source words
    target   list of str                 the target words
    links    list of [int, int]          (source word, target word), counted from 0, sorted
    weights  list of lists of float      [target words][source words]; how much a target word attends to
                                         each source word, rounded to 4 digits; a row sums to <= 1
    score    float or null               natural log-probability of the target given the source

and of a model of dialogues also

    turns         list of int            the turn of each source word, counted from the first of the line, 0
    turn_weights  list of lists of float [target words][turns]; how much a target word attends to each turn, its end
                                         counted; for hierarchical attention, weights are this times the attention
                                         within the turn
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, Literal, TextIO

import numpy as np

from nmt.alignment.links import Weights, WordAlignment, format_pharaoh
from nmt.errors import UserError

TextFormat = Literal["pharaoh", "json"]

# Unescaped, these would end a line for readers that split at every Unicode line break, or (lone
# surrogates) could not be written as UTF-8.
_UNSAFE_IN_A_LINE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def to_json(alignment: WordAlignment) -> dict[str, Any]:
    """The alignment as plain lists and numbers; the schema stands at the head of this file."""
    score = alignment.score
    values = {
        "source": list(alignment.source),
        "target": list(alignment.target),
        "links": [[source, target] for source, target in alignment.links],
        "weights": _rounded(alignment.weights),
        "score": score if score is not None and math.isfinite(score) else None,
    }
    if alignment.turn_weights is not None:
        values |= {"turns": list(alignment.turns), "turn_weights": _rounded(alignment.turn_weights)}
    return values


def _rounded(weights: Weights) -> list[list[float]]:
    # In float64, because a rounded float32 prints as 0.30000001192092896.
    rounded: list[list[float]] = np.round(weights.astype(np.float64), 4).tolist()
    return rounded


def write_alignments(alignments: Iterable[WordAlignment], format: TextFormat, stream: TextIO) -> None:
    """Write one line for each sentence pair, so that line numbers stay those of the input.

    Args:
        format: ``pharaoh`` for the links alone, ``json`` for :func:`to_json`.

    Raises:
        UserError: the format is unknown.
        ValueError: a weight is not finite, which JSON cannot say.
    """
    if format not in ("pharaoh", "json"):
        raise UserError(f"unknown alignment format '{format}'", "Choose pharaoh or json.")
    for alignment in alignments:
        line = format_pharaoh(alignment.links) if format == "pharaoh" else json_line(to_json(alignment))
        stream.write(f"{line}\n")


def json_line(value: dict[str, Any]) -> str:
    """JSON that stays one line for every reader, without a line end.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _UNSAFE_IN_A_LINE.sub(lambda match: f"\\u{ord(match.group()):04x}", line)
