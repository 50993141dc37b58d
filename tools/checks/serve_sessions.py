"""Send a server of ``nmt serve`` sessions of several requests, sound and changed ones, and stop it amid requests.

    python tools/checks/serve_sessions.py runs/de-en --cases 5000
    python tools/checks/serve_sessions.py runs/de-en --cases 1 --only 1234

Each case is a connection with up to eight requests: pipelined or in turn, whole or in pieces with pauses, read or never
read, sound or with changed bytes. Sound requests must get the answers that they get alone and in order; others a result
or a refusal as JSON. Servers are then stopped by SIGTERM while such sessions go on, and must end with code 0. Prints
the memory of the server over the cases. Exits with 1 if anything is wrong. The cases depend on the seed alone. Linux
only.
"""

import argparse
import contextlib
import gzip
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from hostile_requests import KINDS_OF_CASES
from soak_server import LINES, MAX_GROWTH, in_turn, memory_of

KEYS = ("right", "schlüssel", "ключ")
TIME_LIMIT = 10
"""Seconds of the server."""
TIMEOUT = 60.0
"""Seconds after which a missing answer is a hang."""
REFUSED = {307, 400, 403, 404, 405, 408, 411, 413, 414, 415, 429, 431}
"""Statuses of requests that are refused, or sent to another path."""
NUM_POINTS = 20
"""Points of the memory curve."""


@dataclass(frozen=True)
class Wanted:
    """A request, and what is expected of its answer."""

    data: bytes
    method: str = "POST"
    expected: str | None = None
    """Name of the answer that it must get; None if it may be refused."""


@dataclass
class Expected:
    """Answers to sound requests, by name; the first one is what the others must be."""

    answers: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fits(self, name: str, answer: bytes) -> bool:
        with self.lock:
            return self.answers.setdefault(name, answer) == answer


def sound(rng: random.Random) -> tuple[str, str, bytes, str, str]:
    """Returns the method, path, body, content type and header lines of a sound request that always has one answer."""
    line, path = (
        rng.choice(LINES),
        rng.choice(("/translate", "/translate", "/v1/translate", "form", "/v1/score", "get")),
    )
    header = f"Authorization: Bearer {rng.choice(KEYS)}\r\n"
    values: dict[str, Any] = {"source": "de", "target": "en"}
    match path:
        case "/translate":
            html = rng.random() < 0.4
            text = line.replace(" ", " <b>", 1) + "</b>" if html else line
            texts = rng.choice((text, [text], [text, f"{LINES[0]} {line}"]))
            values |= {"q": texts, "format": "html" if html else "text", "alternatives": rng.randrange(3)}
            values["source"] = rng.choice(("de", "DE"))
            if rng.random() < 0.5:
                values["api_key"], header = rng.choice(KEYS), ""
        case "/v1/translate":
            values |= {"text": line, "n_best": rng.randrange(1, 4), "alignment": rng.random() < 0.5}
            values |= rng.choice(({}, {"glossary": {"Hund": "hound"}}, {"forbid": ["the"]}, {"check": True}))
        case "/v1/score":
            values |= {"pairs": [[line, "The dog sleeps."]]}
        case "form":
            body = urllib.parse.urlencode(values | {"q": line, "api_key": rng.choice(KEYS)}).encode()
            return "POST", "/translate", body, "application/x-www-form-urlencoded", ""
        case _:
            return "GET", rng.choice(("/languages", "/frontend/settings", "/health", "/openapi.json")), b"", "", header
    body = json.dumps(values, ensure_ascii=rng.random() < 0.5).encode()
    return "POST", path, body, "application/json", header


