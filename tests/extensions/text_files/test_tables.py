"""Translators' files as training text."""

from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.extensions.text_files.tables import read_table, translation_units

TMX = (
    '<!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header srclang="en-US"/><body>'
    '<tu><tuv xml:lang="DE-AT"><seg><bpt i="1">&lt;b></bpt>Ein Hund<ept i="1">&lt;/b></ept>.</seg></tuv>'
    '<tuv xml:lang="en"><seg>A dog.</seg></tuv><tuv xml:lang="en-GB"><seg>A hound.</seg></tuv></tu></body></tmx>'
)
XLIFF_1 = (
    '<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2"><file source-language="de" '
    'target-language="en">'
    "<body><trans-unit id='1'><source>Ein <g id='1'>Hund</g>.</source><target>A dog.</target></trans-unit>"
    "<trans-unit id='2'><source>Allein.</source></trans-unit>"
    "<trans-unit id='3'><source>Neu.</source><target state='needs-review-translation'>New.</target></trans-unit>"
    "</body></file></xliff>"
)
XLIFF_2 = (
    '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="de-AT" trgLang="en"><file id="f">'
    "<unit id='1'><segment><source>Ein Hund.</source><target>A dog.</target></segment>"
    "<segment state='initial'><source>Neu.</source><target>New.</target></segment></unit></file></xliff>"
)


