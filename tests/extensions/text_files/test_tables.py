"""Translators' files as training text."""

from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.extensions.text_files.tables import translation_units

TMX = (
    '<!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header srclang="en-US"/><body>'
    '<tu><tuv xml:lang="DE-AT"><seg><bpt i="1">&lt;b></bpt>Ein Hund<ept i="1">&lt;/b></ept>.</seg></tuv>'
    '<tuv xml:lang="en"><seg>A dog.</seg></tuv><tuv xml:lang="en-GB"><seg>A hound.</seg></tuv></tu></body></tmx>'
)
XLIFF_1 = (
    '<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2"><file source-language="de" '
    'target-language="en">'
    "<body><trans-unit id='1'><source>Ein <g id='1'>Hund</g>.</source><target>A dog.</target></trans-unit>"
    "<trans-unit id='2'><source>Allein.</source></trans-unit></body></file></xliff>"
)
XLIFF_2 = (
    '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="de-AT" trgLang="en"><file id="f">'
    "<unit id='1'><segment><source>Ein Hund.</source><target>A dog.</target></segment></unit></file></xliff>"
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
