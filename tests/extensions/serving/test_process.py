"""Documents that would take too much memory or time end their process, and nothing else."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from unittest.mock import Mock

import pytest

from nmt.core.errors import UserError
from nmt.extensions.serving import process
from nmt.extensions.serving.process import DocumentProcess, DocumentProcesses
from nmt.translation.results import Translation


def shout(sentences: Sequence[str]) -> list[Translation]:
    return [Translation(sentence, sentence.upper(), 0.0, []) for sentence in sentences]


@pytest.fixture(scope="module")
def processes() -> Iterator[DocumentProcesses]:
    lent = DocumentProcesses()
    yield lent
    lent.close()


def test_a_document_is_translated_a_few_sentences_at_a_time(processes: DocumentProcesses) -> None:
    sizes: list[int] = []

    def count(sentences: Sequence[str]) -> list[Translation]:
        sizes.append(len(sentences))
        return shout(sentences)

    for _ in range(2):
        with processes.process() as lent:
            assert lent.translate("a.md", b"# a *b*\n\nc\n" * 50, count, "en", "de") == b"# A *B*\n\nC\n" * 50
    assert max(sizes) <= process.SENTENCES
    assert len(processes._idle) == 1, "it was used twice"
    with processes.process() as lent:
        assert lent.text("a.txt", b"One.\nTwo.\n" * 1000, 10) == "One.\nTwo.\n"


def test_errors_of_documents_leave_the_process_usable(processes: DocumentProcesses) -> None:
    with processes.process() as lent:
        with pytest.raises(UserError, match="not UTF-8"):
            lent.translate("a.txt", b"\xff", shout, "en", "de")
        assert lent.translate("a.txt", b"a", shout, "en", "de") == b"A"


def test_errors_of_the_translator_are_raised(processes: DocumentProcesses) -> None:
    with pytest.raises(TimeoutError), processes.process() as lent:
        lent.translate("a.txt", b"a", Mock(side_effect=TimeoutError), "en", "de")
    assert lent not in processes._idle


def test_a_process_that_is_ended_is_an_error(processes: DocumentProcesses) -> None:
    def wait(sentences: Sequence[str]) -> list[Translation]:
        lent.end()
        return shout(sentences)

    with processes.process() as lent, pytest.raises(UserError, match="can't be read within"):
        lent.translate("a.txt", b"a", wait, "en", "de")
    assert lent not in processes._idle


def test_an_idle_process_that_the_system_has_killed_is_not_used_again(processes: DocumentProcesses) -> None:
    for _ in range(2):
        with processes.process() as lent:
            assert lent.translate("a.txt", b"a", shout, "en", "de") == b"A"
        lent.end()
        lent._process.wait()


@pytest.mark.quick("*SECONDS*")
@pytest.mark.posix
@pytest.mark.parametrize("limit", ["MAX_SECONDS = 1", "MAX_MEMORY = 50 << 20"])
def test_limits_of_memory_and_time(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    code = f"from nmt.extensions.serving import process; process.{limit}; process._work([])"
    start = process.subprocess.Popen
    monkeypatch.setattr(process.subprocess, "Popen", lambda command, **kw: start([command[0], "-c", code], **kw))
    lent = DocumentProcess()
    with pytest.raises(UserError, match="MiB of memory"):
        lent.translate("a.txt", b"Ein Hund. " * 1_000_000, shout, "en", "de")
    lent.close()


def test_a_process_is_without_torch() -> None:
    """A process with torch has five times the memory, and some are not kept for the next document."""
    code = "import sys, nmt.extensions.serving.process; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
