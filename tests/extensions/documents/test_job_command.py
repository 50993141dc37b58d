"""``nmt translate`` of documents."""

import gzip
import json
from pathlib import Path

import pytest
from fixture_types import RunNmt
from refusals import refused

import nmt
from nmt.core.errors import UserError
from nmt.extensions.documents import job
from nmt.extensions.documents.job import DocumentTranslator, _read_record, document_ending
from nmt.translation.job import TranslationJob

PAGE = (
    "<html><body><p>Der <b>Hund</b> schläft im Garten. Mein Bruder wartet auf den Zug.</p>\n"
    "<p>Heute trinkt die Katze kaltes Wasser.</p><pre>Der Hund</pre>\n"
    "<p>Mein Bruder wartet auf den Zug.</p></body></html>"
)
TRANSLATED = (
    "<html><body><p>The <b>dog</b> sleeps in the garden. My brother waits for the train.</p>\n"
    "<p>Today the cat drinks cold water.</p><pre>Der Hund</pre>\n<p>My brother waits for the train.</p></body></html>"
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text(PAGE, encoding="utf-8")
    return path


def test_a_document_is_known_by_its_ending(run_nmt: RunNmt, tiny_model: Path, page: Path) -> None:
    output = page.with_name("page.en.html")
    done = run_nmt("translate", tiny_model, page, "-o", output)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert output.read_text("utf-8") == TRANSLATED
    assert sorted(path.name for path in page.parent.iterdir()) == ["page.en.html", "page.html"]


def test_the_input_format_can_be_named(run_nmt: RunNmt, tiny_model: Path, page: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.gz"
    run_nmt("translate", tiny_model, "--input-format", "html", "-o", output, stdin=PAGE, check=True)
    assert gzip.decompress(output.read_bytes()).decode() == TRANSLATED
    lines = run_nmt("translate", tiny_model, page, "--input-format", "text", check=True)
    assert len(lines.stdout.splitlines()) == 3


@pytest.fixture
def records(tiny_model: Path, page: Path) -> list[str]:
    """The lines that a run keeps of the page."""
    document = DocumentTranslator(TranslationJob(nmt.load(tiny_model, device="cpu"), str), page, ".html")
    assert len(document.sentences) == 3  # one of them is there twice
    return [f"{document.job.write(each)}\n" for each in document.job.run(document.sentences)]


@pytest.mark.quick("2")
@pytest.mark.parametrize("num_done", [0, 2, 3])
def test_a_stopped_run_goes_on(
    run_nmt: RunNmt, tiny_model: Path, page: Path, tmp_path: Path, records: list[str], num_done: int
) -> None:
    output, partial = tmp_path / "out.html", tmp_path / "out.html.partial"
    partial.write_text("".join(records[:num_done]) + '{"source": "Mein', encoding="utf-8")
    if num_done:
        assert run_nmt("translate", tiny_model, page, "-o", output).returncode == 2
    done = run_nmt("translate", tiny_model, page, "-o", output, "--resume", check=True)
    assert not num_done or f"{num_done} sentences are in {partial} already" in done.stderr
    assert output.read_text("utf-8") == TRANSLATED
    assert not partial.exists()


def test_a_document_that_has_changed_is_not_gone_on_with(
    run_nmt: RunNmt, tiny_model: Path, page: Path, tmp_path: Path, records: list[str]
) -> None:
    output, partial = tmp_path / "out.html", tmp_path / "out.html.partial"
    partial.write_text("".join([records[0].replace("Garten", "Haus"), *records[1:]]), encoding="utf-8")
    done = run_nmt("translate", tiny_model, page, "-o", output, "--resume")
    refused(done, "no translation of 'Der Hund schläft im Garten.'")
    assert partial.exists()
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Name one with -o"),
        (["-o", "out.html", "--n-best", "2"], "are for lines"),
        (["-o", "out.html", "--format", "jsonl"], "are for lines"),
        (["-o", "out.html", "--input-format", "pdf"], "There is no input format 'pdf'"),
        (["-o", "out.html", "-i", "page.html"], "both name the input"),
        (["-o", "out.docx", "--input-format", "docx"], "The file is not a Word document"),
        (["-o", "out.docx"], "documents aren't converted"),
        (["-o", "out.html", "--check"], "for a document, --mark"),
    ],
)
def test_what_documents_do_not_have(
    run_nmt: RunNmt, tiny_model: Path, page: Path, options: list[str], message: str
) -> None:
    refused(run_nmt("translate", tiny_model, page, *options), message)
    done = run_nmt("translate", tiny_model, page.with_suffix(".pdf"), "-o", "out.html")
    assert "Save it as .docx, .odt or .txt" in done.stderr
    kinds = ((".fodt", ".docx, .odt or .txt"), (".tmx", ".xliff"), (".sdlxliff", ".xliff"), (".strings", ".po, .xliff"))
    for ending, others in kinds:
        with pytest.raises(UserError, match=f"Save it as {others}"):
            document_ending(f"a{ending}")
        with pytest.MonkeyPatch.context() as patch:  # a plugin has the format
            patch.setattr(job, "FORMATS", {*job.FORMATS, ending})
            assert document_ending(f"a{ending}") == ending


