"""Send hostile requests to a server of ``nmt serve``, and report every answer that isn't a refusal or a result.

    nmt serve runs/de-en --port 5001 &
    python tools/checks/serve_fuzz.py 127.0.0.1 5001 --cases 2000

A request may be refused with a status of 4xx and ``{"error": …}`` or be answered; it must never cause a status of 5xx,
a hang, or keep the next request from being answered. The cases depend on the seed alone.
"""

import argparse
import contextlib
import io
import json
import random
import socket
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator

TIMEOUT = 20.0
"""Seconds after which a missing answer is a hang."""
PATHS = ("/translate", "/detect", "/translate_file", "/suggest", "/v1/translate", "/v1/align", "/v1/score")
STRANGE_PATHS = (
    "/languages", "/spec", "/metrics", "/download_file/../../etc/passwd", "/download_file/%2e%2e%2fx", "/%00",
    "/%ff%fe",
    "//translate", "/translate/", "/translate?q=%ff%fe&source=de&target=en",
    "/translate?q=a&q=b&source=de&target=%00",
    "/" + "a" * 5000, "/v1/../translate", "http://example.org/health", "*", "/?" + "q=a&" * 2000, "/.git/config",
    "/docs",
    "/translate?q=" + "a" * 30_000, "/v1/translate?text=a",
)  # fmt: skip
TEXTS = (
    "Der Hund schläft.", "", " ", "\0", "\ud800", "\ud83d\ude00", "a" * 19_999, "a" * 20_001, "\n" * 500,
    "\t" * 50, "ﷺ" * 300,
    "<b>" * 200, "<script>alert(1)</script>", "{{7*7}}", "%s%n%x", "../../etc/passwd", "\u202e\u200f\ufeff",
    "e" + "\u0301" * 500,
    "👩‍👩‍👧‍👦" * 50, "</b></i><p", "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "&#0;&#xd800;&bogus;",
    "Hund " * 300, "1" * 1000, "http://x.y/?q=1 a@b.c {name} %(x)s",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 1.5, 1e308, 10**40, "", "de", "en", "xx", "auto", "DE", "zh-Hans", [], {}, [[]],
    [None], ["a", 1],
    {"a": {"b": []}}, "many", "-1", "9" * 5000, ["Hund"], ["Hund"] * 250, [["a", "b"]], [["a"]], [["a", "b", "c"]],
    "html", "text",
    *TEXTS,
)  # fmt: skip
KINDS = (
    "application/json", "application/json; charset=utf-16", "text/plain", "application/x-www-form-urlencoded",
    "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=x", "application/xml",
    "", "\xff",
)  # fmt: skip
SOUND = {
    "/translate": {"q": "Der Hund schläft.", "source": "de", "target": "en"},
    "/v1/translate": {"text": "Der Hund schläft.", "source": "de", "target": "en"},
    "/v1/align": {"source": "de", "target": "en", "pairs": [["Der Hund", "the dog"]]},
    "/v1/score": {"source": "de", "target": "en", "pairs": [["Der Hund", "the dog"]]},
    "/detect": {"q": "Der Hund schläft."},
}
FIELDS = (
    "q", "text", "source", "target", "format", "alternatives", "api_key", "split", "n_best", "alignment", "prefix",
    "must_contain", "forbid", "beam_size", "alpha", "stream", "pairs", "file", "glossary", "\ud800", "x" * 1000,
)  # fmt: skip


