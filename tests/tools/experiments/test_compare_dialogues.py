"""The converter of the chat task's dialogues, and the comparison of systems on them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def dialogue(number: int) -> list[dict[str, Any]]:
    """Agent, customer, customer, agent; with white space that would break lines."""
    said = [("agent", "Hi {}!", "Hallo {}!"), ("customer", "Ja\t{}.", "Yes\n{}."), ("customer", "Und?", "And?")]
    said.append(("agent", "Bye {}.", "Tschüs {}."))
    return [
        {"utteranceID": i, "speaker": who, "source": source.format(number), "target": target.format(number)}
        for i, (who, source, target) in enumerate(said)
    ]


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").split("\n")[:-1]


def test_turns_stand_behind_those_before_them_in_both_languages(repo_root: Path, tmp_path: Path) -> None:
    for name, numbers in (("train", range(60)), ("dev", range(100, 103))):
        (tmp_path / f"{name}.json").write_text(json.dumps({f"d{n}": dialogue(n) for n in numbers}), encoding="utf-8")
    command = [sys.executable, repo_root / "tools" / "corpora" / "chat_corpus.py"]
    command += [tmp_path / "train.json", tmp_path / "dev.json", "-o", tmp_path / "chat", "--context", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "train.en, .de, .speaker: 40 lines" in done.stdout
    assert done.stderr == ""
    converted = tmp_path / "chat"
    assert lines(converted / "train.en")[:5] == [
        "Hi 0!",
        "Hi 0!\tYes 0.",
        "Hi 0!\tYes 0.\tAnd?",
        "Yes 0.\tAnd?\tBye 0.",
        "Hi 1!",
    ]
    assert lines(converted / "train.de")[3] == "Ja 0.\tUnd?\tTschüs 0."
    counts = {split: len(lines(converted / f"{split}.de")) for split in ("train", "val", "test")}
    assert counts == {"train": 10 * 4, "val": 50 * 4, "test": 3 * 4}
    assert lines(converted / "test.de")[0] == "Hallo 100!"