@pytest.mark.slow
def test_a_folder_has_documents_and_text(run_nmt: RunNmt, tiny_model: Path, page: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "de", tmp_path / "en"
    folder.mkdir()
    page.rename(folder / "page.html")
    (folder / "lines.de").write_text("Der Hund schläft im Garten.\n", encoding="utf-8")
    (folder / "lines.txt").write_text("Der Hund schläft im Garten.\n", encoding="utf-8")
    (folder / "~$letter.docx").touch()  # as Word does
    (folder / "letter.docx").touch()
    done = run_nmt("translate", tiny_model, "-i", folder, "-o", output)
    assert "letter.docx: The file is not a Word document" in done.stderr
    (folder / "letter.docx").unlink()
    done = run_nmt("translate", tiny_model, "-i", folder, "-o", output, "--workers", "1", check=True)
    assert "3 shards: 5 lines" in done.stderr
    assert (output / "page.html").read_text("utf-8") == TRANSLATED
    for name in ("lines.de", "lines.txt"):
        assert (output / name).read_text("utf-8") == "The dog sleeps in the garden.\n"


def test_a_table_with_selected_columns_and_a_report(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    source, output, described = (tmp_path / name for name in ("a.csv", "b.csv", "r.json"))
    source.write_text("text,other\nDer Hund schläft im Garten.,Der Hund\n", "utf-8")
    done = run_nmt("translate", tiny_model, source, "-o", output, "--translate-only", "text", "--report", described)
    assert done.returncode == 0, done.stderr
    assert output.read_text("utf-8") == "text,other\nThe dog sleeps in the garden.,Der Hund\n"
    report = json.loads(described.read_text("utf-8"))
    assert (report["texts"], report["texts_in_result"], report["translated"]) == (4, 4, 1)
    assert {"where": "other", "reason": "not in --translate-only", "text": "Der Hund"} in report["left_alone"]
    assert "1 of 4 texts were translated. Left alone: " in done.stderr
    (tmp_path / "a.txt").write_text("Der Hund schläft im Garten.\n", "utf-8")
    text = ("--input-format", "txt", "-o", tmp_path / "a.en.txt", "--report", described)
    done = run_nmt("translate", tiny_model, tmp_path / "a.txt", *text, check=True)
    assert "1 of 1 texts were translated.\n" in done.stderr
    done = run_nmt("translate", tiny_model, source, "--input-format", "text", "--report", described)
    refused(done, "are for one document")


@pytest.mark.parametrize(
    "line",
    [
        '{"source": ' + "[" * 3000 + "]" * 3000 + ', "translation": "a", "alignment": null}',
        '["source"]',
        '{"source": "a", "alignment": null}',
        '{"source": "a", "translation": "b", "alignment": [[1]]}',
    ],
    ids=["nested", "no object", "no translation", "no links"],
)
def test_a_record_of_another_form_is_refused_with_the_remedy(line: str) -> None:
    with pytest.raises(UserError, match=r"is no translation of a sentence.\nDelete the file"):
        _read_record(line)
