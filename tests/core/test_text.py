"""Lines come in as they stand in the file and go out whole; failures name the file and line."""

import gzip
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fixture_types import RunNmt

from nmt.core.errors import UserError
from nmt.core.limits import LIMITS
from nmt.core.output import open_output
from nmt.core.text import count_lines, read_lines

FileWriter = Callable[[bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> FileWriter:
    def write_bytes(content: bytes) -> Path:
        path = tmp_path / "text.de"
        path.write_bytes(content)
        return path

    return write_bytes


def put_on_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))


# reading


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_dash_is_standard_input_whatever_the_locale(
    monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    put_on_stdin(monkeypatch, pack("\ufeffÄpfel\r\nBirnen".encode()))
    assert list(read_lines("-")) == ["Äpfel", "Birnen"]
    assert not sys.stdin.buffer.closed


@pytest.mark.parametrize(
    ("content", "line", "byte", "remedy"),
    [
        (b"gut\nsch\xf6n\n", "line 2", "byte 4 of the line is 0xf6", "-f LATIN1"),
        (b"gut\n" * 1200 + b"\xff\n", "line 1,201", "byte 1 of the line is 0xff", "iconv"),
        ("gut\n".encode("utf-16"), "line 1", "0xff", "-f UTF-16"),
        (b"\xed\xa0\x80\n", "line 1", "byte 1 ", "iconv"),
        (b"Gr\xc3", "line 1", "byte 3 ", "iconv"),
    ],
)
def test_not_utf8_names_file_line_and_byte(
    write: FileWriter, content: bytes, line: str, byte: str, remedy: str
) -> None:
    path = write(content)
    with pytest.raises(UserError) as caught:
        list(read_lines(path))
    assert f"{path}, {line}:" in caught.value.message
    assert byte in caught.value.message
    assert remedy in caught.value.remedy


def test_missing_file_suggests_the_nearest(tmp_path: Path) -> None:
    for name in ("train.de", "train.en", "val.de.zst"):
        (tmp_path / name).touch()

    def remedy_for(name: str) -> str:
        with pytest.raises(UserError, match=f"not found: .*{name}") as caught:
            list(read_lines(tmp_path / name))
        return caught.value.remedy

    assert remedy_for("trian.de") == f"Did you mean {tmp_path / 'train.de'}?"
    assert remedy_for("val.de") == f"Did you mean {tmp_path / 'val.de.zst'}?"
    assert "mean" not in remedy_for("train.fr")
    assert str(tmp_path / "nowhere") in remedy_for("nowhere/train.de")


def test_unreadable_files_are_named(write: FileWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(b"geheim\n")
    with pytest.raises(UserError, match="can't be read"):
        list(read_lines(path / "below"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # the superuser reads anything
    with pytest.raises(UserError, match=f"permission to read {path}"):
        list(read_lines(path))


# writing


def folder_content(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with open_output(path) as stream:
        stream.write("Grüße\n")
        stream.flush()
        assert not path.exists()
    assert path.read_bytes() == "Grüße\n".encode()
    assert folder_content(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, FileNotFoundError])
def test_a_failed_run_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before\n")
    with pytest.raises(error), open_output(path) as stream:  # noqa: PT012
        stream.write("half\n")
        raise error
    assert path.read_text() == "before\n"
    assert folder_content(tmp_path) == ["out.txt"]


@pytest.mark.posix
def test_rewriting_keeps_links_and_permissions(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "out.txt", tmp_path / "link.txt"
    real.write_text("before\n")
    real.chmod(0o640)
    link.symlink_to(real)
    with open_output(link) as stream:
        stream.write("after\n")
    assert link.is_symlink()
    assert real.read_text() == "after\n"
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.posix
@pytest.mark.parametrize("arguments", [["aer", "ZERO", "ZERO"], ["score", "ZERO", "ZERO"]])
@pytest.mark.parametrize("name", ["/dev/zero", "a file of one line"])
def test_a_line_without_an_end_is_refused(run_nmt: RunNmt, tmp_path: Path, arguments: list[str], name: str) -> None:
    path = Path(name)
    if not path.is_absolute():
        path = tmp_path / "file"
        with path.open("wb") as file:
            file.truncate(1 << 30)  # sparse: takes no space
    done = run_nmt(*(str(path) if argument == "ZERO" else argument for argument in arguments))
    assert done.returncode == 2
    assert ("is a device" if name == "/dev/zero" else "line 1: longer than 131,072 bytes") in done.stderr


@pytest.mark.posix
def test_devices_and_pipes_are_written_in_place(tmp_path: Path) -> None:
    with open_output("/dev/null") as stream:
        stream.write("weg\n")
    assert Path("/dev/null").is_char_device()

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        with open_output(pipe) as stream:
            stream.write("durch\n")
        assert reader.communicate()[0] == b"durch\n"
    assert pipe.is_fifo()


@pytest.mark.posix
def test_unwritable_places_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refusals = {
        tmp_path: "is a folder",
        tmp_path / "nowhere" / "out.txt": "no folder",
        tmp_path / "file" / "out.txt": "not a directory",
        tmp_path / ("x" * 300): "too long",
    }
    for path, reason in refusals.items():
        with pytest.raises(UserError, match=reason) as caught, open_output(path):
            pytest.fail("the block must not be entered")
        assert str(path) in caught.value.message


def test_a_read_only_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out.txt").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anywhere
    with pytest.raises(UserError, match="read-only"), open_output(tmp_path / "out.txt"):
        pass


needs_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@needs_full_device
@pytest.mark.parametrize("num_characters", [10, 1_000_000])
def test_a_full_disk_is_reported_with_the_path(num_characters: int) -> None:
    with pytest.raises(UserError, match="/dev/full can't be written: no space left"):  # noqa: SIM117
        with open_output("/dev/full") as stream:
            stream.write("x" * num_characters)


def run_writer(body: str, redirection: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that writes to standard output in a C locale, and tells what became of it."""
    program = f"import sys\nfrom nmt.core.output import open_output\nfrom nmt import UserError\n{body}"
    return subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "$0" {redirection}', program],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )


@pytest.mark.posix
def test_dash_is_standard_output_whatever_the_locale() -> None:
    body = "print('a')\nwith open_output('-') as out: out.write('ä\\n')\nprint('b')"
    result = run_writer(body, "")
    assert (result.stdout, result.stderr) == ("a\nä\nb\n", "")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_has_a_longest_length_that_can_be_raised(
    write: FileWriter, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = b"a" * LIMITS["NMT_MAX_LINE_BYTES"]
    assert [len(line) for line in read_lines(write(b"eins\n" + longest + end))] == [4, LIMITS["NMT_MAX_LINE_BYTES"]]
    path = write(b"eins\na" + longest + end)
    with pytest.raises(UserError, match=rf"line 2: longer than {LIMITS['NMT_MAX_LINE_BYTES']:,} bytes") as caught:
        list(read_lines(path))
    assert "NMT_MAX_LINE_BYTES" in caught.value.remedy
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", "400000")
    assert len(list(read_lines(path))) == 2


@pytest.mark.parametrize("value", ["viel", "0", "-1", "1e9", "9" * 5000])
def test_a_limit_that_is_no_number_is_an_error(write: FileWriter, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", value)
    with pytest.raises(UserError, match=r"NMT_MAX_LINE_BYTES is '.*not a positive number"):
        read_lines(write(b"eins\n"))


@pytest.mark.posix
def test_what_can_be_read_only_once_or_not_at_all_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(b"\x1f\x8b" + b"\n" * 9)
    assert count_lines(tmp_path / "packed") is None
    assert count_lines("/dev/null") is None
    assert count_lines(tmp_path / "missing") is None
    assert count_lines(tmp_path) is None
