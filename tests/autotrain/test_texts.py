"""Files of any kind as pairs of sentences, and the messages about those that are not."""

import gzip
import json
from pathlib import Path

import pytest

from nmt.autotrain.texts import languages_of, read_texts
from nmt.core.errors import UserError
from nmt.core.output import open_output

PAIRS = [("Ein Hund, zwei Katzen.", "A dog, two cats."), ("Ja.", "Yes.")]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("name", "text", "languages"),
    [
        ("a.tsv", "de\ten\n" + "".join(f"{s}\t{t}\n" for s, t in PAIRS), ("de", "en")),
        ("a.tsv", "".join(f"{s}\t{t}\n" for s, t in PAIRS), None),
        ("a.csv", "source,target\n" + "".join(f'"{s}","{t}"\n' for s, t in PAIRS), None),
        ("a.jsonl", "".join(json.dumps({"id": 3, "de": s, "en": t}) + "\n" for s, t in PAIRS), ("de", "en")),
        ("a.jsonl", "".join(json.dumps({"translation": {"de": s, "en": t}}) + "\n" for s, t in PAIRS), ("de", "en")),
        ("a.csv", "German;English\n" + "".join(f"{s};{t}\n".replace(" ", "\r") for s, t in PAIRS), ("de", "en")),
        ("a.csv", "id;de;en;note\n" + "".join(f"7;{s};{t};x\n" for s, t in PAIRS), ("de", "en")),
        ("a.csv", "de,en\n" + "".join(f'"{s}","{t}"\n'.replace(" ", "\n") for s, t in PAIRS), ("de", "en")),
        ("a.csv", "de,en\n\n" + "".join(f'"{s}","{t}"\n,\n' for s, t in PAIRS), ("de", "en")),
        ("a.csv", "DE, EN\n" + "".join(f'"{s}","{t}"\n' for s, t in PAIRS), ("de", "en")),
        ("a.jsonl", "".join(json.dumps({"de": s, "en": t}) + "\n\n" for s, t in [("x", None), *PAIRS]), ("de", "en")),
        ("a.tsv", "de\ten\n" + "".join(f'"{s}"\t"{t}"\n'.replace(" ", "\n") for s, t in PAIRS), ("de", "en")),
        ("a.csv", "".join(f'{s};"{t}"\n' for s, t in PAIRS), None),
        ("a.csv", "".join(f"{s}\t{t}\n" for s, t in PAIRS), None),
        ("a.csv", "sep=|\n" + "".join(f"{s}|{t}\n" for s, t in PAIRS), None),
        ("a.tsv", "id\tde\ten\n" + "".join(f"7\t{s}\t{t}\n" for s, t in PAIRS), ("de", "en")),
    ],
)
def test_a_table_is_read_by_the_languages_of_its_columns(
    tmp_path: Path, name: str, text: str, languages: tuple[str, str] | None
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    texts = read_texts([tmp_path / name])
    assert texts.train == PAIRS
    assert texts.languages == languages


def test_columns_named_by_their_side_have_the_languages_that_are_wanted(tmp_path: Path) -> None:
    write(tmp_path, a__csv="source,target\neins,one\n", b__csv="de,fr\neins,un\n")
    assert read_texts([tmp_path / "a.csv"], ("de", "en")).train == [("eins", "one")]
    with pytest.raises(UserError, match=r"has the columns de \(eins\), fr \(un\), not de and en"):
        read_texts([tmp_path / "b.csv"], ("de", "en"))


@pytest.mark.parametrize(
    ("header", "wanted", "languages"),
    [
        ("No.,Text (DE),Text/EN", ("Text (DE)", "Text/EN"), None),
        ("No.,German,English", ("German", "English"), ("de", "en")),
        ("3,null,zero", ("b", "c"), None),
        ("id,source,target", ("tlh", "Klingon"), ("tlh", "Klingon")),
    ],
)
def test_names_of_columns_are_no_languages(
    tmp_path: Path, header: str, wanted: tuple[str, str], languages: tuple[str, str] | None
) -> None:
    write(tmp_path, a__csv=f"{header}\n1,eins,one\n")
    texts = read_texts([tmp_path / "a.csv"], wanted)
    assert texts.train[-1] == ("eins", "one")
    assert texts.languages == languages


def test_files_are_paired_by_side_where_a_shell_sorts_them_by_their_endings(tmp_path: Path) -> None:
    for name in ("a.de", "a.en", "b.de.gz", "b.en.gz", "c.de", "c.en"):
        with open_output(tmp_path / name) as file:
            file.write(f"{name[:4]}\n")
    by_pair = [tmp_path / name for name in ("a.de", "a.en", "b.de.gz", "b.en.gz", "c.de", "c.en")]
    by_side = [*by_pair[::2], *by_pair[1::2]]
    for paths in (by_pair, by_side):
        texts = read_texts(paths)
        assert (texts.train, texts.languages) == ([("a.de", "a.en"), ("b.de", "b.en"), ("c.de", "c.en")], ("de", "en"))
    with pytest.raises(UserError, match=r"a\.de\.gz and .*a\.de are the same text"):
        read_texts([*by_pair, tmp_path / "a.de.gz", tmp_path / "a.de"])


def test_several_files_are_one_text_and_may_be_compressed(tmp_path: Path) -> None:
    write(tmp_path, a__de="eins\n", a__en="one\n", c__tsv="de\ten\ndrei\tthree\n")
    for name, text in (("b.de.gz", "zwei\n"), ("b.en.gz", "two\n")):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    paths = [tmp_path / name for name in ("a.de", "a.en", "b.de.gz", "b.en.gz", "c.tsv")]
    texts = read_texts(paths)
    assert sorted(texts.train) == [("drei", "three"), ("eins", "one"), ("zwei", "two")]
    assert texts.languages == ("de", "en")
    with pytest.raises(UserError, match="is en-de, not de-en as the text before"):
        read_texts([paths[0], paths[1], paths[3], paths[2]])


def test_it_is_said_that_a_text_has_more_pairs_than_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nmt.autotrain.texts.MAX_PAIRS", 2)
    write(tmp_path, a__de="eins\nzwei\n", a__en="one\ntwo\n", b__de="drei\nvier\n", b__en="three\nfour\n")
    first, second = ([tmp_path / f"{name}.{side}" for side in ("de", "en")] for name in "ab")
    assert read_texts(first).train == [("eins", "one"), ("zwei", "two")]
    assert "only the first" not in capsys.readouterr().err
    assert read_texts([*first, *second]).train == [("eins", "one"), ("zwei", "two")]
    assert capsys.readouterr().err.count("only the first 2 pairs are used") == 1
    write(tmp_path, c__de="1\n2\n3\n", c__en="1\n2\n")
    with pytest.raises(UserError, match="has 3 lines, but"):
        read_texts([tmp_path / "c.de", tmp_path / "c.en"])


def test_a_folder_has_its_splits(tmp_path: Path) -> None:
    write(tmp_path, train__de="eins\n", train__en="one\n", dev__de="zwei\n", dev__en="two\n", test__tsv="drei\tthree\n")
    texts = read_texts([tmp_path])
    assert (texts.train, texts.valid, texts.test) == ([("eins", "one")], [("zwei", "two")], [("drei", "three")])
    assert read_texts([tmp_path], ("en", "de")).train == [("one", "eins")]
    write(tmp_path, train__fr="un\n", dev__fr="deux\n")
    texts = read_texts([tmp_path], ("en", "fr"))
    assert (texts.train, texts.valid, texts.test) == ([("one", "un")], [("two", "deux")], [("drei", "three")])
    with pytest.raises(UserError, match=r"without its translation(.|\n)*data\.source="):
        read_texts([tmp_path])
    write(tmp_path, own__a="mon\n", own__b="my\n")
    files = [tmp_path / name for name in ("train.fr", "train.en", "own.a", "own.b", "train.de")]
    assert read_texts(files, ("fr", "en")).train == [("un", "one"), ("mon", "my")], "other names are no other languages"
    (tmp_path / "train.fr").unlink()
    write(tmp_path, train__x__de="vier\n", train__x__en="four\n")
    assert {*read_texts([tmp_path], ("en", "de")).train} == {("one", "eins"), ("four", "vier")}
    (tmp_path / "train.de.gz").write_bytes(gzip.compress(b"eins\n"))
    with pytest.raises(UserError, match=r"train\.de and .*train\.de\.gz are the same text"):
        read_texts([tmp_path])
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"(?s)no files train\.\*.*as \*\.de \*\.en"):
        read_texts([tmp_path / "none"])
    write(tmp_path / "none", train__2__de="zwei\n", train__1__de="eins\n", train__1__en="one\n", train__2__en="two\n")
    assert read_texts([tmp_path / "none"]).train == [("eins", "one"), ("zwei", "two")], "parts"


