"""A translator that needs no model, for tests of jobs."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from nmt.translation.job import TranslationJob
from nmt.translation.options import TranslationOptions
from nmt.translation.request import Request
from nmt.translation.results import Translation

LINES = [f"line {letter}" for letter in "abcdefghij"]
SHOUTED = [line.upper() for line in LINES]


class Shouting:
    """A translator that writes capital letters, and nothing for what begins with ``no``."""

    task = SimpleNamespace(reports_degenerate=True)

    def options(self, shortlist: int | None = None, **decoding: Any) -> Any:
        return SimpleNamespace(batch_size=2, shortlist=shortlist)

    def stream(self, requests: Sequence[Request], options: TranslationOptions, **others: Any) -> Iterator[Translation]:
        for request in requests:
            text = "" if request.source.startswith("no") else request.source.upper()
            yield Translation(request.source, text, 0.0, [])


def job() -> TranslationJob:
    translator: Any = Shouting()
    return TranslationJob(translator, lambda each: each.text)
