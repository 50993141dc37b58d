"""Runs the programs of the documentation's code on a small scale, each in a forked process of a server.

The server imports nmt once. Scripts named ``nmt``, ``python`` and ``curl`` in a folder of the PATH connect to it, hand
over their standard streams, and exit with the code of the process that it forks. In these processes

- training makes a few updates of a model a sixteenth as wide, with a small vocabulary; settings of the command hold
  otherwise,
- the embedded corpus has a hundred training pairs,
- ``nmt serve`` takes a free port and goes on in the background, as in a second terminal; ``curl`` asks there.
"""

import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = ("nmt", "python", "curl")
SCRIPT = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    request = json.dumps([os.getcwd(), os.path.basename(sys.argv[0]), *sys.argv[1:]]).encode()
    socket.send_fds(server, [request], [0, 1, 2])
    sys.exit(int(server.recv(16) or 1))
"""
WIDTHS = ("embedding_size", "feed_forward_size", "hidden_size", "size")
WIDEST = 64
"""Wider layers than this are made narrower, all by the same factor."""
PORT_FILE = "port"


def small(recipe: Any, overrides: Mapping[str, Any], vocabulary_size: int) -> dict[str, Any]:
    """Overrides under which training takes about a second."""
    from nmt.recipe import Recipe, load_recipe

    planned = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides)
    found: dict[str, Any] = {}
    for group in ("", "encoder.", "decoder.", "decoder.attention."):
        settings: Any = planned.model.model_dump()
        for part in group.split(".")[:-1]:
            settings = settings.get(part) or {}
        for name in WIDTHS:
            key = f"model.{group}{name}"
            width = settings.get(name) if isinstance(settings, dict) else None
            if key not in overrides and isinstance(width, int) and width > WIDEST:
                found[key] = width // 16
    if planned.vocabulary.type in ("unigram", "bpe") and not planned.vocabulary.path:
        found["vocabulary.size"] = vocabulary_size
    if planned.data.hub and not planned.data.root and isinstance(planned.data.train, str):
        found["data.root"] = "FOLDER"
    if planned.data.task:
        found |= {"data.task.num_pairs": 40, "data.task.num_valid": 8}
    steps = 3 if planned.training.keep_last > 1 else 2
    return {
        **overrides, **found, "device": "cpu", "training.precision": "fp32", "training.batch_tokens": 256,
        "training.accumulate": 1, "training.max_steps": steps, "training.validate_every": steps,
        "training.validation_size": 2, "training.checkpoint_every": 1, "decoding.max_length": 20,
    }  # fmt: skip


def use_little() -> None:
    """Replace training, and the corpus of the package, in this process."""
    import nmt
    import nmt.quickstart
    import nmt.training.run

    train, splits = nmt.training.run.train, nmt.quickstart.splits

    def train_little(recipe: Any, output: Any = None, *, overrides: Mapping[str, Any] = {}, **others: Any) -> Path:
        size = 100
        if "pairs" in others:  # two in the example
            size, others["pairs"] = 30, [*others["pairs"]] * 20
        return train(recipe, output, overrides=small(recipe, overrides, size), **others)

    def few_pairs() -> Any:
        return {name: pairs[:100] if name == "train" else pairs[:10] for name, pairs in splits().items()}

    nmt.train = nmt.training.run.train = nmt.quickstart.train = train_little  # type: ignore[assignment]
    nmt.quickstart.splits = few_pairs
    nmt.quickstart.NUM_PLOTS = 1


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def become(program: str, arguments: list[str]) -> int:
    """Run a program in this process; its exit code."""
    import nmt.__main__

    try:
        if program == "curl":
            port = Path(PORT_FILE).read_text()
            real = shutil.which("curl", path=os.environ["PATH"].partition(":")[2])
            return subprocess.call([real or "curl", *(a.replace(":5000", f":{port}") for a in arguments)])
        sys.argv = arguments if program == "python" else ["nmt", *arguments]
        if program == "python":
            sys.path.insert(0, str(Path(arguments[0]).parent))
            runpy.run_path(arguments[0], run_name="__main__")
        else:
            nmt.__main__.main()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    return 0


def answer(connection: socket.socket) -> None:
    """Read a request, run its program in a forked process, and send the exit code."""
    message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    folder, program, *arguments = json.loads(message)
    os.chdir(folder)
    serves = program == "nmt" and arguments[:1] == ["serve"]
    if serves:
        Path(PORT_FILE).write_text(str(port := free_port()))
        arguments += ["--port", str(port)]
        for stream in streams:
            os.close(stream)
        streams = [os.open(os.devnull, os.O_RDWR) for _ in range(3)]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
    pid = os.fork()
    if not pid:
        code = become(program, arguments)
        sys.stdout.flush()
        os._exit(code)
    while serves and not os.waitpid(pid, os.WNOHANG)[0]:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                connection.sendall(b"0")
                return
        time.sleep(0.05)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.sendall(str(code if code >= 0 else 128 - code).encode())


def main(folder: Path) -> None:
    """Write the scripts into a folder and answer them for ever."""
    use_little()
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    import torch._dynamo  # noqa: F401 - slow to import, and so are the next ones

    import nmt.plotting.matrix
    import nmt.serving.app  # noqa: F401

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen()
        for name in NAMES:
            script = folder / f".{name}"
            script.write_text(SCRIPT.format(python=sys.executable, socket=str(folder / "socket")))
            script.chmod(0o755)
            script.rename(folder / name)
        while True:
            connection, _ = listener.accept()
            if not os.fork():
                listener.close()
                if not os.fork():  # a child of init, so nobody has to wait for it
                    answer(connection)
                os._exit(0)
            os.wait()
            connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