def test_folders_beside_the_text_have_synthetic_pairs(tmp_path: Path) -> None:
    bt = tmp_path / "bt"
    bt.mkdir()
    write(bt, train__de="zwei\n", train__en="two\n", train__scores="-1.5\n", valid__de="drei\n", valid__en="three\n")
    write(tmp_path, a__de="eins\n", a__en="one\n")
    texts = read_texts([tmp_path / "a.de", tmp_path / "a.en", bt])
    assert (texts.train, texts.valid, texts.synthetic) == ([("eins", "one")], [], [("zwei", "two")])
    texts = read_texts([bt, bt])
    assert (texts.train, texts.valid, texts.synthetic) == ([("zwei", "two")], [("drei", "three")], [("zwei", "two")])
    assert read_texts([tmp_path / "a.en", tmp_path / "a.de", bt]).synthetic == [("two", "zwei")], "as the text before"
    write(bt, train__fr="deux\n")
    (bt / "train.de").unlink()
    with pytest.raises(UserError, match="is fr-en, not de-en as the text before"):
        read_texts([tmp_path / "a.de", tmp_path / "a.en", bt])


@pytest.mark.extension("cleaning")
def test_it_is_said_where_two_files_part(tmp_path: Path) -> None:
    lines = ["word " * (1 + n * 7 % 13) for n in range(300)]
    (tmp_path / "a.de").write_text("\n".join(lines) + "\n")
    (tmp_path / "a.en").write_text("\n".join(lines[:200] + lines[201:]) + "\n")
    with pytest.raises(UserError, match=r"300 lines, but .*299; they seem to part near line 20[0-2]"):
        read_texts([tmp_path / "a.de", tmp_path / "a.en"])
    (tmp_path / "a.en").write_text("\n".join(lines[:200]) + "\n")
    with pytest.raises(UserError, match="line 201 and those after it are alone"):
        read_texts([tmp_path / "a.de", tmp_path / "a.en"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.de"], "comes without its translation.*\nGive two files.* Of several languages"),
        (["tabs.txt"], "comes without its translation.*\nGive two files.* Its lines have tabs: call it .tsv"),
        (["a.de", "a.de"], "given as the source and as the target"),
        (["a.de", "none.en"], "File not found"),
        (["a.de", "a.en", "none"], "File not found"),
        (["utf16.de", "a.en"], "UTF-16"),
        (["three.tsv"], r"has the columns a \(x\), b \(y\), c \(z\), of which two are to be source and target"),
        (["ragged.tsv"], r"row 2 has 3 columns, but the first has 2"),
        (["quoted.tsv"], r"row 5 has 1 column, but the first has 2"),
        (["bad.jsonl"], "line 1: this is no JSON object"),
        (["empty.tsv"], "has no pairs"),
        (["one.csv"], "has one column, but two columns are needed.\nGive every row both. In .csv, put quotes"),
        (["one.jsonl"], "No line of .* has two texts; its first one has the fields de, n.\nEach line must be like"),
        (["empty.jsonl"], "No line of .* has two texts"),
        (["quotes.csv"], "line 1: field larger than field limit"),
        (["x" * 300, "a.en"], "File name too long"),
    ],
)
def test_text_that_cannot_be_read_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    write(tmp_path, a__de="eins\n", a__en="one\n", three__tsv="x\ty\tz\n", ragged__tsv="de\ten\na\tb\tc\n",
          bad__jsonl="[]\n", empty__tsv="", one__jsonl='\n{"de": "a", "n": 5}\n', empty__jsonl="", tabs__txt="a\tb\n",
          quoted__tsv='"a\tb\nc\td\n' * 2 + "e\n", quotes__csv='a,"' + "b" * 140_000,
          one__csv="eins\n")  # fmt: skip
    (tmp_path / "utf16.de").write_text("eins\n", "utf-16")
    with pytest.raises(UserError, match=message):
        read_texts([tmp_path / name for name in names], ("x", "y") if names == ["none"] else None)


@pytest.mark.parametrize(
    ("source", "target", "languages"),
    [
        ("texts.de", "texts.en.gz", ("de", "en")),
        ("de.txt", "en.txt", ("de", "en")),
        ("corpus.de-en.de.txt", "corpus.de-en.en.txt", ("de", "en")),
        ("news_de.txt", "news_en.txt", ("de", "en")),
        ("app.pt-BR", "app.en", ("pt-BR", "en")),
        ("german.txt", "english.txt.zst", None),
        ("x.txt", "y.txt", None),
        ("text.src", "text.tgt", None),
        ("text.1", "text.2", None),
        ("a/text", "b/text", None),
    ],
)
def test_languages_are_those_of_the_file_names(source: str, target: str, languages: tuple[str, str] | None) -> None:
    assert languages_of(Path(source), Path(target)) == languages
