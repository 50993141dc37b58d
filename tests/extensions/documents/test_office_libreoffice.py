"""Files that LibreOffice wrote look the same when LibreOffice opens them again, and nothing in them is untranslated."""

import codecs
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from libreoffice import FILE, SPACES, office

from nmt.extensions.documents.formats import report_on, translate_document
from nmt.extensions.documents.selection import Report
from tests.extensions.documents.conftest import by

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in map(shutil.which, ("soffice", "pdftoppm", "pdftotext")), reason="needs LibreOffice"),
]
LINK = '<text:a xlink:href="https://example.org/">eine alte Zeitung</text:a>'
HEADER = "<style:header><text:p>Kopfzeile des Briefs</text:p></style:header>"
TEXT = f"""<text:h text:outline-level="1">Der kleine Hund</text:h>
<text:p>Ein <text:span text:style-name="B">schwarzer</text:span>
Hund<text:note text:id="n" text:note-class="footnote"><text:note-citation>1</text:note-citation>
<text:note-body><text:p>Der Garten ist groß.</text:p></text:note-body></text:note> schläft. Zwei Leute lesen {LINK}
auf der Bank<office:annotation><text:p>Welche Bank ist gemeint?</text:p></office:annotation>.</text:p><text:p>
<draw:frame text:anchor-type="as-char" svg:width="3cm" svg:height="1cm"><draw:text-box><text:p>Ein Kasten</text:p>
</draw:text-box></draw:frame> Das Bild zeigt etwas.</text:p><table:table><table:table-column/><table:table-row>
<table:table-cell><text:p>Tier</text:p></table:table-cell><table:table-cell><text:p>1.250</text:p></table:table-cell>
</table:table-row></table:table><text:list><text:list-item><text:p>Erster Punkt</text:p></text:list-item></text:list>
<text:p>Seite <text:page-number>1</text:page-number> von <text:page-count>1</text:page-count></text:p>"""


def cell(text: str, more: str = 'office:value-type="string"') -> str:
    return f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>"


FLOAT = 'office:value-type="float" office:value="1"'
FORMULA = f'table:formula="of:=IF([.B1]=&quot;Ja&quot;;1;2)" {FLOAT}'
SHEET = f"""<table:table table:name="T"><table:table-row>{cell("Der Hund")}{cell("Ja")}{cell("SKU-4711")}
</table:table-row><table:table-row>{cell(f"Ein {LINK} liegt da")}{cell("1", FLOAT)}{cell("1", FORMULA)}
</table:table-row></table:table>"""
BOX = """<draw:frame svg:x="2cm" svg:y="{}cm" svg:width="15cm" svg:height="3cm"><draw:text-box><text:p>{}</text:p>
</draw:text-box></draw:frame>"""
SLIDE = f"""<draw:page draw:name="S" draw:master-page-name="Standard">{BOX.format(1, "Der Hund")}
{BOX.format(5, f"Lies {LINK} heute<text:line-break/>im Garten")}<presentation:notes><draw:page-thumbnail/>
{BOX.format(9, "Hier spricht die Rednerin.")}</presentation:notes></draw:page>"""
KINDS = {
    **dict.fromkeys(("odt", "docx", "epub"), ("text", "fodt", TEXT, HEADER)),
    **dict.fromkeys(("ods", "xlsx"), ("spreadsheet", "fods", SHEET, "")),
    **dict.fromkeys(("odp", "pptx"), ("presentation", "fodp", SLIDE, "")),
}
LEFT = {"SKU", "Ja"}
"""Words that are not translated: an identifier, and one with which a formula compares."""


def pages(path: Path) -> list[bytes]:
    subprocess.run(["pdftoppm", "-r", "60", path, path.with_suffix("")], check=True, timeout=60)
    return [picture.read_bytes() for picture in sorted(path.parent.glob(f"{path.stem}-*.ppm"))]


def words(path: Path) -> list[str]:
    done = subprocess.run(["pdftotext", path, "-"], check=True, capture_output=True, timeout=60)
    return re.findall(r"[^\W\d_]{2,}", done.stdout.decode())


def rotated(text: str) -> str:
    return codecs.encode(text, "rot13")


@pytest.mark.parametrize("ending", KINDS)
def test_pages_look_the_same_and_no_word_stays(
    ending: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kind, flat, body, header = KINDS[ending]
    (source := tmp_path / f"source.{flat}").write_text(FILE.format(spaces=SPACES, kind=kind, body=body, header=header))
    profile = tmp_path_factory.getbasetemp() / "libreoffice"
    data, report = office(source, ending, profile).read_bytes(), Report()
    changed = translate_document(f"a.{ending}", data, by(rotated, in_order=True), "de", report=report)
    assert report.total == report_on(f"a.{ending}", changed).total
    assert report.num_texts >= (2 if kind != "text" else 8)
    if ending == "epub":  # which LibreOffice can't read
        return
    same = translate_document(f"a.{ending}", data, by(str, in_order=True), "de")
    contents = {"original": data, "same": same, "changed": changed}
    for name, content in contents.items():
        (tmp_path / f"{name}.{ending}").write_bytes(content)
    original, again, other = (office(tmp_path / f"{name}.{ending}", "pdf", profile) for name in contents)
    assert pages(original) == pages(again)
    assert sorted(word if word in LEFT else rotated(word) for word in words(original)) == sorted(words(other))
