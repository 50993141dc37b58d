"""``nmt backtranslate`` and ``nmt distill`` as a user sees them: pairs, filters, noise, and runs that were stopped."""

import gzip
import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixture_types import RunNmt
from refusals import refused

from nmt.extensions.synthesis import synthesis
from nmt.extensions.synthesis.synthesis import FILLER, PairOptions, Synthesis, noised
from nmt.metrics.table import METRICS
from nmt.translation.results import Translation
from nmt.translation.translator import Translator
from tests.extensions.synthesis.conftest import MODEL, NUM_LINES, contents, lines_of

SHORT = ("--max-length", 8)
"""The model hardly ever ends a sentence by itself."""


def test_pairs_are_the_lines_and_their_translations(run_nmt: RunNmt, corpus: Path, tmp_path: Path) -> None:
    penalty = ("--length-penalty", "average", "--alpha", 1, *SHORT)
    done = run_nmt("backtranslate", MODEL, "-i", corpus / "mono.en", "-o", tmp_path / "bt", *penalty, check=True)
    made = run_nmt("translate", MODEL, "-i", corpus / "mono.en", "--scores", *penalty).stdout.splitlines()
    expected = [(*made.split("\t")[::-1], line) for made, line in zip(made, lines_of(corpus / "mono.en"), strict=True)]
    removed = [json.loads(line) for line in lines_of(tmp_path / "bt" / "removed.jsonl")]
    left_out = {each["line"]: each for each in removed}
    kept = [expected[number - 1] for number in range(1, NUM_LINES + 1) if number not in left_out]
    scores = [float(line) for line in lines_of(tmp_path / "bt" / "train.scores")]
    assert lines_of(tmp_path / "bt" / "train.de") == [translation for translation, _, _ in kept]
    assert lines_of(tmp_path / "bt" / "train.en") == [line for _, _, line in kept]
    assert scores == pytest.approx([float(score) for _, score, _ in kept], abs=1e-4)
    assert left_out[7] == {"line": 7, "filters": ["empty"], "score": 0.0, "source": "", "target": ""}
    # 5 % of the 59 lines that have words
    assert sum(each["filters"] == ["score"] for each in removed) == 2
    assert max(each["score"] for each in removed if "score" in each["filters"]) <= min(scores)
    report = json.loads((tmp_path / "bt" / "report.json").read_text("utf-8"))
    assert (report["lines"], report["pairs"]) == (NUM_LINES, len(kept)) == (NUM_LINES, NUM_LINES - len(removed))
    assert report["settings"]["drop_worst"] == 0.05
    assert f"{len(kept)} pairs of {NUM_LINES} lines" in done.stderr


def test_filters_leave_out_what_they_should(tmp_path: Path) -> None:
    good = [
        (f"Line {number:03} has words of its own.", f"Zeile {number:03} hat eigene Worte.") for number in range(600)
    ]
    bad = [
        ("A copied line of text.", "A copied line of text.", ["copies"]),
        ("It goes on.", "ja ja ja ja ja ja", ["repeats"]),
        ("A short line of it.", "Eine sehr lange Zeile, " + " und ".join(map(str, range(60))), ["length-ratio"]),
        ("No translation.", "", ["empty"]),
        ("An improbable line.", "Eine andere Zeile.", ["score"]),
    ]
    records = tmp_path / "records"
    scores = [-0.5] * len(good) + [-0.5, -0.5, -0.5, 0.0, -3.0]
    rows = zip([*good, *(each[:2] for each in bad)], scores, strict=True)
    text = "".join(json.dumps({"source": s, "candidates": [[t, score]]}) + "\n" for (s, t), score in rows)
    records.write_text(text, "utf-8")

    def write(name: str, translated: int, **options: float) -> dict[str, Any]:
        made = Synthesis(("xx", "yy"), translated, PairOptions(**{"drop_worst": 0.0, **options}), {})
        return made.write(records, tmp_path / name)

    report = write("distilled", 1, min_score=-2.0)
    assert report["removed"] == {"empty": 1, "copies": 1, "repeats": 1, "length-ratio": 1, "score": 1}
    found = [json.loads(line) for line in lines_of(tmp_path / "distilled" / "removed.jsonl")]
    assert [(each["source"], each["target"], each["filters"]) for each in found] == bad
    assert lines_of(tmp_path / "distilled" / "train.xx") == [source for source, _ in good]
    assert lines_of(tmp_path / "distilled" / "train.yy") == [target for _, target in good]
    write("back", 0, min_score=-2.0)
    assert lines_of(tmp_path / "back" / "train.xx") == [target for _, target in good]
    assert write("all", 1)["removed"]["score"] == 0
    paraphrases = Synthesis(("xx", "xx"), 1, PairOptions(drop_worst=0.0), {})
    paraphrases.write(records, tmp_path / "paraphrases")
    assert lines_of(tmp_path / "paraphrases" / "train.source")[: len(good)] == [source for source, _ in good]
    assert lines_of(tmp_path / "paraphrases" / "train.target")[: len(good)] == [target for _, target in good]
    # of equal scores, the first lines
    assert write("worst", 1, drop_worst=0.25)["removed"]["score"] == 151
    assert lines_of(tmp_path / "worst" / "train.xx")[0] == good[150][0]