def written(method: str, path: str, body: bytes, kind: str, header: str) -> bytes:
    """Returns a request as it is sent, with a connection that stays open."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{header}"
    head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n" if body else ""
    return head.encode() + b"\r\n" + body


def sound_request(rng: random.Random) -> Wanted:
    method, path, body, kind, header = sound(rng)
    return Wanted(written(method, path, body, kind, header), method, f"{method} {path} {kind} {body.decode()}")


def changed_request(rng: random.Random) -> Wanted:
    """A request whose body, key, path or type has been changed, while its framing is sound."""
    method, path, body, kind, header = sound(rng)
    match rng.randrange(8):
        case 0:
            body = changed_bytes(rng, body)
        case 1:
            values = {"q": "a", "source": "de", "target": "en", "text": "a", "pairs": [["a", "b"]]}
            for name in rng.sample([*values, "alternatives", "format", "glossary", "n_best", "file", "model"], 3):
                values[name] = rng.choice((None, [], {}, -1, 1e308, "\ud800", [[1]], {"a": {}}, "x" * 30_000, True))
            body, kind = json.dumps(values).encode(), "application/json"
        case 2:
            body = body.decode().encode(rng.choice(("utf-16", "utf-32-le", "utf-7", "utf-8-sig", "cp037")))
        case 3:
            body, header = gzip.compress(body), f"{header}Content-Encoding: gzip\r\n"
        case 4:
            header = rng.choice(
                ("Authorization: Bearer wrong\r\n", "Authorization: Basic YTpi\r\n", "Authorization:\r\n")
            )
            header += rng.choice(("", "X: " + "a" * rng.randrange(70_000) + "\r\n", "X: a\r\n" * rng.randrange(200)))
        case 5:
            path = rng.choice(("/nowhere", f"{path}/", f"/v2{path}", "/download_file/x", "/v1/inspect", "/suggest"))
            path += "?" + "q=a&" * rng.randrange(300)
        case 6:
            method = rng.choice(("PUT", "DELETE", "PATCH", "GET", "TRACE"))
        case _:
            kind = rng.choice(("text/plain", "multipart/form-data; boundary=x", "application/xml", "a" * 500, "/"))
            part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
            body = part % (b"source", b"de") + part % (b"q", body) + rng.choice((b"--x--\r\n", b"--x\r\n", b""))
    return Wanted(written(method, path, body, kind, header), method)


def changed_bytes(rng: random.Random, data: bytes) -> bytes:
    """Returns data with some bytes taken out, doubled, moved or replaced."""
    for _ in range(rng.randrange(1, 5)):
        at, size = rng.randrange(len(data) + 1), rng.randrange(1, 12)
        part = data[at : at + size]
        new = rng.choice((b"", part * 2, rng.randbytes(size), b"\0", b'"', b"{", b"\r\n", part[::-1]))
        data = data[:at] + new + data[at + size :]
    return data


@dataclass(frozen=True)
class Session:
    """What a client does with a connection."""

    requests: Sequence[Wanted]
    is_pipelined: bool = True
    num_pieces: int = 1
    is_read: bool = True
    is_framed: bool = True
    """Whether each request must have an answer of its own."""


def session(rng: random.Random) -> Session:
    """Returns a session: of sound, of changed and sound, of damaged or of unread requests."""
    kind = rng.random()
    if kind < 0.35:
        requests = [sound_request(rng) for _ in range(rng.randrange(1, 9))]
        return Session(requests, rng.random() < 0.6, rng.choice((1, 1, 3, 20)))
    if kind < 0.7:
        makers = (changed_request, changed_request, sound_request)
        requests = [rng.choice(makers)(rng) for _ in range(rng.randrange(1, 5))]
        return Session([*requests, sound_request(rng)], rng.random() < 0.3, rng.choice((1, 1, 4)))
    if kind < 0.9:
        whole = b"".join(sound_request(rng).data for _ in range(rng.randrange(1, 4)))
        data = rng.choice(
            (changed_bytes(rng, whole), rng.choice(KINDS_OF_CASES)(rng), whole[: rng.randrange(len(whole))])
        )
        return Session([Wanted(data)], num_pieces=rng.choice((1, 3)), is_framed=False)
    return Session([sound_request(rng) for _ in range(rng.choice((1, 10, 100)))], is_read=False)


def answers(file: BinaryIO, methods: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """Reads the status and the body of the answers to requests, until the connection is closed.

    Raises:
        ValueError: what arrives is no HTTP.
    """
    for method in methods:
        line = file.readline(1000)
        if not line:
            return
        if not re.fullmatch(rb"HTTP/1\.1 \d{3} [^\r\n]*\r\n", line):
            raise ValueError(f"not HTTP: {line[:80]!r}")
        headers = {}
        while (header := file.readline(100_000)) not in (b"\r\n", b""):
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = b""
        if "transfer-encoding" in headers:
            while size := int(file.readline(20), 16):
                body += file.read(size)
                file.readline(2)
            file.readline(2)
        elif method != "HEAD":
            body = file.read(length := int(headers.get("content-length", "0")))
            if len(body) < length:
                raise ValueError(f"{len(body)} of {length} bytes")
        yield int(line[9:12]), body


def problem(wanted: Wanted, status: int, body: bytes, expected: Expected) -> str:
    """Returns what is wrong with an answer; empty if nothing is."""
    if wanted.expected is not None and status == 200:
        return "" if expected.fits(wanted.expected, body) else f"another answer: {body[:200]!r}"
    if wanted.expected is not None or (status != 200 and status not in REFUSED):
        return f"status {status}: {body[:200]!r}"
    if status not in (200, 307) and body not in (b"", b"Invalid HTTP request received."):
        try:
            error = json.loads(body)["error"]
        except (ValueError, KeyError, TypeError):
            error = None
        return "" if isinstance(error, str) and error else f"no text of an error: {body[:200]!r}"
    return ""


def run(address: tuple[str, int], number: int, seed: int, expected: Expected) -> tuple[str, list[str]]:
    """Runs a session. Returns its statuses, and what is wrong."""
    rng = random.Random(f"{seed} {number}")
    own, statuses, found = session(rng), list[str](), list[str]()
    source = f"127.{rng.randrange(1, 250)}.{rng.randrange(250)}.{rng.randrange(1, 250)}"  # wrong keys count by address
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(address, TIMEOUT, (source, 0)))
        if not own.is_read:
            client.settimeout(0.2)
        file = stack.enter_context(client.makefile("rb"))
        groups = [own.requests] if own.is_pipelined else [[each] for each in own.requests]
        try:
            for group in groups:
                send(client, b"".join(each.data for each in group), own.num_pieces, rng)
                if not own.is_framed:
                    client.shutdown(socket.SHUT_WR)
                if not own.is_read:
                    time.sleep(rng.uniform(0, 0.3))
                    return "left", []
                damaged = "HEAD" if group[0].data.startswith(b"HEAD") else "POST"
                methods = [each.method for each in group] if own.is_framed else [damaged] * 20
                answered = list(answers(file, methods))
                statuses += [str(status) for status, _ in answered]
                wanted = list(group) if own.is_framed else [Wanted(b"")] * 20
                found += [text for w, a in zip(wanted, answered, strict=False) if (text := problem(w, *a, expected))]
                is_sound = all(each.expected for each in group)
                if is_sound and len(answered) < len(group) and "left" not in statuses:
                    found.append(f"{len(answered)} answers to {len(group)} requests")
                if len(answered) < len(group):  # a request that was refused may have closed the connection
                    break
        except TimeoutError:
            found += [] if not own.is_read else ["no answer"]
        except OSError:  # the connection is closed
            statuses.append("reset")
            found += ["reset"] if all(each.expected for each in own.requests) and own.is_read else []
        except ValueError as error:
            found.append(str(error))
    return " ".join(statuses) or "none", found


def send(client: socket.socket, data: bytes, num_pieces: int, rng: random.Random) -> None:
    """Sends data whole, or in pieces with pauses."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(num_pieces - 1))
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        client.sendall(data[begin:end])
        if num_pieces > 1:
            time.sleep(rng.uniform(0, 0.02))


