"""Connections of the server: their number, the size and time of headers, and the time until answers are read."""

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_CONNECTIONS = 1_000
"""Connections at a time; further ones are closed at once."""
HEADER_SECONDS = 10.0
"""Longest time to the end of the headers from the first byte of a request, the beginning of the connection, or the end
of the answer before."""
MAX_HEADER_BYTES = 64 << 10
"""Largest size of the headers of a request, beyond the data of the first read."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP of uvicorn, with limits against clients that never finish a request or never read an answer.

    A connection that exceeds a limit is aborted: closing it would wait until the client has read all data.

    Attributes:
        read_seconds: longest time until a client has read the data that was sent to it.
    """

    read_seconds: ClassVar[float] = 60.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._is_in_headers, self._header_bytes = True, 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # pause_writing() is called as soon as the system takes no more
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._start_timer("headers", HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer("headers")
        self._stop_timer("unread")
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_timer("unread", self.read_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_timer("unread")
        if self.cycle is not None and self.cycle.response_complete:
            self._start_timer("headers", HEADER_SECONDS)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._header_bytes += len(data) if self._is_in_headers else 0
        if self._header_bytes > MAX_HEADER_BYTES:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        super().send_400_response("" if self.parser.get_method() == b"HEAD" else msg)  # no content: RFC 9110, 9.3.2

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_headers, self._header_bytes = True, 0
        self._start_timer("headers", HEADER_SECONDS)

    def on_headers_complete(self) -> None:
        self._is_in_headers, self._header_bytes = False, 0
        self._stop_timer("headers")
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Any byte stops uvicorn's own timer, also one of a body that nobody reads any more.
        if self.cycle.response_complete and "unread" not in self._timers:  # and no other request was sent ahead
            self._start_timer("headers", HEADER_SECONDS)

    def _start_timer(self, name: str, seconds: float) -> None:
        if name not in self._timers:
            self._timers[name] = self.loop.call_later(seconds, self.transport.abort)

    def _stop_timer(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
