"""A job writes line by line and continues after the lines of a stopped run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from nmt.jobs.run import ResumableOutput, run


class Upper:
    """Capitalises lines; the one line that is done last is computed again with those that follow."""

    def run(
        self, lines: Iterable[str], first_line: int, on_progress: Callable[[int], None], again: Sequence[str]
    ) -> Iterator[str]:
        on_progress(len(again))
        for number, line in enumerate(lines, first_line):
            on_progress(1)
            yield f"{number} {line.upper()}"

    def write(self, result: str) -> str:
        return result

    def skip(self, lines: Iterator[str], done: Iterable[str], name: str) -> tuple[int, list[str]]:
        passed = [next(lines) for _ in done]
        return len(passed), passed[-1:]


def test_a_stopped_job_is_continued(tmp_path: Path) -> None:
    lines, path = ["eins", "zwei", "drei"], tmp_path / "out"
    results = run(Upper(), iter(lines), ResumableOutput(path), resume=False)
    assert (next(results), next(results)) == ("1 EINS", "2 ZWEI")
    assert (tmp_path / "out.partial").read_text() == "1 EINS\n2 ZWEI\n", "each line is written when it is computed"
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    starts: list[tuple[int, int]] = []
    computed: list[int] = []
    target = ResumableOutput(path)
    found = run(Upper(), iter(lines), target, True, lambda *counts: starts.append(counts), computed.append)
    assert list(found) == ["3 DREI"]
    assert (starts, sum(computed)) == ([(2, 1)], 2)
    assert path.read_text() == "1 EINS\n2 ZWEI\n3 DREI\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
