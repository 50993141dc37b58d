"""Generators of hostile requests for ``serve_sessions.py``."""

import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable

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
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
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


CHARSETS = (
    b"utf-8", b"utf-16le", b"utf-32", b"utf-7", b"latin-1", b"cp037", b"idna", b"punycode", b"undefined", b"rot13",
    b"hex",
    b"unicode_escape", b"shift_jis", b"gb18030", b"x-user-defined", b"", b"a" * 300, b"../x", b"mbcs", b"zlib",
    b"koi8-r",
)  # fmt: skip


def strange_charset(rng: random.Random) -> bytes:
    """Files of HTML and XML, JSON, and forms in encodings that they name or don't."""
    name, text = (
        rng.choice(CHARSETS),
        rng.choice(("Der Hund schläft.", "日本。", "\xff\xfe", "Hund +AGEAYg-", "=?utf-8?q?a?=")),
    )
    data = text.encode(rng.choice(("utf-8", "utf-16", "utf-8-sig", "utf-32-be", "utf-7")))
    page = rng.choice((b'<meta charset="%s"><p>%s</p>', b"<meta http-equiv=a content='text/html;charset=%s'>%s"))
    xml = (
        b'<?xml version="1.0" encoding="%s"?><xliff version="1.2"><trans-unit><source>%s</source></trans-unit></xliff>'
    )
    match rng.randrange(4):
        case 0:
            return uploaded(b"a.html", page % (name, data))
        case 1:
            return uploaded(b"a.xlf", xml % (name, data))
        case 2:
            kind = f"application/json; charset={name.decode()}"
            return message("POST", "/translate", json.dumps(SOUND["/translate"]).encode("utf-8"), kind)
    kind = f"application/x-www-form-urlencoded; charset={name.decode()}"
    return message("POST", "/translate", b"source=de&target=en&q=" + data, kind)


def uploaded(name: bytes, data: bytes, boundary: bytes = b"x", **fields: bytes) -> bytes:
    """A sound upload."""
    values = {"source": b"de", "target": b"en", **fields}
    parts = [(key.encode(), b"", value) for key, value in values.items()] + [(b"file", b'; filename="%s"' % name, data)]
    form = b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = b"".join(form % (boundary, *part) for part in parts) + b"--%s--\r\n" % boundary
    return message("POST", "/translate_file", body, f"multipart/form-data; boundary={boundary.decode('latin-1')}")


def mislabelled_file(rng: random.Random) -> bytes:
    """A file of one format under the name of another, whole, cut off, with other bytes, or twice in a row."""
    office = b'<a xmlns:t="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><t:p>Hund</t:p></a>'
    word = (
        b'<w:p xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:r><w:t>Hund</w:t></w:r></w:p>'
    )
    data = rng.choice((
        b"Der Hund.", b"<p>Hund</p>", b"# Hund\n", b"1\n00:00:01,000 --> 00:00:02,000\nHund\n",
        b'msgid "Hund"\nmsgstr ""\n',
        b'<xliff version="1.2"><trans-unit><source>Hund</source></trans-unit></xliff>', b"%PDF-1.7\n",
        b"\x89PNG\r\n\x1a\n",
        zipped(("content.xml", office)), zipped(("word/document.xml", word)), zipped(("content.xml", office),
        ("content.xml", word)),
        zipped(*((f"{n}", b"") for n in range(2001))), zipped(("word/document.xml", b"<a>" * 5000)), b"{}",
        b"\x1f\x8b\x08",
    ))  # fmt: skip
    match rng.randrange(5):
        case 0:
            data = data[: rng.randrange(len(data) + 1)]
        case 1:
            at = rng.randrange(len(data))
            data = data[:at] + rng.randbytes(2) + data[at + 2 :]
        case 2:
            data += data
    suffix = rng.choice((b"txt", b"html", b"md", b"srt", b"po", b"xliff", b"xlf", b"docx", b"odt", b"DOCX"))
    return uploaded(b"a." + suffix, data, source=rng.choice((b"de", b"auto")))


