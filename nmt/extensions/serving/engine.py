"""The model threads: sentences of concurrent requests are translated in common batches.

Requests put sentences into a list of waiting items and wait for futures. A model thread without work takes the one that
has waited longest, and with it those of the same model and options whose lengths are nearest. Batches therefore grow
with the load by themselves, and the more sentences wait, the more alike are those of a batch.

On a CPU there are several, as :func:`nmt.decoding.parallel.independent_threads` says.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import Any, TypeVar

import torch
from torch import Tensor

from nmt.decoding.hypotheses import SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.translation.options import TranslationOptions
from nmt.translation.request import Request
from nmt.translation.results import Translation
from nmt.translation.translator import Translator

T = TypeVar("T")

WAIT = 0.003
"""Seconds without a new sentence after which an idle thread begins its batch."""
LONGEST_WAIT = 0.03
"""Longest time that it waits, in seconds."""
SIMILAR = 64
"""Characters by which the lengths in a batch may differ beyond a factor of three."""
SMALL = 16
"""Sentences that a thread takes before it leaves some to others that have no work."""
BULK_SHARE = 4
"""While short and long requests wait, every batch of this number begins with a sentence of a long one."""
STEPS_PER_UPDATE = 3
"""Steps of the search between two partial translations of a sentence."""


@dataclass(eq=False)
class _SentenceJob:
    translator: Translator
    settings: TranslationOptions
    request: Request
    on_partial: Callable[[str], None] | None
    most: int
    """Sentences of a batch."""
    is_bulk: bool = False
    future: "Future[Translation]" = field(default_factory=Future)

    @property
    def length(self) -> int:
        return len(self.request.source)


@dataclass(eq=False)
class _FunctionJob:
    function: Callable[[], Any]
    is_bulk: bool = False
    future: "Future[Any]" = field(default_factory=Future)


class _AllCancelled(Exception):
    """Ends a search between two steps, because its results are no longer needed."""


class _SearchObserver(LogitsProcessor):
    """Ends the search of cancelled sentences, and reports partial translations of the others."""

    def __init__(self, items: Sequence[_SentenceJob]) -> None:
        self._items, self.changes_scores = items, False
        self.reads_ids = any(item.on_partial for item in items)

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        if all(item.future.done() for item in self._items):
            raise _AllCancelled
        cancelled = [at for at, number in enumerate(batch.numbers) if self._items[number].future.cancelled()]
        for at in cancelled:
            rows = (sentence_N == at).nonzero()[:, 0]
            logits_NV[rows] = float("-inf")
            logits_NV[rows, batch.target.eos] = 0.0
        if self.reads_ids and tokens_Nt.shape[1] % STEPS_PER_UPDATE == 0:
            self._report(tokens_Nt, sentence_N.tolist(), batch)

    def _report(self, tokens_Nt: Tensor, sentences: list[int], batch: SearchBatch) -> None:
        """The first row of a sentence is its best unfinished hypothesis."""
        for at, number in enumerate(batch.numbers):
            on_partial = self._items[number].on_partial
            if on_partial is not None and at in sentences:
                ids = tokens_Nt[sentences.index(at), 1:].tolist()
                on_partial(batch.target.decode([i for i in ids if i != batch.target.eos]))


class Engine:
    """Runs models in threads of its own.

    Args:
        on_batch: called with the number of sentences of each batch and the seconds that it took.
        threads: that compute batches at a time, and the threads of PyTorch for each.
    """

    def __init__(self, on_batch: Callable[[int, float], None], threads: tuple[int, int]) -> None:
        self._on_batch = on_batch
        self._waiting: list[_SentenceJob | _FunctionJob] = []
        self._num_idle = self._num_turns = 0
        self._changed = threading.Condition()
        self._is_closed = False
        count, of_each = threads
        run = partial(self._run, of_each)
        self._threads = [threading.Thread(target=run, name="nmt-model", daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    @property
    def num_waiting(self) -> int:
        """Sentences that are not in a batch yet."""
        return len(self._waiting)

    def submit(
        self,
        translator: Translator,
        requests: Sequence[Request],
        settings: TranslationOptions,
        on_partial: Mapping[int, Callable[[str], None]] = {},
        is_bulk: bool = False,
    ) -> list["Future[Translation]"]:
        """Have sentences translated. A future that is cancelled leaves its batch.

        Args:
            requests: a sentence each.
            on_partial: functions, by index of the sentence, that are called in a model thread with its unfinished
                translation while search goes on.
            is_bulk: the sentences belong to a long request, for which short ones need not wait.

        Raises:
            RuntimeError: the engine is closed.
            UserError: an option of the search is wrong.
        """
        most = translator.options(**settings.decoding).batch_size
        items = [
            _SentenceJob(translator, settings, request, on_partial.get(i), most, is_bulk)
            for i, request in enumerate(requests)
        ]
        self._add(items)
        return [item.future for item in items]

    def call(self, function: Callable[[], T]) -> "Future[T]":
        """Have a function called in a model thread.

        Raises:
            RuntimeError: the engine is closed.
        """
        job = _FunctionJob(function)
        self._add([job])
        return job.future

    def _add(self, jobs: Sequence[_SentenceJob | _FunctionJob]) -> None:
        with self._changed:
            if self._is_closed:
                raise RuntimeError("The engine is closed.")
            self._waiting += jobs
            self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """Stop the threads when everything that waits is done.

        Args:
            seconds: longest time to wait for them: a call of a library can't be stopped.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))

    @property
    def is_running(self) -> bool:
        """Whether a thread has not stopped."""
        return any(thread.is_alive() for thread in self._threads)

    def _run(self, num_threads: int) -> None:
        torch.set_num_threads(num_threads)  # of this thread
        while (job := self._next()) is not None:
            if isinstance(job, _FunctionJob):
                _answer(job.future, job.function)
            elif batch := [item for item in job if not item.future.cancelled()]:
                start = time.monotonic()
                self._translate(batch)
                self._on_batch(len(batch), time.monotonic() - start)

    def _next(self) -> "list[_SentenceJob] | _FunctionJob | None":
        """Returns a batch or a call, when there is one; None if the engine is closed."""
        with self._changed:
            self._num_idle += 1
            try:
                while True:
                    self._changed.wait_for(lambda: self._waiting or self._is_closed)
                    if self._waiting and isinstance(oldest := self._waiting[0], _SentenceJob):
                        self._wait_for_more(oldest.most)
                    if self._waiting:
                        return self._take()
                    if self._is_closed:
                        return None
            finally:
                self._num_idle -= 1

    def _wait_for_more(self, most: int) -> None:
        """Wait while sentences keep arriving, as they do when a batch is done and clients send their next ones."""
        end, before = time.monotonic() + LONGEST_WAIT, 0
        while before != len(self._waiting) < most and not self._is_closed and time.monotonic() < end:
            before = len(self._waiting)
            self._changed.wait(WAIT)  # until something has arrived

    def _take(self) -> list[_SentenceJob] | _FunctionJob:
        """Take the job that has waited longest, and with a sentence those that are most like it."""
        oldest = self._choose()
        if isinstance(oldest, _FunctionJob):
            self._waiting.remove(oldest)
            return oldest
        items = [job for job in self._waiting if isinstance(job, _SentenceJob) and _fit(job, oldest)]
        size = min(oldest.most, max(SMALL, ceil(len(items) / self._num_idle)))
        batch = _most_alike(items, oldest, size)
        taken = set(batch)
        self._waiting = [job for job in self._waiting if job not in taken]
        return batch

    def _choose(self) -> _SentenceJob | _FunctionJob:
        """Choose the oldest job of short requests, or in some turns that of long ones."""
        oldest = [next((job for job in self._waiting if job.is_bulk == is_bulk), None) for is_bulk in (False, True)]
        if oldest[0] is not None and oldest[1] is not None:
            self._num_turns += 1
            return oldest[self._num_turns % BULK_SHARE == 0]  # type: ignore[return-value]
        return self._waiting[0]

    def _translate(self, items: Sequence[_SentenceJob]) -> None:
        """Answer the items of a batch. If the batch fails, each is translated alone, so one can't spoil the others."""
        translator, settings, watch = items[0].translator, items[0].settings, _SearchObserver(items)
        # CTranslate2 can't be watched; what has been cancelled there is translated to the end of its batch.
        is_watched = watch.reads_ids or translator.searcher.is_stepwise
        try:
            translations = list(
                translator.stream(
                    [item.request for item in items],
                    settings.changed(batch_size=len(items), split_sentences=False),
                    processors=[watch] if is_watched else [],
                )
            )
        except _AllCancelled:
            return
        except Exception as error:
            if len(items) == 1:
                with contextlib.suppress(InvalidStateError):  # it was cancelled
                    items[0].future.set_exception(error)
                return
            for item in items:
                self._translate([item])
        else:
            for item, translation in zip(items, translations, strict=True):
                with contextlib.suppress(InvalidStateError):
                    item.future.set_result(translation)


def _fit(item: _SentenceJob, other: _SentenceJob) -> bool:
    if (item.translator, item.settings) != (other.translator, other.settings):
        return False
    shorter, longer = sorted((item.length, other.length))
    return longer <= 3 * shorter + SIMILAR


def _most_alike(items: Sequence[_SentenceJob], wanted: _SentenceJob, size: int) -> list[_SentenceJob]:
    """Returns ``size`` sentences, ``wanted`` among them, with the smallest difference in length."""
    ordered = sorted(items, key=lambda item: item.length)
    at, last = ordered.index(wanted), max(len(ordered) - size, 0)
    begins = range(max(at - size + 1, 0), min(at, last) + 1)
    begin = min(begins, key=lambda begin: ordered[min(begin + size, len(ordered)) - 1].length - ordered[begin].length)
    return ordered[begin : begin + size]


def _answer(future: "Future[Any]", function: Callable[[], Any]) -> None:
    """Give a future the result of a function or its error; one that was cancelled stays so."""
    if future.cancelled():  # nobody waits for it any more
        return
    with contextlib.suppress(InvalidStateError):
        try:
            result = function()
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
