"""Computation of batches in parallel threads, in the order of length."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from nmt.core.device import R, T


def independent_threads(device: torch.device) -> tuple[int, int]:
    """Returns the number of batches to compute at a time, and PyTorch's threads for each: on a CPU (4, N/4) of N.

    Threads that each compute a batch wait for nothing, while those that share an operation wait for each other at its
    end. More than four would wait for Python's lock.
    """
    total = torch.get_num_threads()
    batches = min(total, 4) if device.type == "cpu" else 1
    return batches, total // batches


@torch.no_grad()
def map_by_length(
    function: Callable[[Sequence[int]], Sequence[R]],
    lengths: Sequence[int],
    batch_size: int,
    device: torch.device,
    on_progress: Callable[[int], None] = lambda sentences: None,
) -> list[R]:
    """Compute sentences in batches of like length, several at a time, without gradients.

    The longest come first: what fails for want of memory fails at once. Equal lengths keep their order. ``function``
    maps the indices of the sentences of a batch to their results, which are returned in the order of ``lengths``;
    ``on_progress`` is called with the number of sentences of each finished batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    results: dict[int, R] = {}
    for batch, outputs in zip(batches, map_batches(function, batches, device), strict=True):
        results.update(zip(batch, outputs, strict=True))
        on_progress(len(batch))
    return [results[index] for index in range(len(lengths))]


def map_batches(function: Callable[[T], R], batches: Sequence[T], device: torch.device) -> Iterator[R]:
    """The results of a function of batches, in their order, computed by :func:`independent_threads`."""
    before = torch.get_num_threads()
    num_threads = min(independent_threads(device)[0], len(batches))
    if num_threads < 2:
        yield from map(function, batches)
        return
    is_cast, dtype = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)

    def call(batch: T) -> R:
        # Both hold for one thread. In inference mode autocast would convert the weights anew at each step.
        with torch.autocast(device.type, dtype, enabled=is_cast), torch.no_grad():
            return function(batch)

    pool = ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(before // num_threads,))
    try:
        yield from pool.map(call, batches)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # MKL has one number for all threads
