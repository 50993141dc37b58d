"""The work of one worker on shards of text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nmt.extensions.shards.shards import Shard
from nmt.extensions.shards.translate import start_shards
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


def test_a_worker_counts_lines_from_the_beginning_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [*LINES[:4], "no 5", "no 6", "no 7"]
    (tmp_path / "out.partial").write_text("".join(f"{line}\n" for line in SHOUTED[:4]))
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in lines))
    work = start_shards(lambda device: job(), "cpu", 0)
    steps = list(work(Shard("out", (tmp_path / "in",), tmp_path / "out")))
    assert steps == [("before", 4), ("lines", 3), ("done", None)]
    assert (tmp_path / "out").read_text().splitlines() == [*SHOUTED[:4], "", "", ""]
    assert "3 are empty (lines 5, 6, 7)" in capsys.readouterr().err
