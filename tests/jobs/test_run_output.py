"""What a stopped run leaves can be taken up; the file itself is whole or as it was."""

import contextlib
from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.jobs.run import ResumableOutput


def stop_after(path: Path, text: str, resume: bool = False) -> None:
    with contextlib.suppress(KeyboardInterrupt), ResumableOutput(path).open(resume) as file:
        file.write(text)
        raise KeyboardInterrupt


def test_a_stopped_run_goes_on_after_its_last_complete_line(tmp_path: Path) -> None:
    path = tmp_path / "out.en"
    path.write_text("von früher\n", encoding="utf-8")
    stop_after(path, "eins\nzwei\u2028\nhal")
    output = ResumableOutput(path)
    assert list(output.lines()) == ["eins", "zwei\u2028"]
    assert path.read_text(encoding="utf-8") == "von früher\n"
    stop_after(path, "drei\nvierundzwanzig", resume=True)  # longer than what comes in its place
    with output.open(resume=True) as file:
        assert output.num_lines == 3
        file.write("vier\n")
    assert path.read_text(encoding="utf-8") == "eins\nzwei\u2028\ndrei\nvier\n"
    assert output.num_lines == 0


def test_nothing_done_leaves_nothing(tmp_path: Path) -> None:
    stop_after(tmp_path / "out.en", "")
    assert list(tmp_path.iterdir()) == []
    with ResumableOutput(tmp_path / "out.en").open(resume=True) as file:
        file.write("eins\n")
    assert (tmp_path / "out.en").read_text() == "eins\n"


@pytest.mark.posix
def test_what_is_no_file_can_not_be_resumed(tmp_path: Path) -> None:
    for name in ("-", "/dev/null"):
        assert ResumableOutput(name).partial is None
        with pytest.raises(UserError, match="--resume needs an output file"), ResumableOutput(name).open(resume=True):
            pass
    with pytest.raises(UserError, match="no folder"):
        ResumableOutput(tmp_path / "no" / "out.en")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="can't be written: not a directory"):
        ResumableOutput(tmp_path / "file" / "out.en")


@pytest.mark.posix
def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("alt")
    real.chmod(0o640)
    link.symlink_to(real)
    with ResumableOutput(link).open(resume=False) as file:
        file.write("neu\n")
    assert link.is_symlink()
    assert real.read_text() == "neu\n"
    assert real.stat().st_mode & 0o777 == 0o640
