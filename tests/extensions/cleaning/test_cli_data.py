"""``nmt check-data`` as a user sees it: what it prints, and how it ends."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

RunNmt = Callable[..., "subprocess.CompletedProcess[str]"]


def test_sound_text_ends_with_0(run_nmt: RunNmt, tiny_corpus: Path, tiny_model: Path) -> None:
    files = [tiny_corpus / f"{split}.{side}" for split in ("train", "val") for side in ("de", "en")]
    done = run_nmt("check-data", *files[:2], "--test", *files[2:], "--vocabulary", tiny_model)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split()[:2] == ["40", "pairs"]
    assert done.stdout.splitlines()[-1].startswith("No serious problem was found: 0 serious")


def test_what_is_serious_ends_with_1_and_says_what_to_do(run_nmt: RunNmt, tiny_corpus: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "train.en"
    spoilt.write_bytes((tiny_corpus / "train.en").read_bytes() + b"gr\xfcn [bold]\n")
    done = run_nmt("check-data", tiny_corpus / "train.de", spoilt)
    assert done.returncode == 1
    assert "serious: train.de has 40 lines, train.en has 41: 1 line" in done.stdout
    assert "    line 41: gr\\xfcn [bold]" in done.stdout
    assert "  → Convert the file with `iconv" in done.stdout
    assert "Solve the serious problems" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if "    line " not in line) <= 80


def test_json(run_nmt: RunNmt, tiny_corpus: Path) -> None:
    files = [tiny_corpus / "train.de", tiny_corpus / "train.en"]
    done = run_nmt("check-data", *files, "--test", *files, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["sound"] is False
    assert found["num_pairs"] == 40
    leak = next(finding for finding in found["findings"] if finding["check"] == "test-pairs-in-train")
    assert leak["severity"] == "serious"
    assert set(leak["examples"][0]) == {"line", "text"}


def test_a_recipe_is_checked_with_its_settings(run_nmt: RunNmt, tiny_recipe: Path, tmp_path: Path) -> None:
    done = run_nmt("check-data", tiny_recipe, "--set", "data.max_length=2")
    assert "40 pairs" in done.stdout
    assert "more than 2 words on a side (100 %)" in " ".join(done.stdout.split())
    assert done.returncode == 1


def test_what_cannot_be_read_ends_with_2(run_nmt: RunNmt, tiny_corpus: Path, tmp_path: Path) -> None:
    train = [tiny_corpus / "train.de", tiny_corpus / "train.en"]
    empty = tmp_path / "empty"
    empty.touch()
    for arguments, expected in (
        ((train[0], tmp_path / "missing.en"), "File not found"),
        ((empty, empty), "is empty"),
        ((*train, "--vocabulary", tmp_path / "nowhere"), "There is no vocabulary"),
        ((*train, "--set", "seed=1"), "two files"),
        (("multi30k/transfromer",), "transformer"),
    ):
        done = run_nmt("check-data", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("Error: ")
        assert expected in done.stderr
