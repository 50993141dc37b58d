"""What all pictures share: invisible characters, the fonts of scripts, and the files."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from nmt.core.errors import UserError
from nmt.plotting import style
from nmt.plotting.style import Picture, font_families, visible, write_figure, write_figures


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("Haus 7", "Haus 7"),
        ("a\u3000c", "a\\u3000c"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("x" * 42, "x" * 42),
        ("x" * 43, "x" * 41 + "…"),
    ],
)
def test_visible(word: str, shown: str) -> None:
    assert visible(word) == shown


def test_fonts_are_chosen_by_what_they_cover(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    families = font_families(["abc"])
    assert families == ["DejaVu Sans"]
    covered = {"DejaVu Sans": "abc", "Noto Sans Kana": "かな", "DejaVu Serif": "猫か", "DejaVu Sans Mono": "ก"}
    monkeypatch.setattr(style, "_characters", lambda family: frozenset(covered.get(family, "")))
    monkeypatch.setattr(style, "_warned", set())
    assert font_families(["猫か", "abc", "ก"]) == ["DejaVu Sans", "DejaVu Sans Mono", "DejaVu Serif"]
    assert not capsys.readouterr().err
    for _ in range(2):
        font_families(["猫", "שλ"])
    message = capsys.readouterr().err
    assert message.count("Warning") == 1
    assert "the picture shows boxes: λ ש." in message
    assert "apt install fonts-noto-core fonts-noto-cjk" in message


def test_figures_are_pages_of_a_pdf_and_numbered_files_otherwise(tmp_path: Path) -> None:
    figures = [(number, Figure(figsize=(1, 1))) for number in (1, 2, 4)]
    assert write_figures(figures, tmp_path / "many.pdf") == [tmp_path / "many.pdf"]
    assert b"/Count 3" in (tmp_path / "many.pdf").read_bytes()
    written = write_figures(figures, tmp_path / "many.png")
    assert [path.name for path in written] == ["many-0001.png", "many-0002.png", "many-0004.png"]
    assert write_figures([(None, figures[0][1])], tmp_path / "one.SVG") == [tmp_path / "one.SVG"]
    assert write_figures([], tmp_path / "none.pdf") == []


def test_bad_paths_are_refused(tmp_path: Path) -> None:
    for name in ("links", "links.jpg"):
        with pytest.raises(UserError, match=name) as error:
            write_figure(Figure(), tmp_path / name)
        assert ".png, .svg, .pdf" in error.value.remedy
    for suffix in ("png", "pdf"):
        with pytest.raises(UserError, match="can't be written"):
            write_figure(Figure(), tmp_path / "missing" / f"links.{suffix}")


@pytest.mark.quick("png")
@pytest.mark.posix
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, suffix: str) -> None:
    """The disk is full in the middle of the new picture, for commands and for ``savefig`` of a notebook."""
    import resource

    path = tmp_path / f"links.{suffix}"
    path.write_bytes(b"old")
    picture = Picture(figsize=(3, 3))
    picture.subplots().plot([1, 2])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for write in (lambda: write_figure(picture, path), lambda: picture.savefig(path)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            with pytest.raises((UserError, OSError), match=r"(?i)file too large"):
                write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {path.name: b"old"}
        write()
        assert len(path.read_bytes()) > 2000
        path.write_bytes(b"old")
