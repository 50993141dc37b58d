"""Batches made ahead of time by a thread, so that a GPU never waits for the next one."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nmt.data.batching import Batch, BatchStream

AHEAD = 8
"""Batches that wait for the device at most: little memory, and enough to hide the making of an epoch's order."""

_PATIENCE = 0.1  # seconds after which the thread looks whether it is still wanted


@dataclass(frozen=True)
class _Made:
    """A batch, and where the stream is after it."""

    batch: Batch
    epoch: int
    state: dict[str, Any]


def prefetched(batches: BatchStream, device: torch.device) -> BatchStream:
    """The same batches, made ahead where ``device`` is one that computes by itself; on a CPU as they were."""
    return batches if device.type == "cpu" else PrefetchedBatches(batches, device)


class PrefetchedBatches:
    """A stream of batches made by a thread while the device computes.

    ``epoch`` and :meth:`state_dict` tell of the batches given out, never of those that lie ready: a resumed run goes
    on with the first batch that was not trained on.

    Args:
        batches: makes them; nobody else may use it.
        device: what they are for. For a GPU of CUDA they lie in pinned memory, from which copies overlap with
            computation.
    """

    def __init__(self, batches: BatchStream, device: torch.device) -> None:
        self._batches, self._device = batches, device
        self._length = len(batches)
        self.epoch = batches.epoch
        self._state = batches.state_dict()

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._length

    def __iter__(self) -> Iterator[Batch]:
        if self._batches.state_dict() != self._state:  # an earlier thread had gone ahead
            self._batches.load_state_dict(self._state)
        ready: queue.Queue[_Made | BaseException] = queue.Queue(AHEAD)
        stopped = threading.Event()
        thread = threading.Thread(target=self._make, args=(ready, stopped), name="batches", daemon=True)
        thread.start()
        try:
            while True:
                made = ready.get()
                if isinstance(made, BaseException):
                    raise made
                self.epoch, self._state = made.epoch, made.state
                yield made.batch
        finally:
            stopped.set()
            thread.join()

    def _make(self, ready: "queue.Queue[_Made | BaseException]", stopped: threading.Event) -> None:
        """The work of the thread."""
        try:
            with torch.cuda.device(self._device) if self._pins else contextlib.nullcontext():
                for batch in self._batches:
                    ours = batch.pinned() if self._pins else batch
                    if not _put(ready, _Made(ours, self._batches.epoch, self._batches.state_dict()), stopped):
                        return
        except BaseException as error:  # raised again where the batches are read
            _put(ready, error, stopped)

    @property
    def _pins(self) -> bool:
        return self._device.type == "cuda"

    def target_shares(self) -> npt.NDArray[np.float64]:
        return self._batches.target_shares()

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is, without the batches that lie ready."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken; before the first batch is read."""
        self._batches.load_state_dict(state)
        self.epoch, self._state = self._batches.epoch, self._batches.state_dict()
        self._length = len(self._batches)


def _put(ready: "queue.Queue[_Made | BaseException]", item: _Made | BaseException, stopped: threading.Event) -> bool:
    """Wait for room and put the item there; False where nobody wants it any more."""
    while not stopped.is_set():
        with contextlib.suppress(queue.Full):
            ready.put(item, timeout=_PATIENCE)
            return True
    return False
