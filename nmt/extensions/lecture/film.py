"""The page with the timeline of a training run: sentences, attention, gradients and curves at each validation."""

import base64
from bisect import bisect_right
from pathlib import Path
from typing import Any

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.core.jsonlines import parse_object
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import read_lines
from nmt.metrics.table import METRICS
from nmt.plotting.history import read_history, short_names
from nmt.plotting.templates import embedded, render
from nmt.training.sinks import MAX_BYTES


def render_film(directory: Path) -> str:
    """Returns the page of a run.

    Raises:
        UserError: the run has no film, or it can't be read.
    """
    frames, history = read_film(directory), read_history(directory)
    summary, ends = history.summary(), history.series("epoch", "epoch")[0]

    def curve(figure: str) -> dict[str, Any]:
        return dict(zip(("xs", "ys"), history.series("valid", figure), strict=True))

    scores = [
        {"name": METRICS[name].name, "decimals": METRICS[name].decimals, **curve(name)} for name in history.metrics
    ]
    data = {
        "description": summary["description"],
        "updates": summary["updates"],
        "score": next(iter(scores), None),
        "loss": curve("loss"),
        "frames": [frame | {"epoch": bisect_right(ends, frame["step"] - 1) + 1} for frame in frames],
    }
    return render(
        "film.html.j2", __file__, title=f"Training timeline: {short_names([directory])[0]}", data=embedded(data)
    )


def read_film(directory: Path) -> list[dict[str, Any]]:
    """Returns the frames of ``film.jsonl``, see :class:`nmt.extensions.lecture.filming.Film`.

    Lines that aren't whole, or that are no frames, are left out with a warning.

    Raises:
        UserError: there is no frame.
    """
    files = ModelDirectory(directory)
    files.check()
    path = files.file("film.jsonl", MAX_BYTES)
    frames, damaged = [], 0
    for line in read_lines(path) if path.exists() else ():
        try:
            frame = parse_object(line)
            _check(frame)
            frames.append(frame)
        except (ValueError, TypeError, KeyError, AttributeError):
            damaged += 1
    if damaged:
        warn(f"{path}: left out {damaged} lines that can't be read as frames.")
    if not frames:
        raise UserError(
            f"{directory} has no film of its training.",
            "Record one: nmt train … --set training.observers.film.sentences=5. Its first frame is that of the first "
            "validation.",
        )
    return [frame for frame in frames if _texts(frame) == _texts(frames[-1])]


def _texts(frame: dict[str, Any]) -> list[str]:
    return [sentence["text"] for sentence in frame["sentences"]]


def _check(frame: dict[str, Any]) -> None:
    """Raises an error unless a frame has all fields of the page."""
    texts, numbers = [], [frame["step"], *frame["gradients"]]
    for sentence in frame["sentences"]:
        texts += [sentence["text"], *sentence["source"]]
        for target in (sentence["reference"], sentence["translation"]):
            texts += [target["text"], *target["tokens"]]
            numbers += target["p"]
            length, attention = len(target["tokens"]), target["attention"]
            size = None if attention is None else len(base64.b64decode(attention, validate=True))
            if len(target["p"]) != length or size not in (None, length * len(sentence["source"])):
                raise ValueError("sizes differ")
    is_typed = all(isinstance(text, str) for text in texts) and all(isinstance(n, int | float) for n in numbers)
    if not texts or not is_typed or not isinstance(frame["step"], int):
        raise ValueError("a part is missing, or is something else")
