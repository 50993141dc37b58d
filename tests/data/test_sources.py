"""Parallel text comes out the same from every kind of source, and what is wrong with it is named."""

import gzip
import io
import lzma
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.data.opening import open_corpus, open_text
from nmt.data.sources import FileText
from nmt.recipe.schema import DataOptions, FilePair

PAIRS = [("ein Hund", "a dog"), ("", ""), ("zwei Kätzchen", "two kittens"), ("Ende", "end")]
Pairs = Iterable[tuple[str, str]]


def options(root: Path | None = None, **values: Any) -> DataOptions:
    return DataOptions(**{"root": root, "source": "de", "target": "en", **values})


def write(folder: Path, kind: str = "files", name: str = "train", pairs: Pairs = PAIRS, end: str = "\n") -> None:
    """Writes two files or a table, whose columns are in another order, beside a column of numbers."""
    files = {f"{name}.{language}": [pair[side] for pair in pairs] for side, language in enumerate(("de", "en"))}
    if kind == "tsv":
        rows = (f"{english}\t{n}\t{german}" for n, (german, english) in enumerate(pairs))
        files = {f"{name}.tsv": ["en\tid\tde", *rows]}
    for file, lines in files.items():
        (folder / file).write_bytes("".join(line + end for line in lines).encode())


@pytest.mark.parametrize("kind", ["files", "tsv"])
@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_every_form_of_file_gives_the_same_pairs(tmp_path: Path, kind: str, suffix: str) -> None:
    """Compressed ones have a byte-order mark and the line ends of Windows; in the others, the last line has no end."""
    write(tmp_path, kind, end="\r\n" if suffix else "\n")
    pack = {".gz": gzip.compress, ".xz": lzma.compress, "": bytes}[suffix]
    for path in list(tmp_path.iterdir()):
        content = b"\xef\xbb\xbf" + path.read_bytes() if suffix else path.read_bytes()[:-1]
        path.unlink()
        path.with_name(path.name + suffix).write_bytes(pack(content))
    text = open_text(options(tmp_path), "train")
    assert list(text) == PAIRS
    assert list(text) == PAIRS, "it can be read again"


def test_standard_input_and_names_that_cannot_be_are_no_files_to_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    (tmp_path / "-").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "train.de").read_bytes())))
    assert list(FileText(Path("-"), Path("train.en")).checked()) == PAIRS
    with pytest.raises(UserError, match="can't be read"):
        list(FileText(Path(300 * "x"), Path("train.en")).checked())


def test_files_are_sought_in_the_root_unless_the_current_folder_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, here = tmp_path / "root", tmp_path / "here"
    for folder, pairs in ((root, PAIRS), (here, PAIRS[:1])):
        folder.mkdir()
        write(folder, pairs=pairs)
        write(folder, "tsv", "more", pairs)
        (folder / "more.jsonl").write_text("".join(f'{{"de": "{de}", "en": "{en}"}}\n' for de, en in pairs), "utf-8")
    pair = FilePair(source=Path("train.de"), target=Path("train.en"))
    corpora = [{"name": "a", "source": "train.de", "target": "train.en"}, {"name": "b", "tsv": "more.tsv"},
               {"name": "c", "jsonl": "more.jsonl"}]  # fmt: skip
    given = options(root, corpora=corpora)
    for folder, pairs in ((tmp_path, PAIRS), (here, PAIRS[:1])):
        monkeypatch.chdir(folder)
        assert list(open_text(given, pair)) == pairs
        assert [list(open_corpus(given, corpus)) for corpus in given.corpora] == [pairs] * 3


@pytest.mark.parametrize(("longer", "counts"), [("de", (6, 4)), ("en", (4, 6))])
def test_different_numbers_of_lines_are_both_named(tmp_path: Path, longer: str, counts: tuple[int, int]) -> None:
    write(tmp_path)
    with (tmp_path / f"train.{longer}").open("a") as file:
        file.write("mehr\nund mehr\n")
    message = rf"train\.de has {counts[0]} lines, but .*train\.en has {counts[1]}\."
    with pytest.raises(UserError, match=message):
        list(open_text(options(tmp_path), "train"))


