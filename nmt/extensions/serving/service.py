"""Requests that are being answered: admission, limits of cost, and cancellation."""

import asyncio
import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from fastapi import Request as HttpRequest

from nmt.core.errors import UserError, shortened
from nmt.core.text import in_windows
from nmt.decoding.parallel import independent_threads
from nmt.extensions.documents.elements import public_code
from nmt.extensions.documents.parts import chained, handed_on, in_parts, joined, unchanged
from nmt.extensions.documents.segmentation import Segment, has_letters, split_sentences, with_tags
from nmt.extensions.memory.memory import TranslationMemory
from nmt.extensions.serving.engine import Engine
from nmt.extensions.serving.languages import ModelRouter, direction
from nmt.extensions.serving.limits import ApiError, Metrics, RateLimit, time_limit
from nmt.extensions.serving.options import ServeOptions
from nmt.extensions.serving.process import DocumentProcesses
from nmt.translation.examiner import Examiner
from nmt.translation.languages import name_of
from nmt.translation.options import TranslationOptions
from nmt.translation.request import Request
from nmt.translation.results import Translation
from nmt.translation.translator import Translator

S = TypeVar("S")
T = TypeVar("T")
OnPartial = Callable[[int, str], None]
"""Is called with the index of a sentence and its unfinished translation."""
SENTENCES_AT_A_TIME = 64
"""Sentences of a text that wait in the engine at a time: a long document leaves room for other requests."""
PAIRS_AT_A_TIME = 16
"""Sentence pairs that are aligned or scored at a time."""
DOCUMENT_SECONDS = 600.0
"""Longest time from the arrival of a document to its translation."""
CLOSE_SECONDS = 5.0
"""Longest time that closing waits for model threads, when their requests have been answered or cancelled."""
NUM_DOCUMENTS = 4
"""Documents that are translated at a time, each with a process of its own; others wait."""
MAX_DOCUMENTS = 32
"""Documents that are translated or wait at a time; others get status 503."""
WRONG_KEYS = 10
"""Wrong API keys of one address in a minute, after which it is refused."""
NUM_THREADS = 128
"""Texts that are divided, translated and put together at a time."""
LARGE = 20_000
"""Characters of a request from which on it is large: only its own kind waits for the threads that it takes."""
NUM_LARGE_THREADS = 32
"""Texts of large requests that are divided, translated and put together at a time."""