def nested(rng: random.Random) -> bytes:
    """Markup that is nested, unbalanced or repeated, as a file or as text."""
    depth = rng.choice((2, 30, 100, 300, 2000))
    first, last = rng.choice((
        ("<b>", "</b>"), ("<div>", "</div>"), ("<a href=x>", "</a>"), ("*", "*"), ("**a ", "**"), ("[", "](x)"),
        ("> ", ""),
        ("- ", ""), ("`", "`"), ("![", "]"), ("<!--", "-->"), ("&amp;", ""), ("{", "}"), ("(", ")"),
        ("<table><tr><td>", ""),
        ("<svg>", "</svg>"), ("<p id=a>", ""), ("[a]: b\n", ""), ("|", "\n|-|"), ("<x ", ">"), ("1:", ""), ("www.",
        ""), ("@a", ""),
    ))  # fmt: skip
    text = (
        first * depth + rng.choice(("Hund", "", "Hund. Katze.", "5 km %s")) + last * rng.choice((depth, 0, depth // 2))
    )
    if rng.random() < 0.6:
        return uploaded(rng.choice((b"a.html", b"a.md", b"a.po", b"a.srt", b"a.txt")), text.encode())
    values = dict(SOUND["/translate"], q=text[:20_000], format=rng.choice(("html", "text")))
    return message("POST", "/translate", json.dumps(values).encode(), "application/json")


def strange_unicode(rng: random.Random) -> bytes:
    """Text of characters that programs treat in special ways."""
    ranges = (
        (0, 32), (0x7F, 0xA0), (0x300, 0x370), (0x590, 0x700), (0x1100, 0x1200), (0x2000, 0x2070), (0xD800, 0xE000),
        (0xFDD0, 0xFE10), (0xFFF0, 0x10000), (0x1F1E6, 0x1F200), (0x1F3FB, 0x1F600), (0xE0000, 0xE0080), (0xF0000,
        0xF0010),
    )  # fmt: skip
    chosen = [rng.choice(ranges) for _ in range(rng.randrange(1, 4))]
    text = "".join(
        rng.choice(("Hund ", ". ", "İ", "ß", "ŉ", "", "")) + chr(rng.randrange(*rng.choice(chosen)))
        for _ in range(rng.choice((1, 20, 300)))
    )
    path = rng.choice(("/translate", "/detect", "/v1/translate", "/v1/score"))
    values: dict[str, object] = dict(SOUND[path])
    field = "q" if "q" in values else "text" if "text" in values else "pairs"
    values[field] = [[text, text]] if field == "pairs" else rng.choice((text, [text, "Hund"]))
    if path == "/translate":
        values |= {
            "format": rng.choice(("text", "html")),
            "source": rng.choice(("de", "auto")),
            "alternatives": rng.randrange(3),
        }
    elif path == "/v1/translate":
        values |= rng.choice(
            ({"glossary": {text[:50] or "a": "b"}}, {"forbid": [text[:50] or "a"]}, {"alignment": True})
        )
    return message("POST", path, json.dumps(values).encode(), "application/json")


def strange_boundary(rng: random.Random) -> bytes:
    """Forms of several parts with boundaries that are quoted, long, inside the data, or other than announced."""
    boundary = rng.choice(
        (b"x", b"-", b"--", b"a" * 70, b"a" * 5000, b"a b", b"'", b"(", b"=", b"\xe4", b"x;y", b'"', b"\t")
    )
    data = rng.choice((b"Hund", b"\r\n--" + boundary, b"\r\n--x--\r\n", b"--" * 1000, b"\r\n" * 1000, b"\n--x\n"))
    request = uploaded(b"a.txt", data, boundary)
    change = rng.randrange(6)
    if change == 0:
        request = request.replace(
            b"form-data", rng.choice((b"attachment", b"", b"form-data; name=a", b"form-data; filename*=x''y"))
        )
    elif change == 1:
        request = request.replace(b'name="', rng.choice((b"name=", b'name="\\', b"name='", b'NAME="', b'name*="')))
    elif change == 2:
        request = request.replace(
            b"\r\n\r\n", rng.choice((b"\n\n", b"\r\n", b"\r\nContent-Type: multipart/mixed\r\n\r\n"))
        )
    elif change == 3:
        extra = b'--x\r\nContent-Disposition: form-data; name="file"; filename="b.txt"\r\n\r\na\r\n' * rng.choice(
            (1, 200)
        )
        request = request.replace(b"--x\r\n", extra + b"--x\r\n", 1)
    return request


def truncated_upload(rng: random.Random) -> bytes:
    """An upload that ends before or after the length that it announces."""
    request = rng.choice((mislabelled_file, strange_boundary, strange_charset))(rng)
    return (
        request[: rng.randrange(len(request))] if rng.random() < 0.7 else request + rng.randbytes(rng.randrange(2000))
    )


def deep_types(rng: random.Random) -> bytes:
    """JSON whose values have types that are nested in random ways."""

    def value(depth: int) -> object:
        kind = rng.randrange(8 if depth else 6)
        if kind < 6:
            return rng.choice(
                (None, True, 0, -0.0, 1e-320, 2**63, -(2**64), "", "de", "\x00", "Hund", [], {}, "1e999", "nan")
            )
        if kind == 6:
            return [value(depth - 1) for _ in range(rng.randrange(4))]
        return {
            rng.choice(("q", "a", "", "__proto__", "$ref", "\ud800")): value(depth - 1) for _ in range(rng.randrange(4))
        }

    path = rng.choice(list(SOUND))
    values: dict[str, object] = dict(SOUND[path])
    for field in rng.sample(list(FIELDS), rng.randrange(1, 5)):
        values[field] = value(rng.randrange(4))
    return message("POST", path, json.dumps(values).encode(), "application/json")


def strange_header(rng: random.Random) -> bytes:
    """Sound requests with header values at the edge of what is allowed."""
    names = (
        "Host", "Content-Length", "Content-Type", "Accept", "Accept-Encoding", "Authorization", "Origin", "Cookie",
        "Range", "TE",
        "If-None-Match", "If-Modified-Since", "X-Forwarded-Proto", "X-Forwarded-For", "Forwarded", "Connection",
        "Expect", "Via",
        "Access-Control-Request-Method", "Transfer-Encoding", "Trailer", "Upgrade-Insecure-Requests",
        "Sec-WebSocket-Key",
    )  # fmt: skip
    values = (
        "", " ", "a", "*", "\xe4", "=?utf-8?q?a?=", "bytes=5-2", "bytes=0-0,1-1,2-2", "0", "-0", "0x10", "1,1",
        "identity", "close",
        "keep-alive", "\t", "a" * 8000, "Bearer", "Basic ====", "null", "http://[", "Thu, 99 Foo 0000",
        "chunked, chunked", "javascript",
        "127.0.0.1, 10.0.0.1", "for=;", "100-continue", "trailers", '"', "W/", "%0d%0aX: y",
    )  # fmt: skip
    headers = "".join(f"{rng.choice(names)}: {rng.choice(values)}\r\n" for _ in range(rng.choice((1, 3, 120))))
    path = rng.choice(
        (*SOUND, "/", "/docs", "/page/index.html", "/page/../app.py", "/metrics", "/languages", "/openapi.json")
    )
    body = json.dumps(SOUND[path]).encode() if path in SOUND else b""
    return message(
        "POST" if body else rng.choice(("GET", "HEAD")), path, body, "application/json" if body else "", headers
    )


KINDS_OF_CASES = (
    wrong_values, wrong_values, wrong_values, broken_json, broken_json, strange_form, strange_form, header_trick,
    header_trick,
    bad_chunks, half_request, noise, hostile_file, hostile_html, strange_charset, mislabelled_file, mislabelled_file,
    nested,
    nested, strange_unicode, strange_unicode, strange_boundary, strange_boundary, truncated_upload, deep_types,
    strange_header,
)  # fmt: skip
