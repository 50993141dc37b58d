"""The sink that writes the events of a run for TensorBoard."""

import contextlib
from pathlib import Path
from typing import Any

from nmt.core.errors import extra
from nmt.training.events import Event, Started, Validated
from nmt.training.sinks import sample_text


class TensorBoard:
    """Writes the figures of ``metrics.jsonl`` and the samples for TensorBoard."""

    _board: Any

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        with extra("tensorboard", ", or --set training.tensorboard=false"):
            from torch.utils.tensorboard import SummaryWriter
        self._folder, self._stack, self._make = folder, stack, SummaryWriter

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._board = self._stack.enter_context(self._make(str(self._folder), purge_step=event.step + 1))
        if not event.name:
            return
        for name, value in {"seconds": round(event.seconds, 3), **event.figures()}.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(f"{event.name}/{name}", value, event.step)
            elif value is not None:
                self._board.add_text(f"{event.name}/{name}", str(value), event.step)
        if isinstance(event, Validated) and event.samples:
            # The board reads Markdown, in which indented text is shown as it is.
            lines = "\n".join(map(sample_text, event.samples)).split("\n")
            self._board.add_text("samples", "\n".join(f"    {line}" if line else "" for line in lines), event.step)