def message(method: str, path: str, body: bytes = b"", kind: str = "", headers: str = "") -> bytes:
    """A request of HTTP."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}"
    head += f"Content-Type: {kind}\r\n" if kind else ""
    head += f"Content-Length: {len(body)}\r\n" if body and "content-length" not in headers.lower() else ""
    return head.encode("utf-8", "surrogatepass") + b"\r\n" + body


def wrong_values(rng: random.Random) -> bytes:
    """Sound requests with values of other types."""
    path = rng.choice(PATHS)
    values = dict(SOUND.get(path, SOUND["/translate"]))
    for _ in range(rng.randrange(1, 4)):
        field = rng.choice((*values, *FIELDS))
        if rng.random() < 0.2:
            values.pop(field, None)
        else:
            values[field] = rng.choice(VALUES)
    body = json.dumps(values, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")
    return message("POST", path, body, "application/json")


def broken_json(rng: random.Random) -> bytes:
    """JSON that is damaged, nested, of another encoding, or something else."""
    sound = json.dumps(SOUND["/translate"]).encode()
    match rng.randrange(9):
        case 0:
            body = rng.choice((b"[", b'{"q":', b'{"a":{"q":[')) * rng.randrange(1, 50_000)
        case 1:
            body = sound[: rng.randrange(len(sound))]
        case 2:
            body = sound.decode().encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")))
        case 3:
            body = b'{"q": NaN, "source": Infinity, "target": -1e999999}'
        case 4:
            body = sound.replace(b"{", b'{"q": "x", ' * rng.randrange(1, 3), 1)
        case 5:
            at = rng.randrange(len(sound))
            body = sound[:at] + rng.randbytes(rng.randrange(1, 8)) + sound[at + 1 :]
        case 6:
            body = b'{"q": ' + b"9" * rng.choice((100, 5000)) + b', "source": "de", "target": "en"}'
        case 7:
            body = b'{"q": "\xff\xfe\xc0\x80", "source": "de", "target": "en"}'
        case _:
            body = rng.randbytes(rng.randrange(200))
    return message("POST", rng.choice(PATHS), body, "application/json")


def strange_form(rng: random.Random) -> bytes:
    """Forms and other types of content, sound or not."""
    fields = "&".join(
        f"{rng.choice(FIELDS[:8])}={rng.choice(('a', '%ff', '%', 'de', 'en', 'a' * 9000))}" for _ in range(4)
    )
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % each
        for each in (
            (b"source", b"", b"de"), (b"target", b"", b"en"),
            (b"file", b'; filename="%s"' % rng.choice(FILE_NAMES), rng.choice(FILES)(rng)),
        )
    )  # fmt: skip
    body = rng.choice((
        fields.encode("utf-8", "surrogatepass"), parts + b"--x--\r\n", parts, parts[: rng.randrange(len(parts))],
        b"--x\r\n" * 500, b"--x\r\n\r\n", b"&" * 5000, b"q=a&" * 500,
    ))  # fmt: skip
    kind = rng.choice((*KINDS, "multipart/form-data; boundary=x", "multipart/form-data; boundary=x"))
    return message(rng.choice(("POST", "POST", "PUT", "GET")), rng.choice((*PATHS, "/translate_file")), body, kind)


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


FILE_NAMES = (
    b"a.txt", b"a.html", b"a.srt", b"a.docx", b"a.odt", b"a.po", b"a.xliff", b"a.md", b"../../a.txt",
    b"/etc/passwd", b"a.exe",
    b"", b"a\x00.txt", b"\xff.txt", b"a" * 3000 + b".txt", b'a";x=".txt', b".txt", b"..", b"con.txt",
    "‮txt.exe.txt".encode(),
)  # fmt: skip
XXE = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><w:document>&b;</w:document>'
LAUGHS = b'<!DOCTYPE z [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 10) for c in range(ord("b"), ord("k"))
)
FILES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda rng: rng.choice(TEXTS).encode("utf-8", "surrogatepass"),
    lambda rng: rng.randbytes(500),
    lambda rng: zipped(("word/document.xml", b"\0" * 30_000_000)),
    lambda rng: zipped(("word/document.xml", XXE), ("content.xml", XXE)),
    lambda rng: zipped(("../../x", b"a"), ("[Content_Types].xml", LAUGHS + b"]><z>&j;</z>")),
    lambda rng: XXE,
    lambda rng: LAUGHS + b']><xliff version="1.2">&j;</xliff>',
    lambda rng: b"1\n00:00:01,000 --> 00:00:0\n" * 50,
    lambda rng: b'msgid "a\nmsgstr "' * 50,
    lambda rng: b"<p>" * 5000 + b"Hund",
    lambda rng: b"",
)


def hostile_file(rng: random.Random) -> bytes:
    """A sound upload of a file that isn't what its name says, or worse."""
    name = rng.choice(FILE_NAMES[:8] if rng.random() < 0.8 else FILE_NAMES)
    fields = ((b"source", b"", rng.choice((b"de", b"auto"))), (b"target", b"", b"en"))
    parts = (*fields, (b"file", b'; filename="%s"' % name, rng.choice(FILES)(rng)))
    form = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = b"".join(form % part for part in parts) + b"--x--\r\n"
    return message("POST", "/translate_file", body, "multipart/form-data; boundary=x")


