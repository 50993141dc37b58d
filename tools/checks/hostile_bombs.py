"""Small files that expand to gigabytes, or claim to, in the compressed formats and those of documents."""

import gzip
import lzma
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

from nmt.core.compression import COMPRESSIONS, compressed

MEGABYTE = 1 << 20
UNITS = (
    b"a", b" ", b"\0", b"a b ", b"\n", b"\r", b"a\n", b"Hund und Katze.\n", b"{}\n", b"0-0 1-1\n", b"\xff", b"a\tb\n",
)  # fmt: skip
"""What a bomb of text repeats."""
FEW_LINES = (b"a", b" ", b"\0", b"a b ", b"\n", b"\xff")
"""The same for commands that take time for each line that isn't empty."""

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
OPEN = " ".join(f'xmlns:{name[0]}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text"))
DRAWING = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
BODIES = {
    ".docx": (f"<w:document {WORD}><w:body>", "<w:p><w:r><w:t>%s</w:t></w:r></w:p>", "</w:body></w:document>"),
    ".odt": (f"<o:document-content {OPEN}><o:body>", "<t:p>%s</t:p>", "</o:body></o:document-content>"),
    ".xliff": ('<xliff version="1.2">', "<trans-unit><source>%s</source></trans-unit>", "</xliff>"),
    ".tmx": (
        '<tmx version="1.4"><body>',
        '<tu><tuv xml:lang="en"><seg>%s</seg></tuv><tuv xml:lang="de"><seg>a</seg></tuv></tu>', "</body></tmx>",
    ),
    ".html": ("<html><body>", "<p>%s</p>", "</body></html>"),
    ".pptx": (f"<p:sld xmlns:p='p' {DRAWING}>", "<a:p><a:r><a:t>%s</a:t></a:r></a:p>", "</p:sld>"),
    ".xlsx": (f"<sst {SHEET}>", "<si><t>%s</t></si>", "</sst>"),
    ".ods": (f"<o:document-content {OPEN}>", "<t:p>%s</t:p>", "</o:document-content>"),
    ".odp": (f"<o:document-content {OPEN}>", "<t:h>%s</t:h>", "</o:document-content>"),
    ".epub": ('<html xmlns="http://www.w3.org/1999/xhtml"><body>', "<p>%s</p>", "</body></html>"),
    ".xml": ("<x>", "<p>%s</p>", "</x>"),
}  # fmt: skip
"""Beginning, paragraph and end of the text of a document."""
PARTS = {
    ".docx": "word/document.xml", ".pptx": "ppt/slides/slide1.xml", ".xlsx": "xl/sharedStrings.xml",
    **dict.fromkeys((".odt", ".ods", ".odp"), "content.xml"), ".epub": "1.xhtml",
}  # fmt: skip


# Compressed text


@cache
def member(suffix: str, unit: bytes, size: int) -> bytes:
    """A unit repeated to a size, compressed."""
    content = _repeated(unit, size)
    if suffix == ".gz":
        return gzip.compress(content, 9, mtime=0)
    if suffix == ".xz":
        return lzma.compress(content)
    file = _Bytes()
    with compressed(file, "a.zst") as stream:  # type: ignore[arg-type]
        stream.write(content)
    return bytes(file.content)


class _Bytes:
    """A file in memory."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, content: bytes) -> int:
        self.content += content
        return len(content)

    def flush(self) -> None:
        """Does nothing."""

    def tell(self) -> int:
        return len(self.content)


def compressed_text(rng: random.Random, units: tuple[bytes, ...] = UNITS) -> tuple[str, bytes, str]:
    """The ending, the content and a description of a file that expands to more than it should."""
    suffix, unit = rng.choice([each.suffix for each in COMPRESSIONS]), rng.choice(units)
    size = rng.choice((MEGABYTE, 16 * MEGABYTE))
    whole = member(suffix, unit, size)
    count = rng.choice((1, 10, 100, min(2000, 4 * MEGABYTE // len(whole) + 1)))
    honest = member(suffix, b"Hund und Katze.\n", 64)
    kinds: dict[str, Callable[[], bytes]] = {
        "repeated": lambda: whole * count,
        "after honest text": lambda: honest + whole * count,
        "truncated": lambda: (whole * count)[: -rng.randrange(1, 9)],
        "with junk after it": lambda: whole * min(count, 10) + rng.randbytes(rng.choice((1, 100, MEGABYTE))),
        "flipped": lambda: _flipped(whole * min(count, 10), rng),
        "empty members": lambda: member(suffix, b"", 0) * 50_000 + honest,
        "in itself": lambda: _packed(suffix, whole * min(count, 100)),
        "claims": lambda: _claims(suffix, rng),
    }
    how = rng.choice(list(kinds))
    content = kinds[how]()
    ending = suffix if rng.random() < 0.8 else rng.choice(("", ".gz", ".xz", ".zst", ".bz2"))
    return ending, content, f"{how}: {unit!r}, {size:,} bytes, {count} times, {suffix} called {ending!r}"


def _packed(suffix: str, content: bytes) -> bytes:
    return gzip.compress(content, 1) if suffix == ".gz" else lzma.compress(content, preset=0)


def _flipped(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _claims(suffix: str, rng: random.Random) -> bytes:
    """Headers that claim sizes beyond those of the machine."""
    if suffix == ".gz":  # a name without an end, a comment, and a size at the end that is wrong
        name = b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * rng.choice((100, 20 * MEGABYTE))
        return rng.choice((name, name + b"\0", member(suffix, b"a\n", 10)[:-4] + b"\xff" * 4))
    if suffix == ".xz":  # a dictionary of up to 4 GiB
        return lzma.compress(b"Hund\n" * 9, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]).replace(
            b"\x21\x01\x08", b"\x21\x01" + bytes([rng.choice((30, 38, 40, 41))])
        )
    magic, window = b"\x28\xb5\x2f\xfd", bytes([rng.choice((0x58, 0x90, 0xA8, 0xF8))])
    sized = magic + b"\xc0" + window + struct.pack("<Q", rng.choice((0, 1 << 31, 1 << 62))) + b"\x01\x00\x00"
    skipped = b"\x50\x2a\x4d\x18" + struct.pack("<I", 0xFFFFFFFF)
    return rng.choice(
        (sized, skipped, magic + b"\x00" + window + b"\x01\x00\x00", (b"\x50\x2a\x4d\x18" + bytes(4)) * 50_000)
    )


# Documents


def deflated(begin: bytes, unit: bytes, count: int, end: bytes) -> tuple[bytes, int, int]:
    """A raw stream of Deflate that stands for ``begin``, the unit so many times, and ``end``; its sum and size."""

    def packed(content: bytes) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)

    inner, total = _repeated(unit, MEGABYTE), zlib.crc32(begin)
    for _ in range(count):
        total = zlib.crc32(inner, total)
    stream = packed(begin) + packed(inner) * count + packed(end) + b"\x03\x00"
    return stream, zlib.crc32(end, total), len(begin) + len(inner) * count + len(end)


@cache
def _repeated(unit: bytes, size: int) -> bytes:
    return unit * max(size // max(len(unit), 1), 1)


def archive(entries: list[tuple[bytes, int, int, int, bytes]], copies: int = 1) -> bytes:
    """A ZIP file.

    Args:
        entries: name, method, sum, size and stored bytes of each; all of this may be wrong.
        copies: entries of the list of contents for each, all with the same bytes.
    """
    body, listed = b"", b""
    for name, method, total, size, stored in entries:
        common = struct.pack("<HHHHIII", 0, method, 0, 0x5A21, total, len(stored), size & 0xFFFFFFFF)
        listed += b"".join(
            b"PK\x01\x02" + struct.pack("<HH", 20, 20) + common
            + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, len(body)) + name
            for _ in range(copies)
        )  # fmt: skip
        body += b"PK\x03\x04" + struct.pack("<H", 20) + common + struct.pack("<HH", len(name), 0) + name + stored
    count = min(len(entries) * copies, 0xFFFF)
    return body + listed + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(listed), len(body), 0)


def document(rng: random.Random) -> tuple[str, bytes, str]:
    """The ending, the content and a description of a document that expands to more than it should."""
    suffix = rng.choice(list(BODIES))
    how, text = xml(suffix, rng)
    if suffix not in PARTS:
        return suffix, text, how
    name, *_ = stored = entry(suffix, text)
    kinds: dict[str, Callable[[], bytes]] = {
        "as it should be": lambda: archive([stored]),
        "expands": lambda: archive([_expanding(suffix, rng)]),
        "many names": lambda: archive([stored], rng.choice((2, 1000, 60_000))),
        "other parts expand": lambda: archive([stored, (b"media/x.xml", *_expanding(suffix, rng)[1:])]),
        "wrong sizes": lambda: archive([(name, 8, stored[2], rng.choice((0, 1, 0xFFFFFFFE)), stored[4])]),
        "another method": lambda: archive([(name, rng.choice((0, 9, 12, 14, 93, 99)), *stored[2:])]),
        "strange names": lambda: archive(
            [stored, (rng.choice((b"../../x", b"/x", b"x" * 65_000, b"\xff", b"", b"a\0b", name + b"/")), *stored[1:])]
        ),
        "in itself": lambda: archive([(name, 0, 0, len(text), archive([stored]))]),
        "damaged": lambda: _flipped(archive([stored]), rng),
        "truncated": lambda: archive([stored])[: -rng.randrange(1, 60)],
        "after junk": lambda: rng.randbytes(MEGABYTE) + archive([stored]),
    }
    place = rng.choice(list(kinds))
    return suffix, kinds[place](), f"{place}; {how}"


def entry(suffix: str, text: bytes) -> tuple[bytes, int, int, int, bytes]:
    """The part of an archive that has the text of a document; see :func:`archive`."""
    return PARTS[suffix].encode(), 8, zlib.crc32(text), len(text), deflate(text)


@cache
def deflate(text: bytes) -> bytes:
    return zlib.compress(text, 6, wbits=-15)


def _expanding(suffix: str, rng: random.Random) -> tuple[bytes, int, int, int, bytes]:
    begin, paragraph, end = BODIES[suffix]
    unit = rng.choice((paragraph % "Hund", paragraph % "", "<x/>", " ", "<!--a-->", "&#97;"))
    stream, total, size = _expanded(begin.encode(), unit.encode(), rng.choice((20, 300)), end.encode())
    return PARTS[suffix].encode(), 8, total, rng.choice((size, size, 100)), stream


_expanded = cache(deflated)


def xml(suffix: str, rng: random.Random) -> tuple[str, bytes]:
    """A description and the content of a text in XML that takes more than it should."""
    begin, paragraph, end = BODIES[suffix]
    count = rng.choice((100, 10_000, 200_000))
    laughs = '<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    many, opened = range(min(count, 20_000)), (paragraph % "a\0").partition("\0")[0]
    encoding = rng.choice(("utf-7", "utf-16", "cp037", "x", "a" * 999))
    definitions = {
        "entities of entities": (laughs, "&i;"),
        "one long entity": (f'<!ENTITY a "{"a" * 50_000}">', "&a;" * 50_000),
        "entity of a file": ('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;"),
        "parameter entity": ('<!ENTITY % a SYSTEM "http://127.0.0.1:9/x.dtd">%a;', "a"),
    }
    paragraphs: dict[str, Callable[[], str]] = {
        "nested": lambda: "<x>" * count + "</x>" * count,
        "attributes": lambda: f"<x {' '.join(f'a{n}=1' for n in many)}/>",
        "quoted attributes": lambda: "<x " + " ".join(f'a{n}="1"' for n in range(count)) + "/>",
        "one long attribute": lambda: f'<x a="{"a" * (100 * count)}"/>',
        "one long text": lambda: "a" * (100 * count),
        "namespaces": lambda: "".join(f'<x xmlns:n{n}="u:{n}"/>' for n in many),
        "characters": lambda: "<![CDATA[" + "]]" * count,
    }
    texts: dict[str, Callable[[], str]] = {
        "nested paragraphs": lambda: begin + opened * min(count, 10_000) + end,
        "empty paragraphs": lambda: begin + paragraph % "" * count + end,
        "comments": lambda: begin + "<!--a-->" * count + paragraph % "Hund" + end,
        "instructions": lambda: begin + "<?a b?>" * count + paragraph % "Hund" + end,
        "another encoding": lambda: f'<?xml version="1.0" encoding="{encoding}"?>' + begin + paragraph % "Hund" + end,
    }
    how = rng.choice([*definitions, *paragraphs, *texts])
    if how in definitions:
        defined, used = definitions[how]
        text = f"<!DOCTYPE x [{defined}]>" + begin + paragraph % used + end
    elif how in paragraphs:
        text = begin + paragraph % paragraphs[how]() + end
    else:
        text = texts[how]()
    return f"{how}, {count}", text.encode()
