"""Load test of ``nmt serve``: N clients for S seconds, beside other servers of the same model and ``nmt translate``.

The table of docs/performance.md, on a machine that does nothing else (about 30 minutes; LibreTranslate from PyPI is in
an environment of its own, because it needs old versions of common packages):

    python -m venv lt && lt/bin/pip install libretranslate
    python tools/bench/serve.py runs/de-en test_2016_flickr.de --clients 200 --seconds 300 \\
        --servers nmt,ctranslate2,fastapi,libretranslate --libretranslate lt/bin/libretranslate

``nmt`` and ``ctranslate2`` are ``nmt serve`` with its two engines, ``fastapi`` a plain route around the exported model
(this file with ``--plain``), ``libretranslate`` runs a package of ``nmt export --to argos``. All but ``nmt`` need a
Transformer with a joint sentencepiece vocabulary. LibreTranslate takes each line for a sentence here: its model for
dividing text, which it would download, is replaced, so it is somewhat faster than in use.

Does the memory stay constant for an hour of modest load?

    python tools/bench/serve.py runs/de-en test_2016_flickr.de --clients 4 --pause 0.5 --seconds 3600

Each client sends one line at a time and waits for its translation, which is compared with that of ``nmt translate`` or,
for the other servers, with what the server answers when nothing else is asked of it. Reports latencies, throughput,
processor time, and the memory of the server at the start, each minute, and at the end.
"""

import argparse
import asyncio
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

SERVERS = ("nmt", "ctranslate2", "fastapi", "libretranslate")
SPLITTER = """
class SBDetect:
    def __init__(self, language, **options):
        pass

    def sentences(self, text):
        return [text]

class models:
    list_models = staticmethod(lambda: ["de", "en"])

def download_models(*arguments, **options):
    pass
"""
"""In place of the package minisbd, which divides text into sentences."""
PATIENCE = 60.0
"""Seconds after which a request counts as lost."""


@dataclass
class Load:
    """What clients send, and what they have measured."""

    lines: list[str]
    source: str
    target: str
    expected: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    """Seconds between an answer and the next request of a client."""
    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    async def client(self, port: int, lines: Iterator[str]) -> None:
        """Ask for one line after another over a connection that is kept."""
        writer = None
        for line in lines:
            start = time.monotonic()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(self._request(line))
                status, content = await asyncio.wait_for(_answer(reader), PATIENCE)
            except (OSError, EOFError, TimeoutError) as error:
                self.failures[type(error).__name__] += 1
                writer = None
                continue
            if status != 200:
                self.failures[str(status)] += 1
                await asyncio.sleep(0.1)
                continue
            self.seconds.append(time.monotonic() - start)
            translation = json.loads(content)["translatedText"]
            if translation != self.expected.setdefault(line, translation):
                self.wrong.append((self.expected[line], translation))
            if self.pause:
                await asyncio.sleep(self.pause)
        if writer is not None:
            writer.close()

    def _request(self, line: str) -> bytes:
        body = json.dumps({"q": line, "source": self.source, "target": self.target}).encode()
        head = f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        return head.encode() + b"\r\n\r\n" + body

    async def run(self, port: int, clients: int, seconds: float) -> float:
        """Send random lines for some time. Returns the seconds until the last answer."""
        start = time.monotonic()

        def lines(seed: int) -> Iterator[str]:
            draw = random.Random(seed)
            while time.monotonic() < start + seconds:
                yield draw.choice(self.lines)

        await asyncio.gather(*(self.client(port, lines(seed)) for seed in range(clients)))
        return time.monotonic() - start


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of a response."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return int(head[9:12]), await reader.readexactly(int(length[1])) if length else b""


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


def memory_and_processor(process: "subprocess.Popen[bytes]") -> tuple[float, float]:
    """Resident MiB and processor seconds of a process; Linux only."""
    status, stat = (Path(f"/proc/{process.pid}/{name}").read_text() for name in ("status", "stat"))
    found = re.search(r"VmRSS:\s+(\d+)", status)
    ticks = sum(map(int, stat.rpartition(")")[2].split()[11:13]))
    return int(found[1]) / 1024 if found else 0.0, ticks / os.sysconf("SC_CLK_TCK")


async def sampled(process: "subprocess.Popen[bytes]", samples: list[float], interval: float = 60.0) -> None:
    """Add the memory of a process to a list each minute."""
    while True:
        await asyncio.sleep(interval)
        samples.append(memory_and_processor(process)[0])
        print(f"  {time.strftime('%H:%M:%S')} {samples[-1]:.1f} MiB", file=sys.stderr, flush=True)


