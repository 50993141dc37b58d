"""Starts ``nmt`` processes in no time: a server imports once, then forks a process for each that is asked for.

Each line of the server's standard input is a JSON object, and each is answered by a line with a number:

- ``{"arguments": […], "messages": FILE, "largest_file": BYTES or null, "environment": {…}, "before": CODE}`` starts nmt
  after it has run the code; its PID
- the same with ``"through": FILE``: a process between starts it, as torchrun does, and writes the PID of nmt there; the
  PID of the process between
- ``{"wait": PID}``: its exit code, or the negative number of the signal that ended it
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any


class ForkServer:
    """Starts and waits for the processes; needs fork and /proc of Linux."""

    def __init__(self, python: Path = Path(sys.executable)) -> None:
        self._process = subprocess.Popen(
            [python, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"TORCH_CPP_LOG_LEVEL": "ERROR"},
        )  # fmt: skip

    def start(
        self,
        messages: Path,
        arguments: list[str],
        largest_file: int | None = None,
        before: str = "",
        **environment: object,
    ) -> int:
        """A process whose messages go to a file, and that runs some code ``before`` nmt; its PID."""
        return self._ask(self._wanted(messages, arguments, largest_file, before, environment))

    def start_through(self, messages: Path, arguments: list[str], **environment: object) -> tuple[int, int]:
        """A process that is started by another, as torchrun does; the PIDs of the other and of the process."""
        file = messages.with_name(f"pid-{messages.name}")
        between = self._ask({**self._wanted(messages, arguments, None, "", environment), "through": str(file)})
        while not file.exists():
            time.sleep(0.01)
        return between, int(file.read_text())

    @staticmethod
    def _wanted(
        messages: Path, arguments: list[str], largest_file: int | None, before: str, environment: dict[str, object]
    ) -> dict[str, Any]:
        variables = {name: str(value) for name, value in environment.items()}
        wanted = {"arguments": arguments, "messages": str(messages), "largest_file": largest_file, "before": before}
        return {**wanted, "environment": variables}

    def wait(self, pid: int) -> int:
        """The exit code of a process, or the negative number of the signal that ended it."""
        return self._ask({"wait": pid})

    def _ask(self, request: dict[str, Any]) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def has_ended(pid: int) -> bool:
    """Whether a process has ended and waits for its parent to take notice."""
    return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()


def variables_of_ranks(size: int) -> list[dict[str, object]]:
    """The environment that torchrun gives each process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    return [{"RANK": rank, "LOCAL_RANK": rank, **common} for rank in range(size)]


# The server


def become_nmt(wanted: dict[str, Any]) -> int:
    """Run the program in this process; its exit code."""
    import resource

    import nmt.__main__

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(wanted["messages"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.dup2(2, 1)
    os.environ.update(wanted["environment"])
    if wanted["largest_file"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["largest_file"], wanted["largest_file"]))
    sys.argv = ["nmt", *wanted["arguments"]]
    exec(wanted["before"], {})
    try:
        nmt.__main__.main()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def fork(wanted: dict[str, Any]) -> int:
    """Fork; the PID of the child."""
    pid = os.fork()
    if not pid:
        if "through" in wanted:
            file = wanted.pop("through")
            with open(f"{file}.new", "w") as stream:
                stream.write(str(fork(wanted)))
            os.rename(f"{file}.new", file)
            signal.pause()
        os._exit(become_nmt(wanted))
    return pid


def serve() -> None:
    """Answer the lines of standard input."""
    import torch._dynamo  # noqa: F401 - imported here, as the others, so that the processes don't have to

    # Processes whose parent has ended become children of this one, which can wait for them.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1]) if "wait" in asked else fork(asked)
        print(answer, flush=True)


if __name__ == "__main__":
    serve()
