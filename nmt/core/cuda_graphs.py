"""Functions on a GPU that are recorded once and repeated, which starts all of their kernels at once."""

from collections.abc import Callable
from threading import Lock

import torch

Recorder = Callable[[Callable[[], None]], Callable[[], None]]
"""Runs a function without arguments, which reads and writes the same tensors each time, and returns what repeats it."""


class CudaGraphs:
    """Records functions on a GPU; see "CUDA graphs" in PyTorch's notes on CUDA semantics. The tensors that they make
    share memory, so that what one leaves there is lost when another one runs."""

    _recording = Lock()  # one process can record one graph at a time

    def __init__(self, device: torch.device) -> None:
        self._device, self._pool = device, torch.cuda.graph_pool_handle()
        # One for all, because cuBLAS has a workspace for each.
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        with self._recording, torch.cuda.device(self._device):
            graph, stream = torch.cuda.CUDAGraph(), self._stream
            stream.wait_stream(torch.cuda.current_stream())
            # Once beforehand: libraries load their kernels and allocate their workspaces.
            with torch.cuda.stream(stream):
                function()
            torch.cuda.current_stream().wait_stream(stream)
            # Another thread may use the GPU in the meantime.
            with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
                function()
        return graph.replay
