"""Batches made in advance by a thread, so that a GPU doesn't wait for them."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any

import torch

from nmt.data.batching import Batch, BatchStream

AHEAD = 8
"""Maximum number of batches in the queue: little memory, and enough to hide the planning of an epoch."""

_TIMEOUT = 0.1  # seconds after which the thread checks whether it has been stopped

_Item = tuple[Batch, int, dict[str, Any]]
"""A batch, with the epoch and the state of the stream after it."""


def prefetched(batches: BatchStream, device: torch.device) -> BatchStream:
    """The same batches, made in advance unless the device is a CPU, which would compute nothing meanwhile."""
    return batches if device.type == "cpu" else PrefetchedBatches(batches, device)


class PrefetchedBatches:
    """A stream of batches made by a thread while the device computes.

    ``epoch`` and :meth:`state_dict` refer to the batches that were yielded, not to those in the queue: a resumed run
    continues with the first batch that was not trained on.

    Args:
        batches: the stream, which nobody else may use.
        device: where the batches are used. For CUDA they are in pinned memory, so that copies overlap with computation.
    """

    def __init__(self, batches: BatchStream, device: torch.device) -> None:
        self._batches, self._device, self._pins = batches, device, device.type == "cuda"
        self._length = len(batches)
        self.epoch, self._state = batches.epoch, batches.state_dict()

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return self._length

    def __iter__(self) -> Iterator[Batch]:
        if self._batches.state_dict() != self._state:  # the thread of an earlier iteration had gone further
            self._batches.load_state_dict(self._state)
        items: queue.Queue[_Item | BaseException] = queue.Queue(AHEAD)
        stopped = threading.Event()
        thread = threading.Thread(target=self._produce, args=(items, stopped), name="batches", daemon=True)
        thread.start()
        try:
            while True:
                item = items.get()
                if isinstance(item, BaseException):
                    raise item
                batch, self.epoch, self._state = item
                yield batch
        finally:
            stopped.set()
            thread.join()

    def _produce(self, items: "queue.Queue[_Item | BaseException]", stopped: threading.Event) -> None:
        """The thread's function."""
        try:
            with torch.cuda.device(self._device) if self._pins else contextlib.nullcontext():
                for batch in self._batches:
                    made = batch.pinned() if self._pins else batch
                    if not _put(items, (made, self._batches.epoch, self._batches.state_dict()), stopped):
                        return
        except BaseException as error:  # raised again by __iter__
            _put(items, error, stopped)

    def state_dict(self) -> dict[str, Any]:
        """The position in the data after the last batch that was yielded."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`; to be called before the first batch is read."""
        self._batches.load_state_dict(state)
        self.epoch, self._state = self._batches.epoch, self._batches.state_dict()
        self._length = len(self._batches)


def _put(items: "queue.Queue[_Item | BaseException]", item: _Item | BaseException, stopped: threading.Event) -> bool:
    """Wait until the queue has room for the item; returns False if the thread was stopped."""
    while not stopped.is_set():
        with contextlib.suppress(queue.Full):
            items.put(item, timeout=_TIMEOUT)
            return True
    return False
