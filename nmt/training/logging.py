"""What a run writes down: metrics.jsonl, tensorboard/ and samples/."""

import contextlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from nmt.errors import UserError
from nmt.files import cannot_write, open_output


class Log:
    """Takes the lines of a run and forgets them: the log of a process that leaves writing to another."""

    def go_back(self, step: int) -> None:
        """Drop what was written after an update: the run computes it again, and curves must not double back."""

    def write(self, event: str, step: int, seconds: float, **figures: Any) -> None:
        """One line."""

    def write_samples(
        self, step: int, sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]
    ) -> None:
        """Some validation translations, to read how the model gets better."""

    def close(self) -> None:
        """Nothing is written any more."""


class RunLog(Log):
    """Appends to ``metrics.jsonl``, one object a line with ``event``, ``step``, ``seconds`` and figures.

    A resumed run goes on in the same file, after :meth:`go_back` to its checkpoint.

    Args:
        directory: the model directory.
        tensorboard: write the figures there too.
    """

    def __init__(self, directory: Path, tensorboard: bool = False) -> None:
        self._directory = directory
        self._path = directory / "metrics.jsonl"
        self._file = self._open()
        self._make_board: Any = None
        self._board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise UserError(
                    "training.tensorboard is on, but tensorboard isn't installed.",
                    "pip install 'nmt[tensorboard]', or --set training.tensorboard=false.",
                ) from None
            self._make_board = SummaryWriter

    def _open(self) -> TextIO:
        try:
            return self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise cannot_write(self._path, error) from None

    def go_back(self, step: int) -> None:
        """Drop what was written after an update.

        A line that a kill cut off, and the end of a run that now goes on, are dropped too.
        """
        if self._path.is_file():  # and no device
            with self._path.open(encoding="utf-8", errors="replace") as written:
                lines = written.readlines()
            kept = [line for line in lines if _is_before(line, step)]
            if kept != lines:
                self._file.close()
                with open_output(self._path) as file:
                    file.writelines(kept)
                self._file = self._open()
        for folder in (self._directory, self._directory / "samples"):
            for unfinished in folder.glob(".nmt-*.tmp"):  # of open_output, left by a kill
                unfinished.unlink()
        for path in (self._directory / "samples").glob("step-*.txt"):
            number = path.stem.removeprefix("step-")
            if number.isdecimal() and int(number) > step:
                path.unlink()
        if self._make_board is not None:
            self._board = self._make_board(str(self._directory / "tensorboard"), purge_step=step + 1)

    def write(self, event: str, step: int, seconds: float, **figures: Any) -> None:
        """One line, on disk at once, so that nothing is lost and others can watch."""
        figures = {"seconds": round(seconds, 3), **figures}
        # JSON has no NaN and no infinity.
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in figures.items()}
        line = {"event": event, "step": step, **finite}
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise cannot_write(self._path, error) from None
        if self._board is not None:
            for name, value in figures.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(f"{event}/{name}", value, step)
                elif value is not None:
                    self._board.add_text(f"{event}/{name}", str(value), step)

    def write_samples(
        self, step: int, sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]
    ) -> None:
        path = self._directory / "samples" / f"step-{step:06d}.txt"
        blocks = [
            f"source:      {source}\ntranslation: {hypothesis}\nreference:   {reference}\n"
            for source, hypothesis, reference in zip(sources, hypotheses, references, strict=True)
        ]
        try:
            path.parent.mkdir(exist_ok=True)
            with open_output(path) as file:
                file.write("\n".join(blocks))
        except OSError as error:
            raise cannot_write(path, error) from None
        if self._board is not None:
            # The board reads Markdown, in which indented text is shown as it is.
            indented = ["".join(f"    {line}\n" for line in block.splitlines()) for block in blocks]
            self._board.add_text("samples", "\n".join(indented), step)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk was reported when the line was written
            self._file.close()
        if self._board is not None:
            self._board.close()


def read_samples(directory: Path) -> list[str]:
    """The source sentences of a model directory's newest samples; none where there are no samples."""
    newest = max(directory.glob("samples/step-*.txt"), default=None)
    if newest is None:
        return []
    lines = newest.read_text(encoding="utf-8").split("\n")
    return [line.removeprefix("source:").strip() for line in lines if line.startswith("source:")]


def _is_before(line: str, step: int) -> bool:
    """Whether a line of the log was written by a given update or before."""
    try:
        event = json.loads(line)
        return bool(line.endswith("\n") and event["step"] <= step and event["event"] != "end")
    except (ValueError, KeyError, TypeError):
        return False
