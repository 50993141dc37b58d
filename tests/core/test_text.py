"""Lines come in as they stand in the file and go out whole; failures name the file and line."""

import bz2
import gzip
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from nmt.core.errors import UserError
from nmt.core.limits import LIMITS
from nmt.core.output import open_output
from nmt.core.text import WORD, count_lines, in_windows, read_lines


def test_words_of_text_without_spaces_are_its_characters() -> None:
    counts = {"one two  three ": 3, "他" * 40: 40, "他" * 9: 9, "用 Python 写的": 4, "": 0}
    assert {text: len(WORD.findall(text)) for text in counts} == counts


def written(folder: Path, content: bytes) -> Path:
    path = folder / "text.de"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_dash_is_standard_input_whatever_the_locale(
    monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    content = io.BytesIO(pack("\ufeffÄpfel\r\nBirnen".encode()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content, encoding="ascii"))
    assert list(read_lines("-")) == ["Äpfel", "Birnen"]
    assert not sys.stdin.buffer.closed


@pytest.mark.parametrize(
    ("content", "line", "byte", "remedy"),
    [
        (b"gut\nsch\xf6n\n", "line 2", "byte 4 of the line is 0xf6", "in an editor.* -f LATIN1"),
        (b"gut\n" * 1200 + b"\xff\n", "line 1,201", "byte 1 of the line is 0xff", "iconv"),
        ("gut\n".encode("utf-16"), "line 1", "0xff", "-f UTF-16"),
        (b"\xed\xa0\x80\n", "line 1", "byte 1 ", "iconv"),
        (b"Gr\xc3", "line 1", "byte 3 ", "iconv"),
    ],
)
def test_not_utf8_names_file_line_and_byte(tmp_path: Path, content: bytes, line: str, byte: str, remedy: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(UserError, match=f"{path}, {line}:.*{byte}.*\n.*{remedy}"):
        list(read_lines(path))


@pytest.mark.parametrize(
    "content",
    [
        bz2.compress(b"gut\n"),
        b"PK\3\4\n",
        b"7z\xbc\xaf\x27\x1c\n",
        b"%PDF-1.7\n",
        b"\xd0\xcf\x11\xe0",
        b"\xde\x12\x04\x95\0",
    ],
    ids=["bzip2", "zip and .docx", "7-Zip", "PDF", ".doc", ".mo"],
)
def test_formats_that_are_not_read_are_no_text(tmp_path: Path, content: bytes) -> None:
    message = r"text\.de is an archive, office file.*not text.*\n.*\.csv, also compressed: \.gz, \.xz, \.zst"
    with pytest.raises(UserError, match=message):
        list(read_lines(written(tmp_path, content), keep_invalid=True))


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


def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, b"geheim\n")
    with pytest.raises(UserError, match="can't be read"):
        list(read_lines(path / "below"))
    monkeypatch.setattr("builtins.open", Mock(side_effect=PermissionError))  # the superuser reads anything
    with pytest.raises(UserError, match=f"permission to read {path}"):
        list(read_lines(path))
    with pytest.raises(UserError, match="is a folder, not a file"):  # which Windows refuses to open, too
        list(read_lines(tmp_path))


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with open_output(path) as stream:
        stream.write("Grüße\n")
        stream.flush()
        assert not path.exists()
    assert path.read_bytes() == "Grüße\n".encode()
    assert os.listdir(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, FileNotFoundError])
def test_a_failed_run_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before\n")
    with pytest.raises(error), open_output(path) as stream:  # noqa: PT012
        stream.write("half\n")
        raise error
    assert path.read_text() == "before\n"
    assert os.listdir(tmp_path) == ["out.txt"]


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
def test_a_device_without_an_end_is_refused() -> None:
    with pytest.raises(UserError, match="/dev/zero is a device"):
        list(read_lines("/dev/zero"))


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
        with pytest.raises(UserError, match=f"{path}.*{reason}"), open_output(path):
            pytest.fail("the block must not be entered")


