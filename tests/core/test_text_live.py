"""Input from pipes: answered as it comes, and still read in full windows when there is much of it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nmt.core.text import in_windows, read_lines

pytestmark = pytest.mark.posix


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def write_in_steps(fifo: Path, steps: list[bytes], go_on: threading.Semaphore) -> threading.Thread:
    """Writes a step each time it is told to go on."""

    def run() -> None:
        with fifo.open("wb", buffering=0) as file:
            for step in steps:
                go_on.acquire(timeout=300)
                file.write(step)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_window_ends_where_the_writer_waits(fifo: Path) -> None:
    go_on = threading.Semaphore()
    writer = write_in_steps(fifo, [b"eins\n", b"zwei\ndrei\n", b"vi", b"er\r\n\nf\xc3\xbcnf"], go_on)
    windows = []
    for window in in_windows(read_lines(fifo), 100):
        windows.append(window)
        go_on.release()
        if len(windows) == 2:
            go_on.release()  # half a line is nothing to translate
    writer.join(20)
    assert windows == [["eins"], ["zwei", "drei"], ["vier", "", "fünf"]]


@pytest.mark.parametrize("size", [1, 3, 50])
def test_pipes_and_files_give_the_same_lines(fifo: Path, tmp_path: Path, size: int) -> None:
    content = "\ufeffeins\r\n\nzw\rei\u2028\x00\n\x85drei\n".encode() * 7 + b"ohne Ende"
    (tmp_path / "file").write_bytes(content)
    write_in_steps(fifo, [content[:50], content[50:51], content[51:]], threading.Semaphore(3))
    found = [line for window in in_windows(read_lines(fifo), size) for line in window]
    assert found == list(read_lines(tmp_path / "file"))


def test_a_line_without_an_end_is_refused_before_it_fills_memory() -> None:
    program = "from nmt.core.text import *; list(in_windows(read_lines('-'), 9))"
    command = f'(echo eins; head -c 8G /dev/zero) | "{sys.executable}" -c "{program}"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "standard input, line 2: longer than 131,072 bytes" in done.stderr