class RequestContext:
    """An accepted request: everything that it has asked of the engine, until it is answered or cancelled.

    Its methods block, and are called in the threads of the service.
    """

    def __init__(self, engine: Engine, memories: Mapping[Translator, TranslationMemory] = {}) -> None:
        self._engine, self._num_sentences, self._memories = engine, 0, memories
        self._lock, self._futures, self._is_cancelled = threading.Lock(), set[Future[Any]](), False
        self._on_cancel: Callable[[], None] = lambda: None

    def cancel(self) -> None:
        """Take everything that isn't done out of the engine."""
        with self._lock:
            self._is_cancelled = True
            futures = list(self._futures)
            self._on_cancel()
        for future in futures:
            future.cancel()

    @contextlib.contextmanager
    def cancels(self, function: Callable[[], None]) -> Iterator[None]:
        """Within the context, :meth:`cancel` calls a function, which may not raise an error.

        Raises:
            CancelledError: the request has been cancelled.
        """
        with self._lock:
            if self._is_cancelled:
                raise CancelledError
            self._on_cancel = function
        try:
            yield
        finally:
            with self._lock:
                self._on_cancel = lambda: None

    def call(self, function: Callable[[Sequence[S]], Iterable[T]], values: Sequence[S]) -> list[T]:
        """Calls a function in a model thread, with some of the values at a time, and returns all results."""

        def submit(part: Sequence[S]) -> list["Future[list[T]]"]:
            return [self._engine.call(lambda: list(function(part)))]

        parts = in_windows(values, PAIRS_AT_A_TIME)
        return [result for part in parts for found in self._results(partial(submit, part)) for result in found]

    def translate(
        self,
        route: Sequence[Translator],
        requests: Iterable[str | Request],
        settings: TranslationOptions,
        on_partial: OnPartial | None = None,
    ) -> list[Translation]:
        """Translate sentences by the models of a route, one after another.

        Args:
            route: of :meth:`ModelRouter.route`. Constraints apply to the translations of the last model.
            requests: sentences; one that is longer than a model can read is translated in parts.
            settings: the common options of the translations.
            on_partial: is called while sentences are translated.

        Raises:
            CancelledError: the context was cancelled.
        """
        wanted = [Request(each) if isinstance(each, str) else each for each in requests]
        found = [unchanged(request.source) for request in wanted]
        for hop, model in enumerate(route):
            is_last = hop == len(route) - 1
            sources = [
                handed_on(request, before) if is_last else Request(before.text)
                for request, before in zip(wanted, found, strict=True)
            ]
            linked = settings.with_alignment or ("punctuation" if any(each.terms for each in wanted) else False)
            examined = TranslationOptions(with_alignment=linked, examinations=settings.examinations)
            own = settings if is_last else examined.changed(with_confidence=False)
            hopped = self._hop(model, sources, own, on_partial if is_last else None)
            found = [chained(before, after) for before, after in zip(found, hopped, strict=True)] if hop else hopped
        return found

    def candidates(
        self, route: Sequence[Translator], sentences: Sequence[str], settings: TranslationOptions
    ) -> list[list[Translation]]:
        """Returns the ``n_best`` translations of each sentence, best first, each with links of its own.

        Arguments and errors are those of :meth:`translate`.
        """
        before = self.translate(route[:-1], sentences, TranslationOptions(with_alignment=settings.with_alignment))
        best = self.translate(route[-1:], [each.text for each in before], settings)
        others = [replace(each, text=c.text, score=c.score, tokens=c.tokens) for each in best for c in each.n_best[1:]]
        if others and (examine := Examiner.requested(route[-1], settings)) is not None:
            others = self.call(examine, others)
        remaining = iter(others)
        found = [[each, *(next(remaining) for _ in each.n_best[1:])] for each in best]
        if len(route) < 2:
            return found
        return [[chained(first, each) for each in of_one] for first, of_one in zip(before, found, strict=True)]

    def _hop(
        self, model: Translator, requests: Sequence[Request], settings: TranslationOptions, on_partial: OnPartial | None
    ) -> list[Translation]:
        """Translate by exact matches of the model's memory, and the other sentences by the model."""
        memory = self._memories.get(model)
        recalled = memory.recall(requests, settings.constraints.forbid) if memory is not None else {}
        rest = [i for i in range(len(requests)) if i not in recalled]
        if recalled and (examine := Examiner.requested(model, settings)) is not None:
            recalled = dict(zip(recalled, self.call(examine, list(recalled.values())), strict=True))
        of_rest = None if on_partial is None else lambda at, text: on_partial(rest[at], text)
        searched = self._search(model, [requests[i] for i in rest], settings, of_rest) if rest else []
        found = recalled | dict(zip(rest, searched, strict=True))
        return [found[i] for i in range(len(requests))]

    def _search(
        self, model: Translator, requests: Sequence[Request], settings: TranslationOptions, on_partial: OnPartial | None
    ) -> list[Translation]:
        divided = [in_parts(request, model) for request in requests]
        parts = [part for of_request in divided for part in of_request]
        found: list[Translation] = []
        for start in range(0, len(parts), SENTENCES_AT_A_TIME):
            part = parts[start : start + SENTENCES_AT_A_TIME]
            functions = {}
            if on_partial is not None and len(parts) == len(requests):
                functions = {i: partial(on_partial, start + i) for i in range(len(part))}
            self._num_sentences += len(part)
            is_bulk = self._num_sentences > SENTENCES_AT_A_TIME
            try:
                found += self._results(partial(self._engine.submit, model, part, settings, functions, is_bulk))
            except UserError as error:  # options and sizes were checked before: the model or its recipe is to blame
                raise ApiError(500, f"Cannot translate text: {error.message}") from error
        remaining = iter(found)
        return [
            joined(request.source, [next(remaining) for _ in of_request], model)
            for request, of_request in zip(requests, divided, strict=True)
        ]

    def _results(self, submit: Callable[[], list["Future[T]"]]) -> list[T]:
        """Returns the results of submitted requests."""
        with self._lock:
            if self._is_cancelled:
                raise CancelledError
            futures = submit()
            self._futures.update(futures)
        try:
            return [future.result() for future in futures]
        finally:
            with self._lock:
                self._futures.difference_update(futures)
            for future in futures:  # those that an error has left behind
                future.cancel()


