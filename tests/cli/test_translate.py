"""``nmt translate`` as a user sees it: what goes in, what comes out, and what it says when it can't."""

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fixture_types import RunNmt
from refusals import refused

SENTENCES = ["Der Hund schläft im Garten.", "Heute trinkt die Katze kaltes Wasser.", "Mein Bruder wartet auf den Zug."]
TRANSLATIONS = ["The dog sleeps in the garden.", "Today the cat drinks cold water.", "My brother waits for the train."]
HOSTILE = [
    "",
    "   ",
    "\t",
    "ein\tzwei\t\tdrei",
    "Der Hund schläft im Garten.\r",
    "a\rb\x0bc\x0cd",
    "x\x00y\x01\x1b[31mrot\x7f",
    "eins\u2028zwei\u2029drei\x85vier",
    "😀 Der Hund 👩‍👩‍👧 🏳️‍🌈",
    "שלום עולם — مرحبا بالعالم",
    "\ufeffDie Katze",
    "\u200b\u00ad\u00a0\u3000",
    "▁ <unk> <pad> </s> <s> <0x41>",
    '"quoted", {"json": null} \\n',
    "吾輩は猫である。名前はまだ無い。",
    "Die Katze sieht den Mond.",
]


@pytest.mark.quick("tiny_model")
@pytest.mark.parametrize("name", ["tiny_model", "bytes_model"])
def test_hostile_lines_keep_their_places(run_nmt: RunNmt, request: pytest.FixtureRequest, name: str) -> None:
    model = request.getfixturevalue(name)
    done = run_nmt("translate", model, stdin="\n".join(HOSTILE), check=True)
    assert run_nmt("translate", model, stdin="\n".join(HOSTILE) + "\n").stdout == done.stdout
    lines = done.stdout.split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(HOSTILE) == len(done.stdout.splitlines())
    assert lines[:3] == ["", "", ""]
    for source, translation in zip(HOSTILE, lines, strict=True):
        # Not as the first line, where a byte-order mark would be taken off.
        alone = run_nmt("translate", model, stdin=f"\n{source}\n")
        assert alone.stdout == f"\n{translation}\n", source


def test_degenerate_output_is_told_of_at_the_end(translate: RunNmt) -> None:
    good = translate(stdin="\n".join(SENTENCES))
    assert "degenerate" not in good.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmt.metrics.degenerate.degenerate", lambda text, source, reference: "loop")
        few = translate(stdin="\n".join(SENTENCES[:2]))
        many = translate("-q", stdin="\n".join([SENTENCES[0]] * 20))
    assert few.stderr == ""  # who translates two sentences looks at them
    assert many.stderr.startswith("Warning: 20 of 20 translations (100.0%) look degenerate: 20 repeat themselves")
    assert len(many.stdout.splitlines()) == 20


def test_n_best_with_scores(translate: RunNmt) -> None:
    done = translate("--n-best", 3, "--scores", stdin=f"{SENTENCES[0]}\n\n{SENTENCES[1]}\n")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[1] == ["0.0000", ""]
    for line, translation in ((lines[0], TRANSLATIONS[0]), (lines[2], TRANSLATIONS[1])):
        scores, texts = [float(score) for score in line[::2]], line[1::2]
        assert len(scores) == len(texts) == 3
        assert texts[0] == translation
        assert scores == sorted(scores, reverse=True)
        assert max(scores) < 0
    plain = translate("--n-best", 3, stdin=f"{SENTENCES[0]}\n")
    assert plain.stdout.rstrip("\n").split("\t") == lines[0][1::2]


