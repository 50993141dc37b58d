"""Keep a server busy with small requests and large documents, half of whose clients leave, and measure it.

    python tools/checks/soak_server.py runs/de-en
    python tools/checks/soak_server.py runs/de-en --scale 0.02

Starts ``nmt serve``, sends 20,000 requests and 500 documents of 5 MB, and prints latencies and memory. Exits with 1 if
an answer is wrong, if the 95th percentile of small requests is above 2 s, or if the memory of the server keeps growing.
Linux only.
"""

import argparse
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

MAX_P95 = 2.0
"""Seconds."""
MAX_GROWTH = 1.15
"""Memory in the last third of the time in relation to that in the second third."""
LINES = (
    "Der Hund schläft im Garten.", "Heute wartet mein Bruder auf den Zug.",
    "Zwei Kinder spielen am Strand mit einem Ball.",
    "Ein Mann liest die Zeitung.", "Die Katze sieht den Vogel auf dem Dach und bleibt still sitzen.",
)  # fmt: skip


def document(rng: random.Random, size: int, is_long: bool) -> tuple[str, bytes]:
    """Returns a name and a file of about a size: all of it text, or some sentences among much else."""
    lines = [rng.choice(LINES) for _ in range(size // 40 if is_long else 100)]
    name = rng.choice(("a.txt", "a.html", "a.md", "a.srt", "a.po"))
    filler = "" if is_long else "x" * 70 + "\n"
    count = size // 71 if filler else 0
    times = "00:00:01,000 --> 00:00:02,000"
    text = {
        "a.txt": "\n".join(lines) + "\n" + "-- -- --\n" * (8 * count),
        "a.html": f"<script>{filler * count}</script>" + "".join(f"<p>{line} <b>Hund</b></p>" for line in lines),
        "a.md": "\n\n".join(lines) + f"\n\n```\n{filler * count}```\n",
        "a.srt": "".join(f"{n}\n{times}\n{line}\n\n" for n, line in enumerate(lines)) + "\n" * (count * 70),
        "a.po": "".join(f'msgid "{n} {line}"\nmsgstr ""\n\n' for n, line in enumerate(lines)) + f"# {filler}" * count,
    }[name]
    return name, text.encode()


class Soak:
    """Clients of a server, and what they have measured."""

    def __init__(self, address: tuple[str, int], seed: int) -> None:
        self._address, self._seed = address, seed
        self._lock = threading.Lock()
        self.latencies: list[float] = []
        self.counts = Counter[str]()
        self.problems: list[str] = []

    def small(self, number: int) -> None:
        """Send a small request."""
        line, start = LINES[number % len(LINES)], time.monotonic()
        connection = http.client.HTTPConnection(*self._address, timeout=120)
        body = json.dumps({"q": line, "source": "de", "target": "en"})
        try:
            connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            status = answer.status
        except OSError as error:
            status, text = 0, repr(error)
        finally:
            connection.close()
        with self._lock:
            self.latencies.append(time.monotonic() - start)
            self.counts[f"small {status}"] += 1
            if status != 200:
                self.problems.append(f"small request {number}: {status} {text[:200]}")

    def large(self, number: int, size: int) -> None:
        """Upload a document; of every second one the client leaves."""
        rng = random.Random(f"{self._seed} {number}")
        is_leaving = number % 2 == 1
        name, data = document(rng, size, is_long=is_leaving)
        form = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        fields = ((b"source", b"", b"de"), (b"target", b"", b"en"), (b"file", b'; filename="%s"' % name.encode(), data))
        body = b"".join(form % field for field in fields) + b"--x--\r\n"
        head = "POST /translate_file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        head += f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n"
        received = b""
        with socket.create_connection(self._address, 900) as client:
            try:
                client.sendall(head.encode() + body)
                if is_leaving:
                    time.sleep(rng.uniform(0, 10))
                else:
                    while chunk := client.recv(65_536):
                        received += chunk
            except OSError as error:
                received = f"HTTP/1.1 0 {error!r}".encode()
        status = "left" if is_leaving and not received else received[9:12].decode().strip() or "closed"
        if status == "503":  # as it should be where too many wait
            time.sleep(5)
            self.large(number, size)
            return
        with self._lock:
            self.counts[f"document {status}"] += 1
            if status not in ("left", "200"):
                self.problems.append(f"document {number}, {name}: {received[-300:]!r}")


def in_turn(clients: int, number: int, function: Callable[[int], None]) -> list[threading.Thread]:
    """Starts threads that call a function with 0 to ``number``."""
    numbers, lock = iter(range(number)), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                mine = next(numbers, None)
            if mine is None:
                return
            function(mine)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    return threads


def memory_of(process: int) -> tuple[int, int]:
    """Returns the resident MiB of a process, and of the processes that it has started."""
    page, found = os.sysconf("SC_PAGESIZE"), [0, 0]
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if process in (int(folder.name), parent):
                    pages = int((folder / "statm").read_text().split()[1])
                    found[parent == process] += pages * page >> 20
            except OSError:
                continue
    return found[0], found[1]


def report(soak: Soak, memory: Sequence[tuple[int, int]], seconds: float) -> bool:
    """Prints the figures. Returns whether they are as they should be."""
    ordered = sorted(soak.latencies)
    p50, p95, p99 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95, 0.99))
    own, third = [each for each, _ in memory], max(len(memory) // 3, 1)
    middle, last = max(own[third : 2 * third] or own), max(own[2 * third :] or own)
    print(*soak.problems[:20], sep="\n")
    print(*(f"{count:6} {key}" for key, count in sorted(soak.counts.items())), sep="\n")
    print(f"{seconds:.0f} s; small requests: p50 {p50:.3f} s, p95 {p95:.3f} s, p99 {p99:.3f} s, most {ordered[-1]:.1f}")
    print(f"MiB of the server: {own[0]} at first, at most {max(own)}; by thirds {max(own[:third])}, {middle}, {last}")
    print(f"memory of document processes: at most {max(each for _, each in memory)} MiB")
    return not soak.problems and p95 <= MAX_P95 and last <= middle * MAX_GROWTH


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model_dir")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--megabytes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=8, help="of each kind")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the requests and documents")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "nmt", "serve", arguments.model_dir, "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    found = re.search(r"http://([\d.]+):(\d+)", server.stderr.readline())
    if not found:
        sys.exit("the server doesn't start")
    soak, size = Soak((found[1], int(found[2])), arguments.seed), int(arguments.megabytes * 1e6)
    start, memory = time.monotonic(), list[tuple[int, int]]()
    threads = in_turn(arguments.clients, int(arguments.requests * arguments.scale), soak.small)
    threads += in_turn(arguments.clients, int(arguments.documents * arguments.scale), lambda n: soak.large(n, size))
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        memory.append(memory_of(server.pid))
    is_sound = report(soak, memory, time.monotonic() - start)
    server.terminate()
    is_sound = server.wait(120) == 0 and is_sound
    sys.exit(not is_sound)


if __name__ == "__main__":
    main()