class Service:
    """Models, and the requests to them.

    Args:
        models: all on one device; of one direction the first is the default.
        limits: of a request.
        api_keys: one of which each request must have, if there are any.
        feedback: accept corrections without API keys, too.

    Attributes:
        closing: resources that :meth:`close` closes, too.

    Raises:
        UserError: there is no model, or with ``feedback`` the folder of one is not writable.
    """

    def __init__(
        self,
        models: Iterable[Translator],
        limits: ServeOptions = ServeOptions(),
        api_keys: Iterable[str] = (),
        feedback: bool = False,
    ) -> None:
        self.router, self.limits, self.api_keys = ModelRouter(models), limits, frozenset(api_keys)
        self.takes_corrections = feedback or bool(self.api_keys)
        self.memories = {
            model: TranslationMemory(model.directory)
            for model in self.router.named.values()
            if model.directory is not None
        }
        for folder in (memory.path.parent for memory in self.memories.values() if feedback):
            if not os.access(folder, os.W_OK):
                remedy = "Run the server as the owner of the folder, mount it writable, or remove --feedback."
                raise UserError(f"Corrections can't be stored in {folder}, which is not writable.", remedy)
        self.rate = RateLimit(self.limits.rate_limit)
        self.metrics = Metrics()
        device = next(iter(self.router.named.values())).model.device  # that of all models
        self.engine = Engine(self.metrics.on_batch, independent_threads(device))
        self._threads = ThreadPoolExecutor(NUM_THREADS, "nmt-request")
        self._large_threads = ThreadPoolExecutor(NUM_LARGE_THREADS, "nmt-large")
        self._document_threads = ThreadPoolExecutor(NUM_DOCUMENTS, "nmt-document")
        self._active = dict[RequestContext, bool]()  # and whether each is about a document
        self.metrics.active.set_function(lambda: len(self._active))
        self.closing = contextlib.ExitStack()
        self.wrong_keys = RateLimit(WRONG_KEYS)
        self.documents = DocumentProcesses()

    def close(self) -> None:
        """Cancel the requests that are not answered yet, and stop.

        What model threads compute ends between two steps of a search. One that doesn't within some seconds is left
        behind, and :attr:`Engine.is_running` then.
        """
        for context in list(self._active):
            context.cancel()
        for threads in (self._threads, self._large_threads, self._document_threads):
            threads.shutdown()
        self.documents.close()
        self.engine.close(CLOSE_SECONDS)
        for memory in self.memories.values():
            memory.close()
        self.closing.close()

    def language(self, given: str) -> str:
        """Returns the code of a language as the models have it; raises ApiError if they don't have it."""
        if (code := self.router.find(given)) is None:
            raise ApiError(400, f"{shortened(given)} is not supported")
        return code

    def route(self, source: str, target: str, name: str | None = None) -> list[Translator]:
        """Returns the models that translate from one language to another, one after another; or the one of this name.

        Raises:
            ApiError: one of the languages is unknown, there is no way between them, or the model has another direction.
        """
        codes = [self.language(source), self.language(target)]
        if name is not None and codes[0] != codes[1]:
            model = self.router.named.get(name)
            if model is None or direction(model) != tuple(codes):
                raise ApiError(400, f"{shortened(name)} is no model from {codes[0]} to {codes[1]}: see /v1/models")
            return [model]
        route = self.router.route(*codes)
        if route is None:
            names = [f"{name_of(code)} ({public_code(code)})" for code in codes]
            raise ApiError(400, f"{names[1]} is not available as a target language from {names[0]}")
        return route

    def direct(self, source: str, target: str, name: str | None = None) -> Translator:
        """Returns the one model of a route; raises ApiError as :meth:`route` does, or if there are none or two."""
        route = self.route(source, target, name)
        if len(route) != 1:
            raise ApiError(400, "Invalid request: no single model has this direction")
        return route[0]

    def correct(self, source: str, target: str, text: str, correction: str, name: str | None = None) -> None:
        """Adds a corrected translation to the memory of a model; it is on the disk when this returns.

        Args:
            source, target, name: choose the model, as in :meth:`route`.
            text, correction: a text and its translation.

        Raises:
            ApiError: corrections are disabled, no single model has this direction, or a text is too long.
            UserError: a text is empty, or the memory can't be written.
        """
        if not self.takes_corrections:
            how = "Its operator can enable them by nmt serve --feedback or --api-keys"
            raise ApiError(403, f"Suggestions are disabled on this server. {how}")
        self.check_size([text, correction])
        self.memories[self.direct(source, target, name)].add([(text, correction)])

    def recalls(self, route: Sequence[Translator], text: str) -> bool:
        """Returns whether the memory of a model has a translation of a whole text."""
        memory = self.memories.get(route[0]) if len(route) == 1 else None
        return memory is not None and memory.exact(text) is not None

    def divided(
        self, route: Sequence[Translator], text: str, language: str, is_split: bool = True
    ) -> tuple[list[Segment], list[str]]:
        """Returns the segments of a text, and its sentences, each with the tags that hold for it.

        A text that the memory has as a whole is one sentence, and so is each line of a dialogue, with its turns.
        """
        if not is_split or self.recalls(route, text):
            segments = [Segment(text, True)]
        elif route and route[0].task.reader.has_turns:
            segments = [Segment(line, has_letters(line)) for line in re.split(r"(\r?\n)", text) if line]
        else:
            segments = split_sentences(text, language)
        sentences = [segment.text for segment in segments if segment.is_sentence]
        return segments, with_tags(sentences, route[0].vocabularies.source.after_tags) if route else sentences

    def check_size(self, texts: Sequence[str]) -> None:
        """Raise ApiError if there are too many texts, or one is too long."""
        longest = max(map(len, texts), default=0)
        for size, limit in ((len(texts), self.limits.batch_limit), (longest, self.limits.char_limit)):
            if 0 <= limit < size:
                raise ApiError(400, f"Invalid request: request ({size}) exceeds text limit ({limit})")

    @contextlib.contextmanager
    def accept(self, is_document: bool = False) -> Iterator[RequestContext]:
        """Accept a request; at the end of the context, what it has left undone is cancelled.

        Raises:
            ApiError: there are too many at a time.
        """
        if is_document and sum(self._active.values()) >= MAX_DOCUMENTS:
            raise ApiError(503, "Too many documents at a time: try again later", {"Retry-After": "10"})
        if len(self._active) >= self.limits.queue_size:
            raise ApiError(503, "Too many requests at a time: try again later", {"Retry-After": "1"})
        context = RequestContext(self.engine, self.memories)
        self._active[context] = is_document
        try:
            yield context
        finally:
            context.cancel()
            del self._active[context]

    def start(
        self,
        context: RequestContext,
        functions: Iterable[Callable[[RequestContext], T]],
        is_document: bool = False,
        num_characters: int = 0,
    ) -> "asyncio.Future[list[T]]":
        """Call functions with a context in threads, so that their sentences share batches."""
        loop, threads = asyncio.get_running_loop(), self._large_threads if num_characters > LARGE else self._threads
        threads = self._document_threads if is_document else threads
        results = asyncio.gather(*(loop.run_in_executor(threads, function, context) for function in functions))
        results.add_done_callback(lambda done: done.cancelled() or done.exception())
        return results

    async def run(
        self,
        request: HttpRequest,
        functions: Iterable[Callable[[RequestContext], T]],
        is_document: bool = False,
        num_characters: int = 0,
    ) -> list[T]:
        """Returns the results of :meth:`start`, unless time runs out or the client leaves.

        Raises:
            ApiError: there are too many requests at a time, or the time limit was exceeded.
        """
        limit = DOCUMENT_SECONDS if is_document else self.limits.time_limit
        with self.accept(is_document) as context:
            results = self.start(context, functions, is_document, num_characters)
            left = asyncio.ensure_future(_disconnected(request))
            try:
                await asyncio.wait((results, left), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                if results.done():
                    return results.result()
                if left.done():
                    raise ApiError(499, "The client has closed the connection")
                raise time_limit(limit)
            finally:
                results.cancel()
                left.cancel()


def wide_beam(route: Sequence[Translator], n_best: int) -> dict[str, Any]:
    """Returns the change to decoding options that makes room for candidates, if need be."""
    options = route[-1].options() if route else None
    if options is None or n_best <= options.beam_size:
        return {}
    return {"beam_size": -(-n_best // options.beam_groups) * options.beam_groups}


async def _disconnected(request: HttpRequest) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
