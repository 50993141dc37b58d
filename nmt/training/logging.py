"""What a run writes down: metrics.jsonl, tensorboard/ and samples/."""

import contextlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nmt.errors import UserError
from nmt.training.checkpoint import cannot_write


class RunLog:
    """Appends to ``metrics.jsonl``, one object a line with ``event``, ``step``, ``seconds`` and figures.

    A resumed run goes on in the same file.

    Args:
        directory: the model directory.
        tensorboard: write the figures there too.
    """

    def __init__(self, directory: Path, tensorboard: bool = False) -> None:
        self._directory = directory
        path = directory / "metrics.jsonl"
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise cannot_write(path, error) from None
        self._board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise UserError(
                    "training.tensorboard is on, but tensorboard isn't installed.",
                    "pip install 'nmt[tensorboard]', or --set training.tensorboard=false.",
                ) from None
            self._board = SummaryWriter(str(directory / "tensorboard"))

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
            raise cannot_write(self._directory / "metrics.jsonl", error) from None
        if self._board is not None:
            for name, value in figures.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(f"{event}/{name}", value, step)
                elif value is not None:
                    self._board.add_text(f"{event}/{name}", str(value), step)

    def write_samples(
        self, step: int, sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]
    ) -> None:
        """Some validation translations, to read how the model gets better."""
        path = self._directory / "samples" / f"step-{step:06d}.txt"
        blocks = [
            f"source:      {source}\ntranslation: {hypothesis}\nreference:   {reference}\n"
            for source, hypothesis, reference in zip(sources, hypotheses, references, strict=True)
        ]
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(blocks), encoding="utf-8")
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
