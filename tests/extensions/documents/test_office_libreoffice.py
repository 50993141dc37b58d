"""Files that LibreOffice wrote look the same when LibreOffice opens them again, and nothing in them is untranslated."""

import codecs
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("sentencex")
pytest.importorskip("lxml")

from nmt.extensions.documents.formats import report_on, translate_document
from nmt.extensions.documents.selection import Report
from nmt.translation.results import Translation

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in ("soffice", "pdftoppm", "pdftotext")),
        reason="needs LibreOffice and the programs of Poppler",
    ),
]
NAMES = {
    **{name: name for name in ("office", "text", "table", "style", "presentation")},
    "draw": "drawing", "svg": "svg-compatible", "fo": "xsl-fo-compatible",
}  # fmt: skip
SPACES = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"' for name, long in NAMES.items())
BOLD = '<style:style style:name="B" style:family="text"><style:text-properties fo:font-weight="bold"/></style:style>'
NOTE = "<office:annotation><text:p>Welche Bank ist gemeint?</text:p></office:annotation>"
LINK = '<text:a xlink:href="https://example.org/">eine alte Zeitung</text:a>'
TEXT = f"""<text:h text:outline-level="1">Der kleine Hund</text:h><text:p>Ein <text:span text:style-name="B">schwarzer</text:span>
Hund<text:note text:id="n" text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body>
<text:p>Der Garten ist groß.</text:p></text:note-body></text:note> schläft. Zwei Leute lesen {LINK} auf der Bank{NOTE}.</text:p>
<text:p><draw:frame text:anchor-type="as-char" svg:width="3cm" svg:height="1cm"><draw:text-box><text:p>Ein Kasten</text:p>
</draw:text-box></draw:frame> Das Bild zeigt etwas.</text:p><table:table><table:table-column/><table:table-row><table:table-cell>
<text:p>Tier</text:p></table:table-cell><table:table-cell><text:p>1.250</text:p></table:table-cell></table:table-row></table:table>
<text:list><text:list-item><text:p>Erster Punkt</text:p></text:list-item></text:list>
<text:p>Seite <text:page-number>1</text:page-number> von <text:page-count>1</text:page-count></text:p>"""
HEADER = (
    '<style:master-page style:name="Standard" style:page-layout-name="L"><style:header><text:p>Kopfzeile des Briefs</text:p>'
    "</style:header></style:master-page>"
)
LAYOUT = '<style:page-layout style:name="L"><style:page-layout-properties/><style:header-style/></style:page-layout>'


def cell(text: str, more: str = 'office:value-type="string"') -> str:
    return f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>"


FORMULA = 'table:formula="of:=IF([.B1]=&quot;Ja&quot;;1;2)" office:value-type="float" office:value="1"'
SHEET = f"""<table:table table:name="Tiere"><table:table-row>{cell("Der Hund")}{cell("Ja")}{cell("SKU-4711")}</table:table-row>
<table:table-row>{cell(f"Ein {LINK} liegt da")}{cell("5", 'office:value-type="float" office:value="5"')}{cell("1", FORMULA)}
</table:table-row></table:table>"""
BOX = '<draw:frame svg:x="2cm" svg:y="{}cm" svg:width="15cm" svg:height="3cm"><draw:text-box>{}</draw:text-box></draw:frame>'
SLIDE = f"""<draw:page draw:name="S" draw:master-page-name="D">{BOX.format(1, "<text:p>Der Hund</text:p>")}
{BOX.format(5, f"<text:p>Lies {LINK} heute<text:line-break/>im Garten</text:p>")}
<presentation:notes><draw:page-thumbnail/>{BOX.format(9, "<text:p>Hier spricht die Rednerin.</text:p>")}</presentation:notes>
</draw:page>"""
MASTER = '<style:master-page style:name="D" style:page-layout-name="L"/>'
KINDS = {
    "odt": ("text", "fodt", TEXT, HEADER), "docx": ("text", "fodt", TEXT, HEADER),
    "ods": ("spreadsheet", "fods", SHEET, ""), "xlsx": ("spreadsheet", "fods", SHEET, ""),
    "odp": ("presentation", "fodp", SLIDE, MASTER), "pptx": ("presentation", "fodp", SLIDE, MASTER),
    "epub": ("text", "fodt", TEXT, HEADER),
}  # fmt: skip
LEFT = {"SKU-4711", "Ja", "1.250", "5", "1", "example", "org", "https"}
"""What isn't translated."""


def office(folder: Path, path: Path, ending: str) -> Path:
    """Has LibreOffice write a file in another format."""
    profile = f"-env:UserInstallation=file://{folder / 'profile'}"
    command = ["soffice", profile, "--headless", "--convert-to", ending, "--outdir", str(folder), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    result = folder / f"{path.stem}.{ending}"
    assert result.is_file()
    return result


def pages(path: Path) -> list[bytes]:
    subprocess.run(["pdftoppm", "-r", "60", path, path.with_suffix("")], check=True, timeout=60)
    return [picture.read_bytes() for picture in sorted(path.parent.glob(f"{path.stem}-*.ppm"))]


def words(path: Path) -> list[str]:
    done = subprocess.run(["pdftotext", path, "-"], check=True, capture_output=True, timeout=60)
    return re.findall(r"[^\W\d_]{2,}", done.stdout.decode())


def by(function: Callable[[str], str]) -> Callable[[Sequence[str]], list[Translation]]:
    def translate(sentences: Sequence[str]) -> list[Translation]:
        links = [tuple((n, n) for n in range(len(each.split()))) for each in sentences]
        return [Translation(s, function(s), 0.0, [], alignment=own) for s, own in zip(sentences, links, strict=True)]

    return translate


@pytest.mark.parametrize("ending", KINDS)
def test_pages_look_the_same_and_no_word_stays(ending: str, tmp_path: Path) -> None:
    kind, flat, body, master = KINDS[ending]
    source = tmp_path / f"source.{flat}"
    source.write_text(
        f'<office:document {SPACES} xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.3" '
        f'office:mimetype="application/vnd.oasis.opendocument.{kind}"><office:automatic-styles>{BOLD}{LAYOUT}'
        f"</office:automatic-styles><office:master-styles>{master}</office:master-styles><office:body><office:{kind}>"
        f"{body}</office:{kind}></office:body></office:document>",
        "utf-8",
    )
    data, report = office(tmp_path, source, ending).read_bytes(), Report()
    rotated = translate_document(
        f"a.{ending}", data, by(lambda text: codecs.encode(text, "rot13")), "de", report=report
    )
    assert report.total == report_on(f"a.{ending}", rotated).total
    same = translate_document(f"a.{ending}", data, by(lambda text: text), "de")
    if ending == "epub":  # LibreOffice writes it, but doesn't read it
        assert report.num_texts >= 8
        return
    for name, content in (("original", data), ("same", same), ("rotated", rotated)):
        (tmp_path / f"{name}.{ending}").write_bytes(content)
        office(tmp_path, tmp_path / f"{name}.{ending}", "pdf")
    assert pages(tmp_path / "original.pdf") == pages(tmp_path / "same.pdf")
    left = {word for text in LEFT for word in re.findall(r"[^\W\d_]{2,}", text)} | {"Sheet", "Tiere", "Page"}
    before, after = words(tmp_path / "original.pdf"), words(tmp_path / "rotated.pdf")
    assert [word if word in left else codecs.encode(word, "rot13") for word in before] == after