def test_noise_is_that_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    line = " ".join(f"w{number}" for number in range(20_000))
    words = noised(line, np.random.default_rng(1)).split()
    assert len(words) / 20_000 == pytest.approx(0.9, abs=0.01)
    assert words.count(FILLER) / len(words) == pytest.approx(0.1, abs=0.01)
    assert all(noised("one word", np.random.default_rng(seed)) for seed in range(300))
    monkeypatch.setattr(synthesis, "NOISE", 0.0)
    moved = [int(word[1:]) - place for place, word in enumerate(noised(line, np.random.default_rng(1)).split())]
    assert (min(moved), max(moved)) == (-3, 3)


@pytest.mark.slow
def test_the_candidate_nearest_to_the_reference_is_chosen(run_nmt: RunNmt, corpus: Path, tmp_path: Path) -> None:
    files = corpus / "mono.en", corpus / "mono.de"
    options = ("--drop-worst", 0, "--beam-size", 3, *SHORT)
    assert run_nmt("distill", MODEL, *files, "-o", tmp_path / "near", *options).returncode == 0
    assert run_nmt("distill", MODEL, files[0], "-o", tmp_path / "best", *options).returncode == 0
    command = ("translate", MODEL, "-i", files[0], "--n-best", 3, "--beam-size", 3, "--format", "jsonl", *SHORT)
    n_best = [json.loads(line)["n_best"] for line in run_nmt(*command).stdout.splitlines()]
    chrf, nearest = METRICS["chrf"](), []
    for candidates, reference in zip(n_best, lines_of(files[1]), strict=True):
        texts = [candidate["translation"] for candidate in candidates]
        nearest.append(max(texts, key=lambda text: chrf.sentence_scores([text], [[reference]])[0]) if texts else "")
    for name, expected in (("near", nearest), ("best", [c[0]["translation"] if c else "" for c in n_best])):
        removed = {json.loads(line)["line"] for line in lines_of(tmp_path / name / "removed.jsonl")}
        kept = [text for number, text in enumerate(expected, start=1) if number not in removed]
        assert lines_of(tmp_path / name / "train.de") == kept
        assert len(lines_of(tmp_path / name / "train.en")) == len(kept)
    assert lines_of(tmp_path / "near" / "train.de") != lines_of(tmp_path / "best" / "train.de")
    options = ("--search", "sample", "--drop-worst", 0, *SHORT)
    assert run_nmt("distill", MODEL, *files, "-o", tmp_path / "sampled", *options).returncode == 0
    settings = json.loads((tmp_path / "sampled" / "report.json").read_text("utf-8"))["settings"]
    assert settings["beam_size"] == 5  # there is something to choose from


def test_compressed_text_gives_compressed_pairs(run_nmt: RunNmt, corpus: Path, tmp_path: Path) -> None:
    source = tmp_path / "mono.en.gz"
    source.write_bytes(gzip.compress((corpus / "mono.en").read_bytes()))
    for text, output in ((source, tmp_path / "out"), (corpus / "mono.en", tmp_path / "plain")):
        done = run_nmt("distill", MODEL, text, "-o", output, "--beam-size", 1, *SHORT, check=True)
        ending = text.suffix.replace(".en", "")
        files = (str(output / f"train.{language}{ending}") for language in ("en", "de"))  # the source first
        assert shlex.join(["nmt", "train", *files, "--minutes", "M"]) in done.stderr
    for name in ("train.en", "train.de"):
        packed = (tmp_path / "out" / f"{name}.gz").read_bytes()
        assert gzip.decompress(packed) == (tmp_path / "plain" / name).read_bytes()


def test_the_translation_of_the_beginning_of_a_line_is_no_pair(run_nmt: RunNmt, corpus: Path, tmp_path: Path) -> None:
    lines = lines_of(corpus / "mono.en")
    (tmp_path / "text.en").write_text("\n".join([*lines[:3], " ".join(lines)]), "utf-8")
    options = ("--drop-worst", 0, "--beam-size", 1, *SHORT)
    done = run_nmt("distill", MODEL, tmp_path / "text.en", "-o", tmp_path / "out", *options, check=True)
    assert "line 4 has" in done.stderr
    assert lines_of(tmp_path / "out" / "train.en") == lines[:3]
    assert [json.loads(line)["filters"] for line in lines_of(tmp_path / "out" / "removed.jsonl")] == [["empty"]]
    divided = run_nmt("distill", MODEL, tmp_path / "text.en", "-o", tmp_path / "all", "--split-sentences", *options)
    assert "4 pairs of 4 lines" in divided.stderr, "a line that is translated in parts is a pair"
    assert all(float(score) < 0 for score in lines_of(tmp_path / "all" / "train.scores"))


