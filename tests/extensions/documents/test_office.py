"""Slides, spreadsheets and books, as their programs write them, come back in their language and open again."""

import io
import re
import zipfile

import pytest
from backwards import translate

pytest.importorskip("sentencex")
pytest.importorskip("lxml")

from nmt.core.errors import UserError
from nmt.extensions.documents.formats import report_on, translate_document
from nmt.extensions.documents.selection import Report

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = f'{A} xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
X = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
C = f'{A} xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"'
ODF = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table")
)


def packed(parts: dict[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file.getvalue()


def translated(ending: str, parts: dict[str, str | bytes]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the parts without the declaration of XML, and the reasons of the texts that were left alone.

    The texts are counted: the document that is read again has as many.
    """
    report = Report()
    data = translate_document(f"a{ending}", packed(parts), translate, "de", "en", report=report)
    described = report.to_json(report_on(f"a{ending}", data))
    assert described["texts"] == described["texts_in_result"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == list(parts)
        found = {name: archive.read(name).decode("utf-8", "replace") for name in parts}
    reasons = {row["text"]: row["reason"] for row in described["left_alone"]}
    return {name: re.sub(r"^<\?xml[^>]*>\n", "", text) for name, text in found.items()}, reasons


def test_slides() -> None:
    bold = '<a:rPr lang="de-DE" b="1"/>'
    text = (
        f"<a:p><a:pPr/><a:r><a:rPr lang='de-DE'/><a:t>Der </a:t></a:r><a:r>{bold}<a:t>Hund</a:t></a:r>"
        "<a:r><a:rPr dirty='0'/><a:t> sieht</a:t></a:r><a:br/><a:fld type='slidenum'><a:t>3</a:t></a:fld>"
        "<a:endParaRPr/></a:p>"
    )
    slide = f'<p:sld {P}><p:cNvPr id="1" name="Hund" descr="Die Katze"/>{text}</p:sld>'
    prompt = (
        f"<p:sldLayout {P}><p:sp><p:nvPr><p:ph/></p:nvPr><a:p><a:r><a:t>Titel</a:t></a:r></a:p></p:sp></p:sldLayout>"
    )
    notes = f"<p:notes {P}><a:p><a:r><a:t>Der Hund</a:t></a:r></a:p></p:notes>"
    parts: dict[str, str | bytes] = {
        "ppt/slides/slide1.xml": slide, "ppt/slideLayouts/slideLayout1.xml": prompt,
        "ppt/notesSlides/notesSlide1.xml": notes, "ppt/vbaProject.bin": b"\xd0\xcf Hund",
        "ppt/comments/comment1.xml": f"<p:cmLst {P}><p:cm><p:text>Der Hund</p:text></p:cm></p:cmLst>",
    }  # fmt: skip
    found, reasons = translated(".pptx", parts)
    assert found["ppt/slides/slide1.xml"].partition("<a:p>")[2].removesuffix("</p:sld>") == (
        '<a:pPr/><a:r><a:t>sees </a:t></a:r><a:r><a:rPr b="1"/><a:t>dog</a:t></a:r><a:r><a:t> the</a:t></a:r><a:br/>'
        '<a:fld type="slidenum"><a:t>3</a:t></a:fld><a:endParaRPr/></a:p>'
    )
    assert 'name="Hund" descr="cat Die"' in found["ppt/slides/slide1.xml"]
    assert "dog the" in found["ppt/notesSlides/notesSlide1.xml"]
    assert "<p:text>dog the</p:text>" in found["ppt/comments/comment1.xml"]
    assert found["ppt/vbaProject.bin"].endswith("Hund")
    assert reasons["Titel"] == "prompt of a placeholder"


WORKBOOK: dict[str, str | bytes] = {
    "xl/workbook.xml": f'<workbook {X}><sheets><sheet name="Hund" sheetId="1"/></sheets></workbook>',
    "xl/worksheets/sheet1.xml": (
        f'<worksheet {X}><sheetData><row><c t="s"><v>0</v></c><c t="str">'
        '<f>IF(A1="Katze",Tab[Und],"x")</f><v>gut</v></c>'
        '<c t="inlineStr"><is><t>Der Hund</t></is></c></row></sheetData>'
        '<dataValidations><dataValidation promptTitle="Der Hund" error="und Katze"><formula1>"Ja,Nein"</formula1>'
        "</dataValidation></dataValidations><headerFooter><oddHeader>"
        "&amp;LHund &amp;&amp; Katze&amp;C&amp;12der Hund &amp;P</oddHeader></headerFooter></worksheet>"
    ),
    "xl/sharedStrings.xml": (
        f"<sst {X}><si><t>Der Hund</t></si><si><r><rPr><b/></rPr><t>Der</t></r><r>"
        "<t xml:space='preserve'> Hund sieht</t></r><rPh><t>x</t></rPh></si><si><t>Katze</t></si>"
        "<si><t>Und</t></si><si><t>SKU-12</t></si><si><t>nein</t></si><si><t>Hund</t></si><si><t>hund</t></si></sst>"
    ),
    "xl/tables/table1.xml": (
        f'<table {X}><tableColumns><tableColumn name="Und"/><tableColumn name="Der Hund"/></tableColumns></table>'
    ),
    "xl/tables/table2.xml": (
        f'<table {X}><tableColumns><tableColumn name="Hund"/><tableColumn name="hund"/></tableColumns></table>'
    ),
    "xl/charts/chart1.xml": f"<c:chart {C}><c:cat><c:v>Der Hund</c:v></c:cat><c:f>Hund!$A$1</c:f></c:chart>",
    "xl/comments1.xml": f"<comments {X}><comment><text><r><t>Der Hund</t></r></text></comment></comments>",
}  # fmt: skip


def test_a_workbook_keeps_what_its_formulas_need() -> None:
    found, reasons = translated(".xlsx", WORKBOOK)
    sheet, strings = found["xl/worksheets/sheet1.xml"], found["xl/sharedStrings.xml"]
    assert '<f>IF(A1="Katze",Tab[Und],"x")</f><v>gut</v>' in sheet
    assert '<is><t xml:space="preserve">dog the</t></is>' in sheet
    assert 'promptTitle="dog the" error="cat and"' in sheet
    assert "<oddHeader>&amp;Lcat &amp;&amp; dog&amp;C&amp;12&amp;P dog the</oddHeader>" in sheet
    assert re.findall(r"<si>(?:<t[^>]*>|<r>)(.*?)(?:</t>|</r>)</si>", strings)[2:] == [
        "Katze", "Und", "SKU-12", "nein", "Hund", "hund",
    ]  # fmt: skip
    assert (
        '<t xml:space="preserve">dog the</t></si><si><r><t xml:space="preserve">sees dog </t></r><r><rPr><b/>'
        in strings
    )
    assert "rPh" not in strings
    assert 'name="Und"/><tableColumn name="dog the"' in found["xl/tables/table1.xml"]  # as the cell of its head
    assert 'name="Hund"/><tableColumn name="hund"' in found["xl/tables/table2.xml"]
    assert "<c:v>dog the</c:v></c:cat><c:f>Hund!$A$1</c:f>" in found["xl/charts/chart1.xml"]
    assert "dog the" in found["xl/comments1.xml"]
    assert reasons == {
        "Hund": "two columns would have one name", "hund": "two columns would have one name", "SKU-12": "identifier",
        "Katze": "a formula compares with it", "nein": "a formula compares with it",
        "Und": "a formula compares with it", 'IF(A1="Katze",Tab[Und],"x")': "formula", '"Ja,Nein"': "formula",
        "gut": "result of a formula", "Hund!$A$1": "formula",
    }  # fmt: skip


def test_the_workbook_of_a_chart_is_translated_with_it() -> None:
    inner = {"xl/sharedStrings.xml": f"<sst {X}><si><t>Der Hund</t></si></sst>"}
    parts: dict[str, str | bytes] = {
        "word/document.xml": f"<w:document {W}><w:p><w:r><w:t>Der Hund</w:t></w:r></w:p></w:document>",
        "word/embeddings/a.xlsx": packed({**inner}), "word/embeddings/b.xlsx": b"Hund",
    }  # fmt: skip
    data = translate_document("a.docx", packed(parts), translate)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        embedded = zipfile.ZipFile(io.BytesIO(archive.read("word/embeddings/a.xlsx")))
        assert b"dog the" in embedded.read("xl/sharedStrings.xml")
        assert archive.read("word/embeddings/b.xlsx") == b"Hund"
    assert report_on("a.docx", packed(parts)).reasons == {"embedded file that can't be read": 1}


def test_cells_of_open_document() -> None:
    cells = (
        '<table:table table:name="Hund"><table:table-cell office:value-type="string"><text:p>Der Hund</text:p>'
        '</table:table-cell><table:table-cell office:value-type="float" office:value="5"><text:p>fünf Hund</text:p>'
        '</table:table-cell><table:table-cell table:formula="of:=IF([.A1]=&quot;Ja&quot;;1)" '
        'office:value-type="string"><text:p>Hund</text:p></table:table-cell><table:table-cell '
        'office:value-type="string"><text:p>ja</text:p></table:table-cell></table:table>'
    )
    found, reasons = translated(".ods", {"content.xml": f"<office:document {ODF}>{cells}</office:document>"})
    assert found["content.xml"] == f"<office:document {ODF}>{cells.replace('Der Hund', 'dog the')}</office:document>"
    assert reasons["fünf Hund"] == "number"
    assert reasons["ja"] == "a formula compares with it"


def test_a_field_is_followed_by_its_space() -> None:
    text = '<text:p>Der <text:page-number>1</text:page-number><text:s/>Hund <text:s text:c="3"/></text:p>'
    found, _ = translated(".odp", {"content.xml": f"<office:document {ODF}>{text}</office:document>"})
    assert (
        '<text:p>dog <text:page-number>1</text:page-number> the <text:s text:c="3"/></text:p>' in found["content.xml"]
    )


def field(command: str, text: str, end: bool = True) -> str:
    begin, separate, done = (f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "separate", "end"))
    return f"{begin}<w:r><w:instrText>{command}</w:instrText></w:r>{separate}{text}{done if end else ''}"


def test_links_and_tables_of_contents_that_are_fields() -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = [
        field("TOC", field("HYPERLINK x", run.format("Der Hund")), end=False),
        run.format("Katze und") + '<w:r><w:fldChar w:fldCharType="end"/></w:r>', run.format("sieht Katze"),
    ]  # fmt: skip
    document = f"<w:document {W}>" + "".join(f"<w:p>{text}</w:p>" for text in body) + "</w:document>"
    found, reasons = translated(".docx", {"word/document.xml": document})
    texts = re.findall(r"<w:t[^>]*>(.*?)</w:t>", found["word/document.xml"])
    assert texts == ["dog the", "and cat", "cat sees"]
    marks = re.compile(r'fldCharType="\w+"|instrText>\w+')
    assert marks.findall(found["word/document.xml"]) == marks.findall(document)
    assert reasons == {"TOC": "field", "HYPERLINK x": "field"}


def test_a_book() -> None:
    chapter = (
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "xhtml11.dtd">\n<html xmlns="http://www.w3.org/1999/xhtml" '
        'xml:lang="de"><head><title>Der Hund</title></head><body><p>Der&nbsp;Hund <i>sieht</i><a id="x"/></p>'
        '<pre>Hund</pre><img src="a.png" alt="Der Hund"/></body></html>'
    )
    opf = '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Der Hund</dc:title>'
    opf += "<dc:language>de</dc:language></package>"
    ncx = '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navLabel><text>Der Hund</text></navLabel></ncx>'
    parts: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "a.opf": opf,
        "toc.ncx": ncx,
        "1.xhtml": chapter,
    }
    found, reasons = translated(".epub", parts)
    assert found["1.xhtml"].startswith('<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "xhtml11.dtd">')
    assert 'xml:lang="en"><head><title>dog the</title>' in found["1.xhtml"]
    assert '<p><i>sees</i> dog the<a id="x"/></p><pre>Hund</pre>' in found["1.xhtml"].replace("\u00a0", " ")
    assert '<img src="a.png" alt="dog the"/>' in found["1.xhtml"]
    assert "<dc:title>dog the</dc:title><dc:language>en</dc:language>" in found["a.opf"]
    assert "<text>dog the</text>" in found["toc.ncx"]
    assert reasons == {"Hund": "code or not to be translated", "en": "property, not text"}


@pytest.mark.parametrize(
    ("name", "parts", "message"),
    [
        ("a.xlsx", {"word/document.xml": "<a/>"}, "no text part"),
        ("a.epub", {"1.xhtml": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'}, "document type"),
        ("a.pptx", {"ppt/a.xml": "<!DOCTYPE a><a/>"}, "document type"),
        ("a.ods", {"content.xml": b"\x00"}, "not well-formed"),
    ],
)
def test_wrong_and_dangerous_files(name: str, parts: dict[str, str | bytes], message: str) -> None:
    with pytest.raises(UserError, match=message):
        translate_document(name, packed(parts), translate)


def test_selected_names_are_for_data() -> None:
    with pytest.raises(UserError, match="csv, tsv, json, yaml and xml"):
        translate_document("a.xlsx", packed(WORKBOOK), translate, only=["Hund"])