@contextmanager
def running(name: str, arguments: argparse.Namespace, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A server that listens at a port of this machine; stopped at the end."""
    with tempfile.TemporaryDirectory() as folder:
        export = [sys.executable, "-m", "nmt", "export", arguments.model, "-q", "-o", f"{folder}/export"]
        environment = dict(os.environ)
        command = [sys.executable, "-m", "nmt", "serve", arguments.model, "--port", str(port), "--queue-size", "1000"]
        if name == "ctranslate2":
            command += ["--engine", "ctranslate2"]
        elif name == "fastapi":
            subprocess.run(export, check=True)
            command = [sys.executable, __file__, f"{folder}/export", str(port), "--plain"]
        elif name == "libretranslate":
            subprocess.run([*export, "--format", "argos"], check=True)
            for package in Path(folder, "export").glob("*.argosmodel"):
                zipfile.ZipFile(package).extractall(Path(folder, "packages"))
            homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), folder)
            Path(folder, "minisbd.py").write_text(SPLITTER)
            environment |= homes | {"ARGOS_PACKAGES_DIR": f"{folder}/packages", "PYTHONPATH": folder}
            command = [arguments.libretranslate, "--port", str(port), "--disable-web-ui"]
        server = subprocess.Popen(
            command, env=environment, cwd=folder, stderr=None if arguments.log else subprocess.DEVNULL
        )
        try:
            yield server
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE)


def plain_server(directory: str, port: int) -> None:
    """CTranslate2 behind a route of FastAPI, as a first program would have it: each request is a batch."""
    import ctranslate2
    import sentencepiece
    import uvicorn
    from fastapi import Body, FastAPI

    source, target = (
        sentencepiece.SentencePieceProcessor(str(path if path.exists() else Path(directory, "vocabulary.model")))
        for path in (Path(directory, f"vocabulary.{side}.model") for side in ("source", "target"))
    )
    translator, app = ctranslate2.Translator(directory), FastAPI()

    @app.post("/translate")
    def translate(q: str = Body(), source_language: str = Body("", alias="source")) -> dict[str, str]:
        [found] = translator.translate_batch([source.encode(q, out_type=str)], beam_size=5)
        return {"translatedText": target.decode(found.hypotheses[0])}

    uvicorn.run(app, port=port, log_level="warning")


def measured(name: str, arguments: argparse.Namespace, load: Load) -> tuple[float, float]:
    """Run a server under load and print the figures. Returns sentences per second and processor ms per sentence."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    alone = Load(load.lines, load.source, load.target, load.expected)
    samples: list[float] = []

    async def work(server: "subprocess.Popen[bytes]") -> tuple[float, tuple[float, float]]:
        deadline = time.monotonic() + 180
        while not alone.seconds:
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} does not answer: {dict(alone.failures)}; see its messages with --log")
            await alone.client(port, iter(load.lines[:1]))
            await asyncio.sleep(0.5)
        if name != "nmt":
            await alone.client(port, iter(load.lines))
        await alone.run(port, 8, 2)  # warm-up
        before = memory_and_processor(server)
        sampling = asyncio.ensure_future(sampled(server, samples))
        duration = await load.run(port, arguments.clients, arguments.seconds)
        sampling.cancel()
        return duration, before

    with running(name, arguments, port) as server:
        duration, (before, used_before) = uvloop.run(work(server))  # clients use the cores of the server, too
        after, used = memory_and_processor(server)
    count, ordered = len(load.seconds), sorted(load.seconds)
    p50, p95, p99 = (ordered[int(q * (count - 1))] * 1000 for q in (0.5, 0.95, 0.99))
    lost = sum(load.failures.values())
    print(f"\n{name}: {arguments.clients} clients, {duration:.0f} s: {count} answers")
    print(f"{lost} failures {dict(load.failures)}, {len(load.wrong)} answers differ: {load.wrong[:3]}")
    print(f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms; {count / duration:.1f} sentences/s")
    print(f"memory in MiB, each minute: {', '.join(f'{mib:.0f}' for mib in (before, *samples, after))}")
    print(f"exit code {server.returncode}", flush=True)
    return count / duration, 1000 * (used - used_before) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("file", help="source sentences")
    parser.add_argument("--source", default="de")
    parser.add_argument("--target", default="en")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--pause", type=float, default=0, help="of each client after an answer")
    parser.add_argument("--limit", type=int, default=1000, help="use only the first lines")
    parser.add_argument("--servers", default="nmt", help=f"some of {', '.join(SERVERS)}")
    parser.add_argument("--libretranslate", default="libretranslate", help="its program")
    parser.add_argument("--log", action="store_true", help="show the messages of the servers")
    parser.add_argument("--plain", action="store_true", help="be the plain server of the exported MODEL at port FILE")
    arguments = parser.parse_args()
    if arguments.plain:
        plain_server(arguments.model, int(arguments.file))
        return
    arguments.model = str(Path(arguments.model).resolve())
    arguments.libretranslate = str(Path(arguments.libretranslate).absolute())
    lines = list(dict.fromkeys(filter(None, map(str.strip, Path(arguments.file).read_text("utf-8").split("\n")))))
    lines = lines[: arguments.limit]
    translations, speed, cost = translated(arguments.model, lines)
    print(
        f"nmt translate: {len(lines)} lines, {speed:.1f} sentences/s, {cost:.1f} processor ms per sentence", flush=True
    )
    for name in arguments.servers.split(","):
        expected = dict(zip(lines, translations, strict=True)) if name == "nmt" else {}
        load = Load(lines, arguments.source, arguments.target, expected, arguments.pause)
        own_speed, own_cost = measured(name, arguments, load)
        print(f"{own_speed / speed:.2f} of the sentences/s of nmt translate; {own_cost:.1f} processor ms per sentence")


if __name__ == "__main__":
    main()
