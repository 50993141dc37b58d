"""``nmt calibrate``, and the options of ``nmt translate`` that use what it writes."""

import json
from pathlib import Path

import pytest
from fixture_types import RunNmt
from refusals import refused

LINES = "Der Hund schläft im Garten.\n\nGarten schläft Wasser um Lied Zug Bäcker.\n"


def test_calibrated_confidence_tells_known_text_from_other_text(
    own_model: Path, tiny_corpus: Path, run_nmt: RunNmt, tmp_path: Path
) -> None:
    """Calibrated on the training text, and once more with the words of the sources in reverse order."""
    source, target = ((tiny_corpus / f"train.{side}").read_text("utf-8").splitlines() for side in ("de", "en"))
    odd_source = [" ".join(reversed(line.split())) for line in source]
    files = tmp_path / "x.de", tmp_path / "x.en"
    files[0].write_text("\n".join(source + odd_source) + "\n", "utf-8")
    files[1].write_text("\n".join(target + target) + "\n", "utf-8")
    done = run_nmt("calibrate", own_model, *files, "--min-chrf", "90", "--samples", 2, check=True)
    assert "expected calibration error of words" in " ".join(done.stderr.split())
    written = json.loads((own_model / "calibration.json").read_text("utf-8"))
    assert written["samples"] == 2
    assert "agreement" in written["weights"]
    done = run_nmt("translate", own_model, "--format", "jsonl", "--confidence", "--abstain", "0.6", stdin=LINES)
    good, empty, odd = map(json.loads, done.stdout.splitlines())
    assert good["confidence"] > 0.6 > odd["confidence"]
    words = [sum(each["word_confidences"]) / len(each["word_confidences"]) for each in (good, odd)]
    assert words[0] > words[1]
    assert len(good["word_confidences"]) == len(good["translation"].split())
    assert "confidence" not in empty
    assert "abstained" not in good
    assert (odd["translation"], odd["abstained"]) == ("", True)
    assert odd["n_best"][0]["translation"]
    text = run_nmt("translate", own_model, "--abstain", "0.6", stdin=LINES).stdout
    assert text == good["translation"] + "\n\n\n"


def test_repair_works_in_text(tiny_model: Path, run_nmt: RunNmt) -> None:
    plain, repaired = (run_nmt("translate", tiny_model, *given, stdin=LINES).stdout for given in ([], ["--repair"]))
    assert repaired.splitlines()[0] == plain.splitlines()[0]
    done = run_nmt("translate", tiny_model, "--repair", "--format", "jsonl", stdin=LINES)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["translation"] for each in found] == repaired.splitlines()
    assert (found[0]["problems"], found[0]["repaired"]) == ({}, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--confidence"], "--format jsonl"),
        (["--abstain", "0.5"], "has no calibration.json"),
        (["--confidence", "--format", "jsonl"], "nmt calibrate MODEL_DIR"),
    ],
)
def test_confidence_that_cannot_be_had_is_refused(
    tiny_model: Path, run_nmt: RunNmt, arguments: list[str], message: str
) -> None:
    refused(run_nmt("translate", tiny_model, *arguments, stdin=LINES), message)


def test_few_pairs_are_refused(tiny_model: Path, tiny_corpus: Path, run_nmt: RunNmt) -> None:
    refused(run_nmt("calibrate", tiny_model, tiny_corpus / "val.de", tiny_corpus / "val.en"), "too few")
    assert not (tiny_model / "calibration.json").exists()
