"""Compressed text: gzip, xz and Zstandard, told by the first bytes of an input and the name of an output."""

import gzip
import io
import lzma
import zlib
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, cast

from nmt.core.errors import UserError
from nmt.core.limits import limit


@dataclass(frozen=True)
class Compression:
    """A compressed format; see :data:`COMPRESSIONS`."""

    name: str
    suffix: str
    magics: tuple[bytes, ...]  # first bytes of a file of this format; any of them
    program: str  # command that checks a file

    def reader(self, packed: BinaryIO) -> io.BufferedReader:
        """Returns the decompressed content of a stream.

        Reading it raises :class:`DamagedError`, or :class:`TooCompressedError` for content that a small file was made
        to expand to. Raises UserError if the package that decompresses it is missing.
        """
        # Lines of a decompressor alone are read slowly.
        return io.BufferedReader(_BoundedDecompressor(self, packed), 1 << 16)


COMPRESSIONS = (
    Compression("gzip", ".gz", (b"\x1f\x8b",), "gzip -t"),
    Compression("xz", ".xz", (b"\xfd7zXZ\x00",), "xz -t"),
    # pzstd begins with a frame that decompressors skip.
    Compression("Zstandard", ".zst", (b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"), "zstd -t"),
)

SUFFIXES = tuple(compression.suffix for compression in COMPRESSIONS)


def uncompressed(path: Path | str) -> Path:
    """Returns a path without the suffix of a compressed file."""
    path = Path(path)
    return path.with_suffix("") if path.suffix in SUFFIXES else path


MAGIC_BYTES = max(len(magic) for compression in COMPRESSIONS for magic in compression.magics)

FREE_BYTES = 1 << 22
"""Decompressed bytes to which the ratio isn't applied: a short text that repeats one line compresses better."""

FREE_LINES = 1 << 16  # decompressed lines to which the bound on lines isn't applied

BYTES_PER_LINE = 25
"""Least mean length of a line at the highest ratio, so 8 lines for a byte: even random labels, a bit each, pass."""


class DamagedError(Exception):
    """Compressed content is truncated or damaged."""

    def __init__(self, compression: Compression, error: Exception) -> None:
        super().__init__(str(error))
        self.compression = compression


class TooCompressedError(Exception):
    """A compressed file expands to more bytes or lines than :data:`nmt.core.limits.LIMITS` allow."""


def of_content(beginning: bytes) -> Compression | None:
    """Returns the format of a file from its first bytes; None if it isn't compressed."""
    return next((kind for kind in COMPRESSIONS if beginning.startswith(kind.magics)), None)


def of_name(path: Path | str) -> Compression | None:
    """Returns the format of a file from the end of its name; None if it isn't compressed."""
    return next((kind for kind in COMPRESSIONS if str(path).endswith(kind.suffix)), None)


def compressed(file: BinaryIO, name: Path | str) -> BinaryIO:
    """Returns a stream that writes to ``file``, compressed if the name ends in a suffix of :data:`COMPRESSIONS`. Raises
    UserError if the package that compresses it is missing."""
    compression = of_name(name)
    return file if compression is None else cast(BinaryIO, _open(compression, file, "wb"))


def check_available(name: Path | str) -> None:
    """Raises UserError if the package that compresses a file of this name is missing."""
    if str(name).endswith(".zst"):
        _zstd()


class _ByteCounter:
    """A stream that counts the bytes that are read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.num_bytes = stream, 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self.num_bytes += len(chunk)
        return chunk


class _BoundedDecompressor(io.RawIOBase):
    """A decompressor with bounded output that raises the same error for each format."""

    def __init__(self, compression: Compression, packed: BinaryIO) -> None:
        self._packed, self._num_bytes, self._num_lines = _ByteCounter(packed), 0, 0
        self._max_ratio = limit("NMT_MAX_COMPRESSION_RATIO")
        self._compression, self._stream = compression, _open(compression, self._packed, "rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            count = int(self._stream.readinto(buffer))
        except Exception as error:
            known = EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError
            if not isinstance(error, known) and type(error).__name__ != "ZstdError":  # whose module may be missing
                raise
            raise DamagedError(self._compression, error) from error
        self._num_bytes += count
        self._num_lines += bytes(buffer[:count]).count(b"\n")
        allowed = self._max_ratio * self._packed.num_bytes
        if self._num_bytes > FREE_BYTES + allowed or self._num_lines > FREE_LINES + allowed // BYTES_PER_LINE:
            raise TooCompressedError
        return count


def _open(compression: Compression, packed: Any, mode: Any) -> Any:
    if compression.suffix == ".gz":
        return gzip.GzipFile("", mode, fileobj=packed, mtime=0)  # the same text gives the same file
    if compression.suffix == ".xz":
        return lzma.LZMAFile(packed, mode)
    return _zstd().ZstdFile(packed, mode)


def _zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return import_module(name)
    raise UserError(
        "Zstandard files (.zst) need Python 3.14 or the package backports.zstd, which is not installed.",
        'pip install "nmt[zstd]", or use .gz or .xz.',
    )
