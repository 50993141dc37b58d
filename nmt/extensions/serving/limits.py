"""Limits and figures of a server."""

import time
from math import ceil

from fastapi import HTTPException
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MAX_CLIENTS = 10_000
"""Clients whose requests are counted at a time."""


class ApiError(HTTPException):
    """A request that can't be answered: the status and text of the response."""


class Metrics:
    """The figures of ``/metrics``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        buckets = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
        self.requests = Counter(
            "nmt_requests", "Answered requests by path and status.", ("path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "nmt_request_seconds", "Seconds from a request to its answer.", buckets=buckets, registry=self.registry
        )
        self.active = Gauge("nmt_requests_active", "Accepted requests without an answer.", registry=self.registry)
        self.sentences = Counter("nmt_sentences", "Translated sentences.", registry=self.registry)
        self.batches = Histogram(
            "nmt_batch_sentences", "Sentences of a batch.", buckets=(1, 2, 4, 8, 16, 32, 64), registry=self.registry
        )
        self.busy = Counter("nmt_model_seconds", "Seconds that models have computed.", registry=self.registry)

    def on_batch(self, sentences: int, seconds: float) -> None:
        """Count a batch of the engine."""
        self.sentences.inc(sentences)
        self.batches.observe(sentences)
        self.busy.inc(seconds)


class RateLimit:
    """Limits the requests of each client; those that it has not made add up, to at most one minute's."""

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        self._clients: dict[str, tuple[float, float]] = {}
        """Remaining requests of each client, and the time of its last one."""

    def count(self, client: str, num_requests: int = 1) -> None:
        """Count requests; with 0, only check.

        Raises:
            ApiError: the client has none left.
        """
        if self._per_minute is None:
            return
        now, limit = time.monotonic(), self._per_minute
        if client not in self._clients and len(self._clients) >= MAX_CLIENTS:
            recent = [(name, each) for name, each in self._clients.items() if now - each[1] < 60]
            self._clients = dict(recent[-MAX_CLIENTS // 2 :])
        left, before = self._clients.get(client, (float(limit), now))
        left = min(limit, left + (now - before) * limit / 60)
        self._clients[client] = left - num_requests * (left >= 1), now
        if left < 1:
            wait = str(ceil((1 - left) * 60 / limit))
            raise ApiError(429, f"Slowdown: {limit} per 1 minute", {"Retry-After": wait})


def time_limit(seconds: float) -> ApiError:
    """Returns the answer to a request that took too long."""
    return ApiError(504, f"Cannot translate text: the time limit of {seconds:g} seconds was exceeded")
