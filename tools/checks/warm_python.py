"""Starts Python processes that have imported PyTorch and nmt: a server imports them once and forks each process.

``python`` in the server's folder is used as the interpreter, with ``-c CODE``, ``-m MODULE`` or a script. It hands its
streams, folder and environment over to the server and passes signals on to the process that the server forks. Each ends
as the other does. SIGUSR1 is passed on as SIGKILL, which itself would end ``python`` a moment before the process. The
server ends, with all that it has started, when nobody is connected to it any more. Linux only.
"""

import fcntl
import gc
import io
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SCRIPT = """#!{python} -SE
import json, os, signal, socket, sys
passed_on = {{signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}}
signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)  # until there is a process to pass them on to
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect({path!r})
socket.send_fds(server, [json.dumps([os.getcwd(), dict(os.environ), *sys.argv[1:]]).encode()], [0, 1, 2])
pid = int(server.recv(16))
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(pid, number))
signal.signal(signal.SIGUSR1, lambda *_: os.kill(pid, signal.SIGKILL))
signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
os.closerange(0, 3)
code = int(server.recv(16) or 1)
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@contextmanager
def warm_python(folder: Path) -> Iterator[Path]:
    """The interpreter of a folder, whose server is started unless it runs already."""
    folder.mkdir(exist_ok=True)
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if server.connect_ex(str(path)):
                path.unlink(missing_ok=True)
                path_of_nmt = str(Path(__file__).resolve().parents[2])
                # As `nmt` sets it, which comes too late for a PyTorch that is imported already.
                environment = os.environ | {"PYTHONPATH": path_of_nmt, "TORCH_CPP_LOG_LEVEL": "ERROR"}
                started = subprocess.Popen([sys.executable, __file__, folder], env=environment, start_new_session=True)
                while server.connect_ex(str(path)):
                    assert started.poll() is None
                    time.sleep(0.05)
        yield folder / "python"


def become(folder: str, environment: dict[str, str], *arguments: str) -> int:
    """Do in this process what ``python ARGUMENTS`` does; the exit code."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    encoding, at_once = environment.get("PYTHONIOENCODING", "utf-8"), "PYTHONUNBUFFERED" in environment
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb"), encoding)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb"), encoding, write_through=at_once)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb"), encoding, "backslashreplace", write_through=True)
    kind = arguments[0] if arguments[0] in ("-c", "-m") else ""
    sys.argv = list(arguments[1:] if kind == "-m" else arguments)
    try:
        if kind == "-c":
            exec(sys.argv.pop(1), {"__name__": "__main__"})
        elif kind == "-m":
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(Path(sys.argv[0]).parent))
            runpy.run_path(sys.argv[0], run_name="__main__")
        sys.stdout.flush()
    except SystemExit as leaving:
        sys.stdout.flush()
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        sys.stderr.flush()  # Python 3.13 leaves it to the end of the interpreter, which a fork doesn't reach
        return 1
    return 0


class Server:
    """Forks a process for each request of a connection, and kills it when the connection ends."""

    def __init__(self, listener: socket.socket) -> None:
        self.ready, self.pids = selectors.DefaultSelector(), dict[socket.socket, int]()
        self.ready.register(listener, selectors.EVENT_READ)

    def serve(self) -> list[Any]:
        """What to do in a process that was forked. The server itself never returns."""
        while True:
            for key, _ in self.ready.select():
                if key.data is None:
                    connection, _ = key.fileobj.accept()  # type: ignore[union-attr]
                    self.ready.register(connection, selectors.EVENT_READ, connection)
                elif key.fileobj is not key.data:
                    self.ended(key.data, key.fd)
                elif request := self.asked(key.data):
                    return request
            if len(self.ready.get_map()) == 1:  # there is nobody but the listener
                os.killpg(0, signal.SIGKILL)

    def asked(self, connection: socket.socket) -> list[Any]:
        """Fork; the request in the new process, and nothing in this one."""
        message, streams = b"", list[int]()
        with suppress(ConnectionResetError):  # the other side was killed before it had read all that was sent to it
            message, streams, *_ = socket.recv_fds(connection, 1 << 20, 3)
        if not message:
            if connection in self.pids:
                os.kill(self.pids[connection], signal.SIGKILL)
            self.ready.unregister(connection)
            connection.close()
            return []
        pid = os.fork()
        for number, stream in enumerate(streams):
            if not pid:
                os.dup2(stream, number)
            os.close(stream)
        if not pid:
            return list(json.loads(message))
        self.pids[connection] = pid
        self.ready.register(os.pidfd_open(pid), selectors.EVENT_READ, connection)
        with suppress(OSError):  # it has been killed in the meantime
            connection.sendall(str(pid).encode())
        return []

    def ended(self, connection: socket.socket, process: int) -> None:
        """Tell the other side with which code a process has ended."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pids.pop(connection), 0)[1])
        self.ready.unregister(process)
        os.close(process)
        with suppress(OSError):
            connection.sendall(str(code).encode())


def main(folder: Path) -> None:
    """Write the interpreter into the folder and serve it."""
    import torch._dynamo  # noqa: F401 - imported here, as the others, so that the processes don't have to

    with suppress(ImportError):  # deleted
        import nmt.extensions.serving.app
    import nmt.plotting.matrix
    import nmt.quickstart.run
    import nmt.training.run  # noqa: F401

    gc.freeze()
    interpreter = folder / "interpreter"  # the first line of a script can't name a path that has a space
    if not interpreter.is_symlink():
        interpreter.symlink_to(Path(sys.executable).resolve())
    (folder / "python").write_text(SCRIPT.format(python=interpreter, path=str(folder / "socket")))
    (folder / "python").chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen(64)
        request = Server(listener).serve()
    os._exit(become(*request))  # at once: to take PyTorch apart costs as much as many a test


if __name__ == "__main__":
    main(Path(sys.argv[1]))