@pytest.mark.parametrize(
    ("name", "text", "languages"),
    [
        ("a.tmx", TMX, ["en", "de"]),
        ("b.tmx", TMX.replace("<tmx", '<tmx xmlns="x:y"'), ["en", "de"]),
        ("a.xlf", XLIFF_1, ["de", "en"]),
        ("a.xliff", XLIFF_2, ["de", "en"]),
    ],
)
def test_units_have_both_languages_with_the_source_first(
    tmp_path: Path, name: str, text: str, languages: list[str]
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    (unit,) = translation_units(tmp_path / name)
    assert unit == {"de": "Ein Hund.", "en": "A dog."}
    assert list(unit) == languages


@pytest.mark.parametrize(("text", "message"), [("<html/>", "neither TMX nor XLIFF"), ("<tmx>", "not well-formed")])
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.tmx").write_text(text, "utf-8")
    with pytest.raises(UserError, match=message):
        list(translation_units(tmp_path / "a.tmx"))


def test_a_file_whose_translations_need_review_says_that_they_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.xliff").write_text(XLIFF_2.replace("<segment>", "<segment state='initial'>"), "utf-8")
    with pytest.raises(UserError, match="no pairs of sentences") as caught:
        read_table(tmp_path / "a.xliff", ".xliff", None)
    assert "unreviewed" in (caught.value.remedy or "")


def test_a_catalogue_gives_the_messages_that_are_translated_and_not_fuzzy(tmp_path: Path) -> None:
    messages = (
        'msgid ""\nmsgstr "Language: de\\n"\n',
        'msgid "A dog."\nmsgstr ""\n"Ein "\n"Hund."\n',
        'msgid "%d cat"\nmsgid_plural "%d cats"\nmsgstr[0] "%d Katze"\nmsgstr[1] "%d Katzen"\n',
        '#, fuzzy\nmsgid "A cow."\nmsgstr "Ein Hund."\n',
        'msgid "Not yet."\nmsgstr ""\n',
        '#~ msgid "Old."\n#~ msgstr "Alt."\n',
    )
    messages += ('msgid "%d cow"\nmsgid_plural "%d cows"\nmsgstr[1] "%d Kühe"\n',)
    (path := tmp_path / "de.po").write_text("\ufeff" + "\n".join(messages), "utf-8")
    languages, pairs = read_table(path, ".po", ("en", "de"))
    assert languages == ("en", "de")
    assert list(pairs) == [("A dog.", "Ein Hund."), ("%d cat", "%d Katze"), ("%d cow", "%d Kühe")]
    head = 'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=n==1;\\n"\n'
    path.write_text(f"{head}\n{messages[2]}", "utf-8")
    assert list(read_table(path, ".po", None)[1]) == [("%d cat", "%d Katzen")], "form 1 is for one thing"
    path.write_text("\n".join(messages[3:6]), "utf-8")
    assert read_table(path, ".po", None) == (None, ()), "one of many catalogues may have no translations yet"
    path.write_text('msgid "A dog."\nno catalogue', "utf-8")
    with pytest.raises(UserError, match=r"de\.po is not a PO file: Syntax error in po file \(line 2\)"):
        read_table(path, ".po", None)


@pytest.mark.parametrize("header", ["source,target", "note, target, source", "TRG,src"])
def test_columns_of_sides_are_read_by_their_names(tmp_path: Path, header: str) -> None:
    sides = {"source": "A dog.", "src": "A dog.", "target": "Ein Hund.", "trg": "Ein Hund.", "note": "x"}
    cells = ",".join(sides[name.strip().lower()] for name in header.split(","))
    (tmp_path / "a.csv").write_text(f"{header}\n{cells}\n", "utf-8")
    for wanted in (None, ("en", "de")):
        languages, pairs = read_table(tmp_path / "a.csv", ".csv", wanted)
        assert languages == wanted
        assert list(pairs) == [("A dog.", "Ein Hund.")]


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ('Er sagte\tHe said\n"""Ja"", sagt er."\tYes.\n', [("Er sagte", "He said"), ('"Ja", sagt er.', "Yes.")]),
        ('"Ja,\nja."\tYes.\nNein.\tNo.\n', [("Ja, ja.", "Yes."), ("Nein.", "No.")]),
        (
            '"Ja," sagt er.\t"Yes," he says.\n"Ja."\t"Yes."\n',
            [('"Ja," sagt er.', '"Yes," he says.'), ('"Ja."', '"Yes."')],
        ),
        ('"Ja."\tYes.\nNein.\tNo.\n', [('"Ja."', "Yes."), ("Nein.", "No.")]),
        ('"Ja.\tYes.\n' + "Nein.\tNo.\n" * 2, [('"Ja.', "Yes."), *[("Nein.", "No.")] * 2]),
    ],
)
def test_quotes_of_tab_separated_text_are_of_a_spreadsheet_or_of_the_text(
    tmp_path: Path, text: str, pairs: list[tuple[str, str]]
) -> None:
    (tmp_path / "a.tsv").write_text(text, "utf-8")
    assert list(read_table(tmp_path / "a.tsv", ".tsv", None)[1]) == pairs


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("Ein Hund, der bellt.;A dog that barks.\nJa, ja, ja.;Yes.\n", [("Ein Hund, der bellt.", "A dog that barks.")]),
        ('"Ja; ja.",Yes.\n"Nein; nein.",No.\n', [("Ja; ja.", "Yes.")]),
        ("Ja, ja.\tYes, yes.\n", [("Ja, ja.", "Yes, yes.")]),
        ("Ja, ja.|Yes, yes.\nNein.|No.\n", [("Ja, ja.", "Yes, yes.")]),
        ('"Ja, ja.", "Yes, yes."\n', [("Ja, ja.", "Yes, yes.")]),
        ("\n,\nde,en\nJa.,Yes.\n", [("Ja.", "Yes.")]),
        ('"' + "Gut, " * 300 + '";"' + "Yes, " * 300 + '"\n', [("Gut, " * 300, "Yes, " * 300)]),
    ],
)
def test_the_separator_of_csv_is_the_one_by_which_rows_are_equally_long(
    tmp_path: Path, text: str, pairs: list[tuple[str, str]]
) -> None:
    (tmp_path / "a.csv").write_text(text, "utf-8")
    assert list(read_table(tmp_path / "a.csv", ".csv", None)[1])[:1] == pairs
