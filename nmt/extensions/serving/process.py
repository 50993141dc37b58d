"""Documents in processes of their own, which have limits of memory and processor time and can be ended.

The process reads, divides and writes the document. It sends sentences, a few at a time, and receives translations.
Messages are lines of JSON; a document is in base64.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn

from nmt.core.errors import UserError
from nmt.core.text import in_windows
from nmt.extensions.documents.formats import sentences_of_document, translate_document
from nmt.extensions.documents.markup import Translate
from nmt.recipe.registry import load_plugin, named
from nmt.translation.results import Translation

MAX_MEMORY = 1 << 30
"""Bytes that a process may take beyond those that it starts with (Linux)."""
MAX_SECONDS = 60
"""Processor time for a document (POSIX)."""
MAX_IDLE = 2
"""Processes that are kept for the next documents."""
KEPT_MEMORY = 300 << 20
"""A process that has taken more memory than these bytes isn't used again."""
SENTENCES = 64
"""Sentences that leave the process at a time."""


class DocumentProcess:
    """A process that translates documents, one after another. Any error but a :class:`UserError` makes it unusable."""

    def __init__(self) -> None:
        folders = os.pathsep.join(folder for folder in sys.path if folder)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "nmt.extensions.serving.process", *named],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": folders, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self.is_reusable = False

    def runs(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """End the process at once, whatever it does; a call of another thread then raises UserError."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process and releases its resources. No other thread may use it any more."""
        with suppress(OSError), self._process:
            self.end()

    def translate(self, name: str, data: bytes, translate: Translate, source: str, target: str) -> bytes:
        """Translate a document; see :func:`nmt.extensions.documents.formats.translate_document`.

        Raises:
            UserError: also if the document exceeds the limits of the process.
        """
        return self._run({"name": name, "source": source, "target": target}, data, translate)

    def text(self, name: str, data: bytes, limit: int) -> str:
        """Returns the first sentences, up to ``limit`` characters, for language identification."""
        return self._run({"name": name, "limit": limit}, data, lambda sentences: []).decode()

    def _run(self, job: dict[str, Any], data: bytes, translate: Translate) -> bytes:
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        self.is_reusable = False
        with _end_is_error():
            _send(requests, [job, b64encode(data).decode()])
            kind, *values = _receive(answers)
        while kind == "sentences":
            found = translate(values[0])
            with _end_is_error():
                _send(requests, [[each.text, each.alignment, each.with_punctuation] for each in found])
                kind, *values = _receive(answers)
        if kind == "failure":
            raise RuntimeError(values[0])
        self.is_reusable = values.pop()
        if kind == "error":
            raise UserError(*values)
        return b64decode(values[0])


@contextmanager
def _end_is_error() -> Iterator[None]:
    """Turns the end of the process into UserError."""
    try:
        yield
    except (EOFError, OSError):
        raise UserError(
            f"The document can't be read within {MAX_MEMORY >> 20:,} MiB of memory and {MAX_SECONDS} seconds.",
            "Split the file.",
        ) from None


class DocumentProcesses:
    """Starts processes for documents, and keeps some of them for the next ones."""

    def __init__(self) -> None:
        self._idle: list[DocumentProcess] = []
        self._lock, self._is_closed = threading.Lock(), False

    @contextmanager
    def process(self) -> Iterator[DocumentProcess]:
        """Lends a process to one user at a time."""
        with self._lock:
            self._idle = [each for each in self._idle if each.runs()]  # the system may have killed one for its memory
            process = self._idle.pop() if self._idle else DocumentProcess()
        try:
            yield process
        finally:
            with self._lock:
                is_kept = process.is_reusable and len(self._idle) < MAX_IDLE and not self._is_closed
                if is_kept:
                    self._idle.append(process)
            if not is_kept:
                process.close()

    def close(self) -> None:
        """Ends the processes that are not in use, and the others when they are given back."""
        with self._lock:
            self._is_closed, idle, self._idle = True, self._idle, []
        for process in idle:
            process.close()


def _send(file: IO[bytes], message: Any) -> None:
    file.write(json.dumps(message).encode() + b"\n")
    file.flush()


def _receive(file: IO[bytes]) -> Any:
    line = file.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return json.loads(line)


# In the process


def _work(plugins: Sequence[str]) -> NoReturn:
    """Translate documents until standard input is closed."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a plugin prints is no message
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the server, which answers what it has accepted
    for plugin in plugins:
        load_plugin(plugin)
    _limit_memory()
    with suppress(EOFError, OSError):
        while True:
            job, data = _receive(requests)
            _limit_time()
            _answer(job, b64decode(data), requests, answers)
    os._exit(0)


def _answer(job: dict[str, Any], data: bytes, requests: IO[bytes], answers: IO[bytes]) -> None:
    def translate(sentences: Sequence[str]) -> list[Translation]:
        translations: list[Translation] = []
        for part in in_windows(sentences, SENTENCES):
            _send(answers, ["sentences", part])
            for sentence, (text, links, is_divided) in zip(part, _receive(requests), strict=True):
                alignment = None if links is None else tuple((s, t) for s, t in links)
                found = Translation(sentence, text, 0.0, [], alignment=alignment, with_punctuation=is_divided)
                translations.append(found)
        return translations

    try:
        if "limit" in job:
            sentences = sentences_of_document(job["name"], data, limit=job["limit"])
            result = "\n".join(sentences)[: job["limit"]].encode("utf-8", "replace")
        else:
            result = translate_document(job["name"], data, translate, job["source"], job["target"])
    except UserError as error:
        _send(answers, ["error", error.message, error.remedy, _is_small()])
    except (MemoryError, RecursionError):
        message = f"The document needs more than {MAX_MEMORY >> 20:,} MiB of memory, or is nested too deeply."
        _send(answers, ["error", message, "Split the file.", False])
    except (EOFError, OSError):
        raise
    except Exception as error:
        _send(answers, ["failure", type(error).__name__])
    else:
        _send(answers, ["document", b64encode(result).decode(), _is_small()])


def _limit_memory() -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        most = _memory(0) + MAX_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _memory(column: int) -> int:
    """Bytes of this process: 0 the address space, 1 the resident set (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[column]) * os.sysconf("SC_PAGESIZE")


def _limit_time() -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = int(sum(os.times()[:2])) + MAX_SECONDS, resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _is_small() -> bool:
    """Returns whether the process can be used again. Memory that has been freed may stay with it."""
    with suppress(OSError):
        return _memory(1) < KEPT_MEMORY
    return False


if __name__ == "__main__":
    _work(sys.argv[1:])
