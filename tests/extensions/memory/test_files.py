"""TMX and CSV files of translation memories."""

from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.extensions.memory.files import read_memory, write_memory
from nmt.extensions.memory.memory import Entry

ENTRIES = [
    Entry('Ein Hund, <b>zwei</b> & "drei".', "A dog; 'two' ]]>", "20260102T030405Z"),
    Entry("Zeile eins\nZeile zwei\tTab", "line one\n\n line two \u2028 \U0001f600 \x85", "20260102T030406Z"),
    Entry("a,b", "=1+1", "20260102T030407Z"),
]


@pytest.mark.parametrize("name", ["memory.tmx", "memory.csv"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(UserError, match="no file of a translation memory"):
        write_memory(ENTRIES, f"{path}.gz", "de", "en")
    assert write_memory(ENTRIES, path, "de", "en") == 3
    assert read_memory(path, "de", "en") == ENTRIES
    assert [entry.target for entry in read_memory(path, "en", "de")] == [entry.source for entry in ENTRIES]
    with pytest.raises(UserError, match=r"no entries from|not the languages"):
        read_memory(path, "fr", "en")


@pytest.mark.parametrize("mark", [";", "\t"])
def test_csv_of_a_spreadsheet(tmp_path: Path, mark: str) -> None:
    (tmp_path / "a.csv").write_text(f'de-DE{mark}en\nHund, groß{mark}"dog{mark} large"\n', "utf-8-sig", newline="\r\n")
    assert read_memory(tmp_path / "a.csv", "de", "en") == [Entry("Hund, groß", f"dog{mark} large")]
    (tmp_path / "b.csv").write_text('de,en,"note; or; more;"\nHund,dog,none\n', "utf-8")
    assert read_memory(tmp_path / "b.csv", "de", "en") == [Entry("Hund", "dog", "")]


def test_tmx_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "other.tmx"
    path.write_text(
        '<?xml version="1.0"?><!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header/><body>'
        '<tu creationdate="20200101T000000Z"><tuv xml:lang="DE-AT"><seg><bpt i="1">&lt;b></bpt>Ein <hi>Hund</hi>'
        '<ept i="1">&lt;/b></ept>.</seg></tuv><tuv lang="en"><seg>A dog.</seg></tuv><tuv xml:lang="en-GB">'
        "<seg>A hound.</seg></tuv></tu><tu><tuv xml:lang='de'><seg>Allein</seg></tuv></tu></body></tmx>"
    )
    expected = [Entry("Ein Hund.", "A dog.", "20200101T000000Z")]
    assert read_memory(path, "de", "en") == expected
    text = path.read_text().replace("<tmx", '<tmx xmlns="http://www.lisa.org/tmx14"')
    path.write_text(text.replace("1.0?>", "1.0' encoding='UTF-16'?>"), "utf-16")
    assert read_memory(path, "de", "en") == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tmx", '<!DOCTYPE tmx [<!ENTITY a "b">]><tmx>&a;</tmx>', "document type"),
        ("a.tmx", "<tmx><body>", "not well-formed"),
        ("a.csv", 'de,en\n"a,b\n', "is damaged"),
        ("a.csv", "", "not the languages"),
        ("a.csv", "de,en\nHund, groß,dog\n", "Line 2 has 3 columns, but line 1 has 2"),
        ("a.csv", "de,en\nHund\n", "Line 2 has 1 columns"),
        ("a.csv", "de,en\nHund,dog\n" + "a," * 600_000, r"Line 3 has 1,200,000 characters, more than 1,048,576"),
        ("a.po", "", "no file of a translation memory"),
    ],
    ids=lambda value: value[:40],
)
def test_a_file_that_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_memory(path, "de", "en")


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("de,en\na,b\n")
    monkeypatch.setattr("nmt.extensions.memory.files.MAX_BYTES", 5)
    with pytest.raises(UserError, match="more than"):
        read_memory(path, "de", "en")
