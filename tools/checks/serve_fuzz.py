"""Send hostile requests to a server of ``nmt serve``, and report every answer that isn't a refusal or a result.

    nmt serve runs/de-en --port 5001 &
    python tools/checks/serve_fuzz.py 127.0.0.1 5001 --cases 2000

A request may be refused with a status of 4xx and ``{"error": …}`` or be answered; it must never cause a status of 5xx,
a hang, or keep the next request from being answered. The cases depend on the seed alone.
"""

import argparse
import contextlib
import random
import socket
import sys
from collections import Counter
from collections.abc import Iterator

from hostile_requests import KINDS_OF_CASES, message

TIMEOUT = 20.0
"""Seconds after which a missing answer is a hang."""
PATIENCE = {
    "header_trick": 1.0, "bad_chunks": 0.3, "half_request": 0.2, "noise": 0.2, "strange_form": 1.0,
    "strange_boundary": 1.0,
    "truncated_upload": 0.2, "strange_header": 1.0, "strange_charset": 1.0,
}  # fmt: skip
"""Seconds that kinds of requests which may be incomplete wait for an answer."""


def cases(number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Kinds and bytes of requests."""
    rng = random.Random(seed)
    for _ in range(number):
        kind = rng.choice(KINDS_OF_CASES)
        yield kind.__name__, kind(rng)


def answer(address: tuple[str, int], request: bytes, patience: float = TIMEOUT) -> bytes:
    """What the server answers to bytes.

    Args:
        address: of the server.
        request: whole or not.
        patience: seconds without an answer after which the client ends its side of the connection.

    Raises:
        TimeoutError: the server neither answers nor closes the connection.
    """
    received = b""
    with socket.create_connection(address, TIMEOUT) as connection:
        # Where the server has closed the connection already, it may have answered.
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        connection.settimeout(patience)
        with contextlib.suppress(ConnectionError):
            while True:
                try:
                    chunk = connection.recv(65_536)
                except TimeoutError:
                    if patience == TIMEOUT:
                        raise
                    patience = TIMEOUT
                    connection.settimeout(patience)
                    connection.shutdown(socket.SHUT_WR)
                    continue
                received += chunk
                if not chunk or len(received) > 10_000_000:
                    break
    return received


def problem(received: bytes) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if not received:
        return ""  # the request was not complete
    status = received.split(b" ", 2)[1:2]
    if not status or not status[0].isdigit():
        return f"not HTTP: {received[:80]!r}"
    if status[0] >= b"500":
        return f"status {status[0].decode()}: {received[-300:]!r}"
    return ""


def run(address: tuple[str, int], number: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Send the cases, one after another.

    Returns:
        How often each kind of case had each status, and the problems with their cases.
    """
    counts, problems = Counter[str](), []
    for index, (kind, request) in enumerate(cases(number, seed)):
        try:
            received = answer(address, request, PATIENCE.get(kind, TIMEOUT))
            found = problem(received)
            status = received[9:12].decode("latin-1") or "none"
            alive = answer(address, message("GET", "/health"))
            found = found or ("" if alive.startswith(b"HTTP/1.1 200") else f"then /health: {alive[:80]!r}")
        except OSError as error:
            status, found = "failed", f"{type(error).__name__}: {error}"
        counts[f"{kind} {status}"] += 1
        if found:
            problems.append(f"case {index}, {kind}: {found}\n    {request[:300]!r}")
    return counts, problems


def memory_of(process: int | None) -> int:
    """Returns the resident MiB of a process."""
    if process is None:
        return 0
    with open(f"/proc/{process}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 >> 20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--process", type=int, help="the server's process, whose memory is printed (Linux)")
    arguments = parser.parse_args()
    before = memory_of(arguments.process)
    counts, problems = run((arguments.host, arguments.port), arguments.cases, arguments.seed)
    if arguments.process:
        print(f"memory of the server: {before} MiB before, {memory_of(arguments.process)} MiB after")
    for key, count in sorted(counts.items()):
        print(f"{count:6} {key}")
    print(*problems, sep="\n")
    print(f"{arguments.cases} cases, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
