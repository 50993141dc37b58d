"""Load test of ``nmt serve``: N clients for S seconds, beside ``nmt translate`` on the same lines.

    python tools/bench/serve.py runs/de-en test.de --clients 200 --seconds 300

Each client sends one line at a time and waits for its translation, which is compared with that of ``nmt translate``.
Reports latencies, throughput, and the memory of the server at the start and at the end.
"""

import argparse
import asyncio
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Load:
    """What the clients have measured."""

    expected: dict[str, str]
    target: str
    source: str
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)


async def client(load: Load, host: str, port: int, until: float, rng: random.Random) -> None:
    """Ask for one line after another over a connection that is kept."""
    lines = list(load.expected)
    reader, writer = await asyncio.open_connection(host, port)
    while time.monotonic() < until:
        line = rng.choice(lines)
        body = json.dumps({"q": line, "source": load.source, "target": load.target}).encode()
        head = f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        start = time.monotonic()
        writer.write(head.encode() + b"\r\n\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", answer.lower())
        content = await reader.readexactly(int(length[1])) if length else b""
        if answer[9:12] != b"200":
            load.failures.append(answer[9:12].decode())
            await asyncio.sleep(0.1)
            continue
        load.seconds.append(time.monotonic() - start)
        translation = json.loads(content)["translatedText"]
        if translation != load.expected[line]:
            load.wrong.append((load.expected[line], translation))
    writer.close()


def translated(model: str, lines: list[str]) -> tuple[list[str], float, float]:
    """The translations of ``nmt translate``, sentences per second and processor milliseconds per sentence.

    The time to load the model isn't counted.
    """
    command = [sys.executable, "-m", "nmt", "translate", model, "-q"]
    durations, used = [], [processor_seconds(resource.getrusage(resource.RUSAGE_CHILDREN))]
    for part in (lines[:1], lines):
        start = time.monotonic()
        done = subprocess.run(command, input="\n".join(part) + "\n", capture_output=True, text=True, check=True)
        durations.append(time.monotonic() - start)
        used.append(processor_seconds(resource.getrusage(resource.RUSAGE_CHILDREN)))
    cost = (used[2] - used[1]) - (used[1] - used[0])
    return done.stdout.splitlines(), len(lines) / (durations[1] - durations[0]), 1000 * cost / len(lines)


def processor_seconds(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def memory_and_processor(process: "subprocess.Popen[str]") -> tuple[float, float]:
    """Resident MiB and processor seconds of a process; Linux only."""
    status, stat = (Path(f"/proc/{process.pid}/{name}").read_text() for name in ("status", "stat"))
    found = re.search(r"VmRSS:\s+(\d+)", status)
    ticks = sum(map(int, stat.rpartition(")")[2].split()[11:13]))
    return int(found[1]) / 1024 if found else 0.0, ticks / os.sysconf("SC_CLK_TCK")


async def measure(load: Load, address: str, clients: int, seconds: float) -> float:
    """Run the clients. Returns the seconds until the last answer."""
    host, port = address.rsplit(":", 1)
    start = time.monotonic()
    until = start + seconds
    await asyncio.gather(*(client(load, host, int(port), until, random.Random(i)) for i in range(clients)))
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("file", type=Path, help="source sentences")
    parser.add_argument("--source", default="de")
    parser.add_argument("--target", default="en")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--limit", type=int, default=1000, help="use only the first lines")
    arguments = parser.parse_args()
    lines = list(dict.fromkeys(filter(None, map(str.strip, arguments.file.read_text("utf-8").split("\n")))))
    lines = lines[: arguments.limit]
    translations, alone, cost = translated(arguments.model, lines)
    load = Load(dict(zip(lines, translations, strict=True)), arguments.target, arguments.source)
    command = [sys.executable, "-m", "nmt", "serve", arguments.model, "--port", "0", "--queue-size", "1000"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        found = re.search(r"http://(\S+)", server.stderr.readline())
        assert found
        asyncio.run(measure(Load(load.expected, load.target, load.source), found[1], 8, 2))  # warm-up
        before, used_before = memory_and_processor(server)
        duration = asyncio.run(measure(load, found[1], arguments.clients, arguments.seconds))
        after, used = memory_and_processor(server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    ordered = sorted(load.seconds)
    p50, p95, p99 = (ordered[int(q * (len(ordered) - 1))] * 1000 for q in (0.5, 0.95, 0.99))
    speed = len(ordered) / duration
    print(f"{arguments.clients} clients, {duration:.0f} s: {len(ordered)} answers, {len(load.failures)} failures")
    print(f"{len(load.wrong)} answers differ from nmt translate: {load.wrong[:3]}")
    print(f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms")
    print(f"{speed:.1f} sentences/s; nmt translate {alone:.1f}; ratio {speed / alone:.2f}")
    own_cost = 1000 * (used - used_before) / len(ordered)
    print(f"processor time per sentence: {own_cost:.1f} ms; nmt translate {cost:.1f} ms; ratio {cost / own_cost:.2f}")
    print(f"memory {before:.0f} MiB, then {after:.0f} MiB; exit code {server.returncode}")


if __name__ == "__main__":
    main()