def hostile_html(rng: random.Random) -> bytes:
    """Tags in any order."""
    tags = (
        "<b>",
        "</b>",
        "<i ",
        "<p>",
        "</div>",
        "<br/>",
        "<script>",
        "<!--",
        "-->",
        "<svg>",
        "&lt;",
        "&#0;",
        "<a href=x>",
    )
    text = "".join(rng.choice((*tags, "Hund ", "schläft. ", rng.choice(TEXTS)[:50])) for _ in range(rng.randrange(60)))
    body = json.dumps(dict(SOUND["/translate"], q=rng.choice((text, [text, text])), format="html")).encode()
    return message("POST", "/translate", body, "application/json")


def header_trick(rng: random.Random) -> bytes:
    """Header lines and request lines that a server may read in several ways."""
    body = json.dumps(SOUND["/translate"]).encode()
    headers = rng.choice((
        "Content-Length: -1\r\n", "Content-Length: 1e3\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 99999999999999\r\n",
        "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Host: [::\r\n", "Host: a b\r\n", "Host: \r\n", "X: " + "a" * 70_000 + "\r\n", "X: a\r\n" * 500,
        "X: a\r\n b\r\n", "X : a\r\n",
        "Expect: 100-continue\r\n", "Upgrade: websocket\r\nConnection: Upgrade\r\n",
        "Authorization: Bearer \xff\r\n", "Authorization: \r\n",
        "Content-Encoding: gzip\r\n", "Content-Length: +10\r\n", "Range: bytes=0-\r\n",
        "Cookie: " + "a=b;" * 5000 + "\r\n", "\0: a\r\n",
        "X-Forwarded-Host: evil\r\nX-Forwarded-For: a\r\n", "Content-Length: " + "9" * 5000 + "\r\n",
    ))  # fmt: skip
    path = rng.choice((*PATHS, *STRANGE_PATHS))
    method = rng.choice(("POST", "GET", "get", "OPTIONS", "HEAD", "TRACE", "PUT", "CONNECT", "A" * 500, "PO ST"))
    return message(method, path, body, rng.choice(("application/json", *KINDS)), headers)


def bad_chunks(rng: random.Random) -> bytes:
    """Bodies in chunks, sound or not."""
    chunks = rng.choice(
        (
            b"5\r\n{}   \r\n0\r\n\r\n",
            b"-1\r\n",
            b"ffffffffffffffff\r\n",
            b"zz\r\n",
            b"5\r\nab\r\n",
            b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        )
    )
    head = f"POST {rng.choice(PATHS)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    return f"{head}Content-Type: {rng.choice(KINDS[:4])}\r\n\r\n".encode() + chunks


def half_request(rng: random.Random) -> bytes:
    """The beginning of a request."""
    whole = rng.choice((wrong_values, strange_form, header_trick))(rng)
    return whole[: rng.randrange(1, len(whole))]


def noise(rng: random.Random) -> bytes:
    """Bytes, and other protocols."""
    return rng.choice(
        (
            rng.randbytes(300),
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"GET /\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\r\n" * 100,
            b"GET / HTTP/9.9\r\n\r\n",
        )
    )


KINDS_OF_CASES = (
    wrong_values, wrong_values, wrong_values, broken_json, broken_json, strange_form, strange_form, header_trick,
    header_trick,
    bad_chunks, half_request, noise, hostile_file, hostile_html,
)  # fmt: skip


PATIENCE = {"header_trick": 1.0, "bad_chunks": 0.3, "half_request": 0.2, "noise": 0.2, "strange_form": 1.0}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    counts, problems = run((arguments.host, arguments.port), arguments.cases, arguments.seed)
    for key, count in sorted(counts.items()):
        print(f"{count:6} {key}")
    print(*problems, sep="\n")
    print(f"{arguments.cases} cases, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
