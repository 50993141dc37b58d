"""The server that forks the processes of the tests."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server is for Linux")


def test_a_client_that_is_killed_before_it_reads_its_answer_ends_nothing_else(python: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client, open(os.devnull, "r+b") as null:
        client.connect(str(python.parent / "socket"))
        request = [str(tmp_path), dict(os.environ), "-c", f"open({str(done)!r}, 'w').close()"]
        socket.send_fds(client, [json.dumps(request).encode()], [null.fileno()] * 3)
        while not done.exists():
            time.sleep(0.01)
        # Leaving with an answer that was not read resets the connection, as a kill does.
    assert subprocess.run([python, "-c", "print(1)"], capture_output=True, text=True, check=True).stdout == "1\n"


def test_an_error_is_shown(python: Path) -> None:
    done = subprocess.run([python, "-c", "raise ValueError('shown')"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "ValueError: shown")
