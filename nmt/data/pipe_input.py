"""Input that comes while we look: a pipe, a terminal, another program that waits for its answer."""

import contextlib
import os
import select
import stat
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, Self

_CHUNK = 1 << 16


class LiveStream(Iterator[bytes]):
    r"""The lines of a pipe or terminal as they come, each with its ``\n``.

    Unlike an ordinary stream it can tell whether there is more to read just now.

    Args:
        descriptor: from here on nobody else reads from it.
        beginning: what has been read from it already; empty if it is at its end.
    """

    def __init__(self, descriptor: int, beginning: bytes) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._rest = bytearray()
        self._ended = False
        self._take(beginning)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        while not (self._lines or self._ended):
            self._fill(None)
        if not self._lines:
            raise StopIteration
        return self._lines.popleft()

    def pauses(self, seconds: float) -> bool:
        """Whether the next line isn't there and nothing of it comes for so many seconds; False at the end."""
        while not (self._lines or self._ended):
            if not self._fill(seconds):
                return True
        return False

    def _fill(self, seconds: float | None) -> bool:
        """Wait for more at most so long; False if nothing came."""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return False
        with contextlib.suppress(BlockingIOError):  # another reader of the same pipe was faster
            self._take(os.read(self._descriptor, _CHUNK))
        return True

    def _take(self, chunk: bytes) -> None:
        first, *others = chunk.split(b"\n")
        self._rest += first
        for other in others:
            self._lines.append(bytes(self._rest) + b"\n")
            self._rest = bytearray(other)
        if not chunk:
            self._ended = True
            if self._rest:
                self._lines.append(bytes(self._rest))


def is_live(stream: BinaryIO) -> bool:
    """Whether a stream is a pipe, a terminal or the like, rather than a file."""
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except OSError:  # a stream of tests and notebooks has no descriptor
        return False
    return os.name == "posix" and not stat.S_ISREG(mode)
