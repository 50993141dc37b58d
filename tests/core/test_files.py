"""A file is complete or as it was, whatever is killed or written twice."""

import contextlib
import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from nmt.core.errors import UserError
from nmt.core.files import check_unused, explained, locked, new_folder, replacing


def test_what_a_killed_process_left_is_deleted_by_the_next_success(tmp_path: Path) -> None:
    body = f"""
        import os, signal
        from pathlib import Path
        from nmt.core.files import replacing
        with replacing(Path({str(tmp_path / "out")!r})) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(body)], check=False)
    assert len(list(tmp_path.glob(".nmt-*.tmp"))) == 1
    with replacing(tmp_path / "other") as ours:
        ours.write_text("ours")
        with replacing(tmp_path / "out") as temporary:
            temporary.write_text("whole")
        assert ours.exists(), "it belongs to a process that is alive"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_a_new_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with contextlib.suppress(KeyboardInterrupt), new_folder(folder) as temporary:
        (temporary / "half").write_text("a")
        raise KeyboardInterrupt
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]
    with new_folder(folder) as temporary:
        (temporary / "file").write_text("a")
        assert not folder.exists()
    assert (folder / "file").read_text() == "a"
    check_unused(tmp_path / "other")
    for used in (folder, folder / "file"):
        with pytest.raises(UserError, match="exists already"):
            check_unused(used)
    with pytest.raises(UserError, match=r"file exists already\.\n"), explained(folder / "file"):
        (folder / "file").mkdir()


def test_a_pipe_that_its_reader_has_closed_is_no_failure_to_write(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), explained(tmp_path / "out"):
        raise BrokenPipeError
    with pytest.raises(UserError, match="out can't be written: no space"), explained(tmp_path / "out"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_windows_holds_for_a_moment_is_renamed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, sleep = Mock(side_effect=[PermissionError] * 3 + [None]), Mock()
    monkeypatch.setattr("nmt.core.files.os", SimpleNamespace(**vars(os) | {"name": "nt", "replace": replace}))
    monkeypatch.setattr("nmt.core.files.time", SimpleNamespace(sleep=sleep))
    with replacing(tmp_path / "out") as temporary:
        temporary.touch()
    assert (replace.call_count, sleep.call_count) == (4, 3)


def test_one_process_at_a_time_writes_a_folder_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locking, path = Mock(side_effect=[None, PermissionError, None]), tmp_path / ".lock"
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", Mock(locking=locking))
    with locked(path, "first"), pytest.raises(UserError, match="second is being written"), locked(path, "second"):
        pass
    assert locking.call_count == 3, "the last one unlocks"


def test_the_traceback_of_an_error_under_a_lock_has_no_other_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as raised, locked(tmp_path / ".lock", "it"):
        _ = 1 / 0
    assert raised.value.__context__ is None