@contextlib.contextmanager
def server(models: Sequence[Path], keys: Path) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """A server in a process of its own, and its address."""
    options = ["--port", "0", "--api-keys", str(keys), "--time-limit", str(TIME_LIMIT), "--queue-size", "2000"]
    command = [sys.executable, "-m", "nmt", "serve", *map(str, models), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        started = process.stderr.readline()
        match = re.search(r"http://([\d.]+):(\d+)", started)
        if not match:
            sys.exit(f"the server doesn't start: {started}{process.stderr.read()}")
        try:
            yield process, (match[1], int(match[2]))
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> str:
    """Stops a server. Returns what is wrong."""
    process.terminate()
    try:
        code = process.wait(TIME_LIMIT + 30)
    except subprocess.TimeoutExpired:
        return "the server outlives SIGTERM"
    assert process.stderr is not None
    said = process.stderr.read()
    return "" if code == 0 and not said else f"SIGTERM: exit code {code}, {said[-2000:]}"


def shifted(function: Callable[[int], None], first: int, number: int) -> None:
    """Call a function with a number counted from another one."""
    function(first + number)


def soak(models: Sequence[Path], keys: Path, arguments: argparse.Namespace, expected: Expected) -> list[str]:
    """Runs all cases, and prints how often they had which statuses, and the memory. Returns what is wrong."""
    counts, problems, memory = Counter[str](), list[str](), list[int]()
    first, number = (0, arguments.cases) if arguments.only is None else (arguments.only, 1)
    with server(models, keys) as (process, address):

        def case(number: int) -> None:
            status, found = run(address, number, arguments.seed, expected)
            counts[status if len(status) < 12 else f"{status[:3]} …"] += 1
            problems.extend(f"case {number}: {text}" for text in found)
            if found:
                print(*problems[-len(found) :], sep="\n", flush=True)

        step = max(-(-number // NUM_POINTS), 1)
        for begin in range(first, first + number, step):
            size = min(step, first + number - begin)
            for thread in in_turn(arguments.clients, size, partial(shifted, case, begin)):
                thread.join()
            memory.append(memory_of(process.pid)[0])
            print(f"{sum(counts.values())} cases, {memory[-1]} MiB", flush=True)
        problems += filter(None, [ended(process)])
    print(*(f"{count:6} {key}" for key, count in counts.most_common(30)), sep="\n")
    third = len(memory) // 3
    if third and max(memory[2 * third :]) > MAX_GROWTH * max(memory[third : 2 * third]):
        problems.append("the memory of the server grows")
    return problems


def stop(models: Sequence[Path], keys: Path, arguments: argparse.Namespace, number: int) -> str:
    """Stops a server while clients have sessions with it. Returns what is wrong."""
    expected = Expected()
    with server(models, keys) as (process, address):

        def until_closed(client: int) -> None:
            first = 1_000_000 * (number + 1) + 1000 * client
            with contextlib.suppress(OSError):  # no connection: the server has been stopped
                for case in range(first, first + 1000):
                    run(address, case, arguments.seed, expected)

        threads = in_turn(arguments.clients, arguments.clients, until_closed)
        time.sleep(random.Random(f"{arguments.seed} stop {number}").uniform(0.1, 3))
        found = ended(process)
    for thread in threads:
        thread.join()
    return f"stop {number}: {found}" if found else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model_dir", type=Path, help="a model of German to English")
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--stops", type=int, default=10, help="servers that are stopped amid requests")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="run this case alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keys, model = Path(folder, "keys"), Path(folder, "de-en")
        keys.write_text("\n".join(KEYS), encoding="utf-8")
        shutil.copytree(arguments.model_dir, model)  # corrections are written into it
        problems = soak([model], keys, arguments, Expected())
        for number in range(arguments.stops if arguments.only is None else 0):
            problems += filter(None, [stop([model], keys, arguments, number)])
            print(f"{number + 1} stops", flush=True)
    print(*problems, sep="\n")
    print(f"{len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