def test_both_sides_cannot_come_from_standard_input() -> None:
    with pytest.raises(UserError, match="Only one side can come from standard input"):
        FileText(Path("-"), Path("-"))


@pytest.mark.parametrize("stored", ["val", "valid", "validation", "dev"])
@pytest.mark.parametrize("kind", ["files", "tsv"])
def test_any_name_of_the_validation_split_will_do(tmp_path: Path, stored: str, kind: str) -> None:
    write(tmp_path, kind, stored)
    chosen = options(tmp_path)
    for name in ("val", "dev"):
        assert list(open_text(chosen, name)) == PAIRS
    with pytest.raises(UserError, match="test"):
        open_text(chosen, "test")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("eins\tone", r"train\.tsv, line 6: 2 columns where line 1 has 3"),
        ("a\tb\tc\td", r"train\.tsv, line 6: 4 columns where line 1 has 3"),
        ("", r"train\.tsv, line 6: 1 columns where line 1 has 3"),
    ],
)
def test_a_bad_line_of_a_tsv_is_named(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path, "tsv")
    with (tmp_path / "train.tsv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=message):
        list(open_text(options(tmp_path), "train"))


def test_missing_files_are_named_with_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, name="training")
    (tmp_path / "train.de").write_text("ein Hund\n")
    message = f"There is no {tmp_path}/train.de and {tmp_path}/train.en"
    remedy = r"holds train\.de, training\.de, training\.en\..*data\.source \(now de\)"
    with pytest.raises(UserError, match=f"{message}.*\n.*{remedy}"):
        open_text(options(tmp_path), "train")


def test_a_fingerprint_changes_with_text_and_direction_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "tsv", "other")
    turned = options(tmp_path, source="en", target="de")

    def fingerprints() -> list[str]:
        return [open_text(o, name).fingerprint() for o in (options(tmp_path), turned) for name in ("train", "other")]

    before = fingerprints()
    assert len(set(before)) == 4
    for path in tmp_path.iterdir():
        path.touch()
    assert fingerprints() == before
    for kind, name in (("files", "train"), ("tsv", "other")):
        write(tmp_path, kind, name, [*PAIRS[:-1], ("Ende", "End")])
    assert not set(fingerprints()) & set(before)


def test_files_win_over_the_hub(tmp_path: Path) -> None:
    write(tmp_path)
    assert list(open_text(options(tmp_path, hub="no/such-set"), "train")) == PAIRS


@pytest.mark.posix
def test_what_is_no_text_is_refused_before_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "valid.de"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: takes no space, but reading all of it takes many minutes
    with pytest.raises(UserError, match="line 1: longer than"):
        FileText(path, path).fingerprint()


def test_the_sources_of_nmt_can_be_named_like_outside_ones(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("de\ten\neins\tone\n")
    (tmp_path / "a.jsonl").write_text('{"de": "eins", "en": "one"}\n')
    for language, word in {"de": "eins", "en": "one"}.items():
        (tmp_path / f"a.{language}").write_text(f"{word}\n")
    choices: list[dict[str, Any]] = [
        {"type": "tsv", "path": tmp_path / "a.tsv"},
        {"type": "jsonl", "path": tmp_path / "a.jsonl"},
        {"type": "files", "source": tmp_path / "a.de", "target": tmp_path / "a.en"},
    ]
    for text in choices:
        assert list(open_text(DataOptions(source="de", target="en", text=text), "train")) == [("eins", "one")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ({"path": "x"}, "data.text has no type"),
        ({"type": "numbrs"}, "there is no text source 'numbrs'"),
        ({"type": "tsv", "file": "x"}, "unknown key 'file'"),
    ],
)
def test_a_wrong_text_source_is_refused(text: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        open_text(DataOptions(source="de", target="en", text=text), "train")