def test_a_read_only_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out.txt").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anywhere
    with pytest.raises(UserError, match="read-only"), open_output(tmp_path / "out.txt"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("num_characters", [10, 1_000_000])
def test_a_full_disk_is_reported_with_the_path(num_characters: int) -> None:
    with pytest.raises(UserError, match="/dev/full can't be written: no space left"):  # noqa: SIM117
        with open_output("/dev/full") as stream:
            stream.write("x" * num_characters)


@pytest.mark.posix
def test_dash_is_standard_output_whatever_the_locale() -> None:
    program = "from nmt.core.output import open_output\nprint('a')\nwith open_output('-') as out: out.write('ä\\n')\n"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", f"{program}print('b')"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)
    assert (result.stdout, result.stderr) == ("a\nä\nb\n", "")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_has_a_longest_length_that_can_be_raised(
    tmp_path: Path, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = LIMITS["NMT_MAX_LINE_BYTES"]
    path = written(tmp_path, b"eins\n" + b"a" * limit + end)
    assert [len(line) for line in read_lines(path)] == [4, limit]
    written(tmp_path, b"eins\na" + b"a" * limit + end)
    with pytest.raises(UserError, match=rf"line 2: longer than {limit:,} bytes.*\n.*NMT_MAX_LINE_BYTES"):
        list(read_lines(path))
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", "400000")
    assert len(list(read_lines(path))) == 2


@pytest.mark.parametrize("value", ["viel", "0", "-1", "1e9", "9" * 5000])
def test_a_limit_that_is_no_number_is_an_error(tmp_path: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", value)
    with pytest.raises(UserError, match=r"NMT_MAX_LINE_BYTES is '.*not a positive number"):
        read_lines(written(tmp_path, b"eins\n"))


@pytest.mark.posix
def test_what_can_be_read_only_once_or_not_at_all_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(b"\x1f\x8b" + b"\n" * 9)
    assert count_lines(tmp_path / "packed") is None
    assert count_lines("/dev/null") is None
    assert count_lines(tmp_path / "missing") is None
    assert count_lines(tmp_path) is None


# pipes: answered as it comes, and still read in full windows when there is much of it


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def write_in_steps(fifo: Path, steps: list[bytes], go_on: threading.Semaphore) -> threading.Thread:
    """Writes a step each time it is told to go on."""

    def run() -> None:
        with fifo.open("wb", buffering=0) as file:
            for step in steps:
                go_on.acquire(timeout=300)
                file.write(step)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.posix
def test_a_window_ends_where_the_writer_waits(fifo: Path) -> None:
    go_on = threading.Semaphore()
    writer = write_in_steps(fifo, [b"eins\n", b"zwei\ndrei\n", b"vi", b"er\r\n\nf\xc3\xbcnf"], go_on)
    windows = []
    for window in in_windows(read_lines(fifo), 100):
        windows.append(window)
        go_on.release()
        if len(windows) == 2:
            go_on.release()  # half a line is nothing to translate
    writer.join(20)
    assert windows == [["eins"], ["zwei", "drei"], ["vier", "", "fünf"]]


@pytest.mark.posix
@pytest.mark.parametrize("size", [1, 3, 50])
def test_pipes_and_files_give_the_same_lines(fifo: Path, tmp_path: Path, size: int) -> None:
    content = "\ufeffeins\r\n\nzw\rei\u2028\x00\n\x85drei\n".encode() * 7 + b"ohne Ende"
    (tmp_path / "file").write_bytes(content)
    write_in_steps(fifo, [content[:50], content[50:51], content[51:]], threading.Semaphore(3))
    found = [line for window in in_windows(read_lines(fifo), size) for line in window]
    assert found == list(read_lines(tmp_path / "file"))


@pytest.mark.posix
def test_a_line_without_an_end_is_refused_before_it_fills_memory() -> None:
    program = "from nmt.core.text import *; list(in_windows(read_lines('-'), 9))"
    command = f'(echo eins; head -c 8G /dev/zero) | "{sys.executable}" -c "{program}"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "standard input, line 2: longer than 131,072 bytes" in done.stderr
