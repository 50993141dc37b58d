"""Compressed text is read like plain text, written by the name of the file, and refused where it is damaged."""

import contextlib
import gzip
import lzma
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.core.errors import UserError
from nmt.core.output import open_output
from nmt.core.text import count_lines, read_lines
from nmt.jobs.run import ResumableOutput

Pack = Callable[[bytes], bytes]
LINES = [f"Satz {number} über {number * number % 1009}" for number in range(5000)]
CONTENT = "".join(f"{line}\n" for line in LINES).encode()


def zstd() -> Any:
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return pytest.importorskip(name, reason="the extra zstd is not installed")


@pytest.fixture(params=[".gz", ".xz", ".zst"])
def suffix(request: pytest.FixtureRequest) -> str:
    if request.param == ".zst":
        zstd()
    return str(request.param)


@pytest.fixture
def pack(suffix: str) -> Pack:
    return gzip.compress if suffix == ".gz" else lzma.compress if suffix == ".xz" else zstd().compress


def test_the_format_is_told_by_content_and_parts_are_joined(tmp_path: Path, pack: Pack) -> None:
    path = tmp_path / "text.de"
    path.write_bytes(pack(CONTENT) + pack(b"\xef\xbb\xbfEnde\r\n"))
    assert list(read_lines(path)) == [*LINES, "\ufeffEnde"]
    assert count_lines(path) is None
    path.write_bytes(pack(b""))
    assert list(read_lines(path)) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-4],
        lambda packed: packed[:6],
        lambda packed: packed[:-8] + b"\xff" * 8,
        lambda packed: packed[:20] + b"\xff" * 40 + packed[60:],
    ],
)
def test_damage_is_an_error_not_a_short_text(tmp_path: Path, suffix: str, pack: Pack, damage: Pack) -> None:
    path = tmp_path / f"text{suffix}"
    path.write_bytes(damage(pack(CONTENT)))
    program = {".gz": "gzip", ".xz": "xz", ".zst": "zstd"}[suffix]
    with pytest.raises(UserError, match=f"{path} is a truncated or damaged .*\n.*`{program} -t` checks it"):
        list(read_lines(path))


def test_an_output_is_compressed_as_its_name_says(tmp_path: Path, suffix: str) -> None:
    contents = []
    for name in ("eins", "zwei"):
        path = tmp_path / f"{name}.de{suffix}"
        with open_output(path) as file:
            file.writelines(f"{line}\n" for line in LINES)
        assert list(read_lines(path)) == LINES
        contents.append(path.read_bytes())
    assert contents[0] == contents[1], "neither time nor name is written"
    assert len(contents[0]) < len(CONTENT) / 2
    assert not list(tmp_path.glob(".nmt*"))


def test_a_stopped_run_goes_on_in_plain_text_and_compresses_at_the_end(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.de{suffix}"
    with contextlib.suppress(KeyboardInterrupt), ResumableOutput(path).open(resume=False) as file:
        file.write("eins\nzw")
        raise KeyboardInterrupt
    assert [found.name for found in tmp_path.iterdir()] == [f"{path.name}.partial"]
    assert list(ResumableOutput(path).lines()) == ["eins"]
    with ResumableOutput(path).open(resume=True) as file:
        file.write("zwei\n")
    assert list(read_lines(path)) == ["eins", "zwei"]
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes()[:2] != b"ei"


def test_without_the_package_a_message_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "text.zst"
    with pytest.raises(UserError, match=r"backports\.zstd.*\n.*nmt\[zstd\]"), open_output(path):
        pass
    with pytest.raises(UserError, match=r"backports\.zstd"):
        ResumableOutput(path)
    assert not list(tmp_path.iterdir())
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00\x00")
    with pytest.raises(UserError, match=r"backports\.zstd"):
        list(read_lines(path))


@pytest.mark.quick(".zst")
def test_a_small_file_that_expands_without_bound_is_refused(
    tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(pack(b"\n" * (1 << 23)))
    read: list[str] = []
    with pytest.raises(
        UserError, match=r"expands to far more bytes or lines than text does.*\n.*NMT_MAX_COMPRESSION_RATIO"
    ):
        read.extend(read_lines(path))
    assert len(read) < 10 * path.stat().st_size + (1 << 17), "before much work was done for the lines"
    path.write_bytes(pack(b"\n" * (1 << 16)))
    assert sum(1 for _ in read_lines(path)) == 1 << 16, "a short text may repeat itself"
    path.write_bytes(pack(b"\n" * (1 << 20)))
    monkeypatch.setenv("NMT_MAX_COMPRESSION_RATIO", "10000000")
    assert sum(1 for _ in read_lines(path)) == 1 << 20


@pytest.mark.quick(".zst")
def test_random_labels_compress_well_and_are_read(tmp_path: Path, pack: Pack) -> None:
    """A bit for each line is the shortest that a file of two labels can be."""
    labels = np.random.default_rng(1).choice([b"0\n", b"1\n"], 1 << 18)
    path = tmp_path / "labels"
    path.write_bytes(pack(b"".join(labels)))
    assert sum(1 for _ in read_lines(path)) == 1 << 18