def test_jsonl_has_the_documented_schema(run_nmt: RunNmt, translate: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    done = translate("--format", "jsonl", "--n-best", 2, stdin=f"{SENTENCES[0]}\n\n{HOSTILE[7]}\n")
    assert len(done.stdout.splitlines()) == 3, "a line break of Unicode in the source mustn't break the line"
    first, empty, hostile = map(json.loads, done.stdout.splitlines())
    for row in (first, empty, hostile):
        assert set(row) == {"source", "translation", "score", "tokens", "n_best", "alignment"}
        for candidate in row["n_best"]:
            assert set(candidate) == {"translation", "score", "tokens"}
        assert row["n_best"][0] == {key: row[key] for key in ("translation", "score", "tokens")}
    assert (first["source"], first["translation"]) == (SENTENCES[0], TRANSLATIONS[0])
    assert first["tokens"] == ["▁The", "▁dog", "▁sleeps", "▁in", "▁the", "▁garden", "."]
    assert len(first["n_best"]) == 2
    assert hostile["source"] == HOSTILE[7]
    nothing = {"translation": "", "score": 0.0, "tokens": []}
    assert empty == {"source": "", **nothing, "n_best": [nothing], "alignment": []}
    # The alignment is that which `nmt align` gives for the same pair.
    (tmp_path / "one.de").write_text(SENTENCES[0] + "\n", encoding="utf-8")
    (tmp_path / "one.en").write_text(TRANSLATIONS[0] + "\n", encoding="utf-8")
    aligned = run_nmt("align", tiny_model, tmp_path / "one.de", tmp_path / "one.en").stdout
    assert " ".join(f"{i}-{j}" for i, j in first["alignment"]) == aligned.strip()


def test_jsonl_of_a_model_without_attention_has_no_alignment(run_nmt: RunNmt, vanilla_model: Path) -> None:
    done = run_nmt("translate", vanilla_model, "--format", "jsonl", stdin=SENTENCES[0])
    assert json.loads(done.stdout)["alignment"] is None


def test_quiet_stands_before_or_after_the_command(run_nmt: RunNmt, tiny_recipe: Path, tmp_path: Path) -> None:
    settings = ["training.max_steps=1", "training.schedule.warmup_steps=0"]
    command = ["train", tiny_recipe, *(part for each in settings for part in ("--set", each)), "-o"]
    loud = run_nmt(*command, tmp_path / "loud")
    assert "done: training.max_steps (1) reached" in loud.stderr
    for arguments in (["--quiet", *command, tmp_path / "before"], [*command, tmp_path / "after", "--quiet"]):
        done = run_nmt(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert all((tmp_path / name / "model.safetensors").is_file() for name in ("before", "after"))


@pytest.mark.posix
def test_a_reader_that_leaves_early_is_no_error_to_shout_about(python: Path, tiny_model: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.de"
    many.write_text(SENTENCES[0] + "\n" * 300_000, encoding="utf-8")
    command = [python, "-m", "nmt", "translate", tiny_model, "-i", many]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().decode() == TRANSLATIONS[0] + "\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141  # as if SIGPIPE had ended it


def test_scores_of_given_translations(translate: RunNmt, tiny_corpus: Path, tmp_path: Path) -> None:
    source, target = tiny_corpus / "train.de", tiny_corpus / "train.en"
    done = translate("--score-only", source, target)
    assert (done.returncode, done.stderr) == (0, "")
    searched = translate("-i", source, "--scores").stdout.splitlines()
    for scored, translated in zip(done.stdout.splitlines(), searched, strict=True):
        (score, text), (expected, translation) = scored.split("\t"), translated.split("\t")
        assert text == translation
        assert float(score) == pytest.approx(float(expected), abs=2e-4)
    output = tmp_path / "scores.jsonl"
    options = ("--format", "jsonl", "-o", output, "--length-penalty", "average", "--alpha", 1)
    assert translate("--score-only", source, target, *options).returncode == 0
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert len(rows) == 40
    for row in rows:
        assert set(row) == {
            "source", "target", "tokens", "token_log_probabilities", "log_probability", "score",
        }  # fmt: skip
        assert len(row["tokens"]) == len(row["token_log_probabilities"])
        assert row["tokens"][-1] == "</s>"
        assert sum(row["token_log_probabilities"]) == pytest.approx(row["log_probability"], abs=1e-4)
        assert row["score"] == pytest.approx(row["log_probability"] / len(row["tokens"]), abs=1e-5)


def test_a_pair_without_a_score_keeps_its_line(translate: RunNmt, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Hund\nHund\n\n", encoding="utf-8")
    (tmp_path / "b").write_text("dog\n" + "dog " * 1000 + "\n\n", encoding="utf-8")
    files = ("--score-only", tmp_path / "a", tmp_path / "b")
    done = translate(*files)
    assert [line.split("\t")[0] == "nan" for line in done.stdout.splitlines()] == [False, True, False]
    assert "line 2 has 1,000 pieces" in done.stderr
    rows = [json.loads(line) for line in translate(*files, "--format=jsonl").stdout.splitlines()]
    assert [row["score"] is None for row in rows] == [False, True, False]


@pytest.mark.quick("bf16")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_other_precisions_translate_as_well(translate: RunNmt, tiny_corpus: Path, precision: str) -> None:
    source, expected = tiny_corpus / "train.de", (tiny_corpus / "train.en").read_text("utf-8").splitlines()
    exact = translate("-i", source, "--scores").stdout
    assert translate("-i", source, "--scores", "--precision", "fp32").stdout == exact
    done = translate("-i", source, "--scores", "--precision", precision)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout != exact, "scores show that something else was computed"
    translations = [line.split("\t")[1] for line in done.stdout.splitlines()]
    assert sum(a == b for a, b in zip(translations, expected, strict=True)) >= 38


@pytest.mark.parametrize("options", [[], ["--format", "jsonl"]])
def test_a_program_that_waits_for_its_answer_gets_it(python: Path, tiny_model: Path, options: list[str]) -> None:
    command = [python, "-m", "nmt", "translate", tiny_model, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for source, translation in zip(SENTENCES, TRANSLATIONS, strict=True):
            process.stdin.write(f"{source}\n\n".encode())
            process.stdin.flush()
            lines = [process.stdout.readline().decode().rstrip("\n") for _ in range(2)]
            if options:
                lines = [json.loads(line)["translation"] for line in lines]
            assert lines == [translation, ""]
        process.stdin.close()
        assert process.stdout.read() == process.stderr.read() == b""
    assert process.returncode == 0


def test_a_conversation(translate: RunNmt) -> None:
    done = translate("--interactive", stdin="\n".join([SENTENCES[0], "", *SENTENCES[1:]]) + "\n", check=True)
    assert done.stdout == "".join(f"en> {translation}\n" for translation in TRANSLATIONS)
    assert done.stderr == "de> " * 5 + "\n"


@pytest.fixture
def whole(translate: RunNmt, tiny_corpus: Path) -> list[str]:
    return translate("-i", tiny_corpus / "train.de").stdout.splitlines()


@pytest.mark.quick("SIGKILL")
@pytest.mark.posix
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_stopped_run_goes_on(
    run_nmt: RunNmt, python: Path, tiny_model: Path, tiny_corpus: Path, tmp_path: Path, whole: list[str], name: str
) -> None:
    how = signal.Signals[name]
    output, partial = tmp_path / "out put.en", tmp_path / "out put.en.partial"
    arguments = ["translate", tiny_model, "-o", output]
    with subprocess.Popen([python, "-m", "nmt", *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write("".join((tiny_corpus / "train.de").read_text("utf-8").splitlines(True)[:3]).encode())
        process.stdin.flush()
        while not (partial.exists() and partial.read_bytes().count(b"\n") == 3):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGUSR1 if how == signal.SIGKILL else how)
        messages = process.stderr.read().decode()
    assert process.returncode in (130, -how)
    assert not output.exists()
    assert partial.read_text("utf-8").splitlines() == whole[:3]
    if how == signal.SIGINT:
        assert f"3 lines are kept in {partial}" in messages
        assert shlex.join(["nmt", *map(str, arguments), "--resume"]) in messages
    done = run_nmt(*arguments, "--resume", stdin=(tiny_corpus / "train.de").read_text("utf-8"), check=True)
    assert f"3 lines are in {partial} already" in done.stderr
    assert output.read_text("utf-8").splitlines() == whole
    assert not partial.exists()


def test_bad_input_keeps_what_came_before_it(
    translate: RunNmt, tiny_corpus: Path, tmp_path: Path, whole: list[str]
) -> None:
    lines = (tiny_corpus / "train.de").read_bytes().splitlines(keepends=True)
    source, output, partial = tmp_path / "in.de", tmp_path / "out.en", tmp_path / "out.en.partial"
    source.write_bytes(b"".join([*lines[:7], b"B\xe4cker\n", *lines[8:]]))
    command = ["-i", source, "-o", output]
    refused(translate(*command), f"{source}, line 8: not UTF-8", f"7 lines are kept in {partial}. When the error is")
    again = translate(*command)
    refused(again, "Give --resume to continue")
    assert "are kept" not in again.stderr  # the error names the file
    source.write_bytes(b"".join(lines))
    assert translate(*command, "--resume").returncode == 0
    assert output.read_text("utf-8").splitlines() == whole


@pytest.mark.quick("options0")
@pytest.mark.parametrize("options", [["--format", "jsonl", "--n-best", "2"], ["--scores"]])
def test_figures_and_formats_are_resumed(
    translate: RunNmt, tiny_corpus: Path, tmp_path: Path, options: list[str]
) -> None:
    output, partial = tmp_path / "out", tmp_path / "out.partial"
    command = ["-i", tiny_corpus / "val.de", *options]
    whole = translate(*command).stdout
    partial.write_text("".join(whole.splitlines(keepends=True)[:5]) + "half a li", encoding="utf-8")
    assert translate(*command, "-o", output, "--resume").returncode == 0
    assert output.read_text("utf-8") == whole


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (["Something else.", "Quite different.", "Not a translation."], "comes from another job: line 1 is 'Something"),
        ([""] * 50, "has more lines than the input, which ends at 40"),
    ],
)
def test_work_of_another_job_is_not_gone_on_with(
    translate: RunNmt, tiny_corpus: Path, tmp_path: Path, kept: list[str], message: str
) -> None:
    output, partial = tmp_path / "out", tmp_path / "out.partial"
    partial.write_text("".join(f"{line}\n" for line in kept))
    refused(translate("-i", tiny_corpus / "train.de", "-o", output, "--resume"), message)
    assert partial.read_text().splitlines() == kept
    assert not output.exists()


def test_a_complete_output_is_not_made_again(
    translate: RunNmt, tiny_corpus: Path, tmp_path: Path, whole: list[str]
) -> None:
    output, other = tmp_path / "out", "Something else.\n" * 3
    command = ["-i", tiny_corpus / "train.de", "-o", output, "--resume"]
    output.write_text("".join(f"{line}\n" for line in whole), "utf-8")
    assert f"{len(whole)} lines are in {output} already" in translate(*command, check=True).stderr
    assert output.read_text("utf-8").splitlines() == whole
    output.write_text(other)
    refused(translate(*command), f"{output} comes from another job")
    assert (output.read_text(), [*tmp_path.iterdir()]) == (other, [output])
    output.write_text("Notes without end")
    refused(translate(*command), f"The last line of {output} has no end")
    assert output.read_text() == "Notes without end"
    output.write_text("")
    translate("-i", os.devnull, "-o", output, "--resume", check=True)
    assert [*tmp_path.iterdir()] == [output], "of no lines, an empty file is complete"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--resume"], "-o"),
        (["--interactive", "-i", "x"], "--interactive"),
        (["--interactive", "-o", "x"], "--interactive"),
        (["--score-only", "a", "b", "--resume"], "--score-only"),
        (["--top-k", "5"], "--top-k has an effect with --search sample alone"),
        (["--score-only", "a", "b", "--n-best", "3"], "--n-best has no effect beside --score-only"),
        (["--score-only", "a", "b", "--mbr", "chrf"], "--mbr has no effect beside --score-only"),
        (["--diversity", "3"], "Give --beam-groups, too"),
        (["--unknown-lexicon", __file__], "Give --replace-unknown, too"),
    ],
)
def test_what_does_not_go_together(translate: RunNmt, options: list[str], expected: str) -> None:
    refused(translate(*options, stdin="Hund\n"), expected)


def test_the_input_is_not_written_over(
    translate: RunNmt, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pair[0].parent)
    Path("-").touch()
    assert translate(stdin="Hund\n").returncode == 0, "- is standard input, not a file"
    before = pair[0].read_bytes()
    for arguments in ((pair[0],), ("--score-only", *pair)):
        refused(translate(*arguments, "-o", pair[0]), "it is an input, which would be lost")
    assert pair[0].read_bytes() == before