SMALL_WINDOWS = (*SHORT, "--batch-size", 2, "--search", "sample", "--noise")
"""32 lines are translated together."""


@pytest.fixture(scope="module")
def whole(run_nmt: RunNmt, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing stops; ``bt.partial`` beside it has its translations."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        kept = Synthesis.write

        def write(self: Synthesis, records: Path, *others: Any) -> dict[str, Any]:
            shutil.copyfile(records, folder / "records")
            return kept(self, records, *others)

        patch.setattr(Synthesis, "write", write)
        run_nmt("backtranslate", MODEL, "-i", corpus / "mono.en", "-o", folder / "bt", *SMALL_WINDOWS, check=True)
    return folder


@pytest.mark.quick("60-*")
@pytest.mark.parametrize(("num_lines", "windows"), [(3, [32, 28]), (32, [28]), (45, [28]), (NUM_LINES, [])], ids=str)
def test_wherever_it_was_stopped(
    run_nmt: RunNmt, corpus: Path, tmp_path: Path, whole: Path, num_lines: int, windows: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    translated, stream = list[int](), Translator.stream

    def recorded(self: Translator, lines: list[Any], *others: Any, **options: Any) -> Iterator[Translation]:
        translated.append(len(lines))
        return stream(self, lines, *others, **options)

    monkeypatch.setattr(Translator, "stream", recorded)
    records = (whole / "records").read_bytes().splitlines(keepends=True)
    partial = tmp_path / "bt.partial"
    partial.write_bytes(b"".join(records[:num_lines]) + b'{"sour')
    command = ("backtranslate", MODEL, "-i", corpus / "mono.en", "-o", tmp_path / "bt", *SMALL_WINDOWS)
    done = run_nmt(*command[:-1], "--resume", "--min-score", -1e-6)  # the filter can be changed
    refused(done, f"kept in {partial}")
    assert "Resume after them" not in done.stderr  # the same command would fail again
    assert partial.read_bytes() == b"".join(records)
    assert translated == [1] * min(num_lines, 5) + windows  # those of the whole run, for the same digits of scores
    assert run_nmt(*command, "--resume").returncode == 0
    assert contents(tmp_path / "bt") == contents(whole / "bt")


def test_records_of_other_options_are_not_mixed(run_nmt: RunNmt, corpus: Path, tmp_path: Path, whole: Path) -> None:
    records = (whole / "records").read_bytes().splitlines(keepends=True)
    (tmp_path / "bt.partial").write_bytes(b"".join(records[:10]))
    # The translations are the same, so that only the record tells.
    command = ("backtranslate", MODEL, "-i", corpus / "mono.en", "-o", tmp_path / "bt", *SMALL_WINDOWS, "--resume")
    refused(run_nmt(*command, "--alpha", 1.5), "comes from another job")
    run_nmt(*command, "--batch-size", 9, check=True)


def test_bad_input_gets_a_message(run_nmt: RunNmt, corpus: Path, tmp_path: Path) -> None:
    mono, output = corpus / "mono.en", tmp_path / "out"
    (tmp_path / "empty.en").touch()
    for name in ("there", "hollow"):
        (tmp_path / name).mkdir()
    (tmp_path / "there" / "file").write_text("of another run")
    (tmp_path / "one.de").write_text("Eine Zeile\n")
    (tmp_path / "blank.en").write_text("\n \n")
    for arguments, expected in (
        (("backtranslate", MODEL, "-i", tmp_path / "empty.en", "-o", output), "nothing to translate"),
        (
            ("backtranslate", MODEL, "-i", tmp_path / "blank.en", "-o", tmp_path / "b"),
            "Name another model or another t",
        ),
        (("backtranslate", MODEL, "-i", mono, "-o", tmp_path / "there"), "exists already"),
        (("backtranslate", MODEL, "-i", mono, "-o", tmp_path / "hollow"), "exists already"),
        (("backtranslate", MODEL, "-i", mono, "-o", tmp_path / "no" / "folder"), "mkdir -p"),
        (("backtranslate", MODEL, "-i", corpus / "mono.de", "-o", output), "translates from en to de"),
        (("backtranslate", MODEL, "-i", mono, "-o", output, "--drop-worst", 1), "--drop-worst"),
        (("backtranslate", MODEL, "-i", mono, "-o", output, "--min-score", 0.5), "--min-score"),
        (("distill", MODEL, mono, tmp_path / "one.de", "-o", output), f"has {NUM_LINES} lines"),
        (("distill", MODEL, mono, tmp_path, "-o", output), "not a regular file"),
        (("distill", MODEL, mono, corpus / "mono.de", "-o", output, "--split-sentences"), "TARGET chooses among"),
        (("distill", MODEL, mono, "-o", output, "--reverse", MODEL), "--reverse has no effect without --teacher"),
    ):
        refused(run_nmt(*arguments), expected)
    there = ["b.partial", "blank.en", "empty.en", "hollow", "one.de", "there"]
    assert sorted(path.name for path in tmp_path.iterdir()) == there
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]
