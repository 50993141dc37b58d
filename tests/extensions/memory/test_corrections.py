"""Fine-tuning with corrections: what is kept, and what stays."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from refusals import refused

import nmt
from nmt.core.errors import UserError
from nmt.core.files import sha256
from nmt.evaluation.scores import TestSet
from nmt.extensions.memory import corrections
from nmt.extensions.memory.corrections import Outcome, learn_corrections

pytestmark = pytest.mark.extension("comparison")  # two models are compared

STEPS = {"training.max_steps": 2, "training.schedule.warmup_steps": 1, "training.validate_every": 1}


def _outcome(on_corrections: str, on_other: str) -> Outcome:
    """Half of the translations are right before; afterwards they are ``better``, ``worse`` or the ``same``."""
    from nmt.extensions.comparison.significance import SufficientStatistics, paired_test

    reference = [f"The dog number {i} sleeps in the garden." for i in range(40)]
    half = [line if i % 2 else "No." for i, line in enumerate(reference)]
    after = {"better": reference, "worse": ["No."] * 40, "same": half}
    tests = []
    for kind in (on_corrections, on_other):
        test_set = TestSet({"before": half, "after": after[kind]}, [reference])
        tests.append({"chrf": paired_test(SufficientStatistics("chrf", test_set), 200)})
    return Outcome(*tests)


@pytest.mark.quick("better-*")
@pytest.mark.parametrize(
    ("on_corrections", "on_other", "is_better"),
    [("better", "same", True), ("better", "worse", False), ("same", "better", False), ("worse", "same", False)],
)
def test_what_is_kept(on_corrections: str, on_other: str, is_better: bool) -> None:
    assert _outcome(on_corrections, on_other).is_better == is_better


@pytest.mark.parametrize(
    "key", ["model.encoder.num_layers", "vocabulary.size", "training.finetune_from", "data.source"]
)
def test_another_model_is_refused(own_model: Path, key: str) -> None:
    with pytest.raises(UserError, match=f"{key} would make another model"):
        learn_corrections(own_model, {key: 2})


def test_too_few_corrections(own_model: Path) -> None:
    nmt.TranslationMemory(own_model).add([("Der Hund.", "The dog.")])
    with pytest.raises(UserError, match="has 1 corrections, too few"):
        learn_corrections(own_model)
    assert not (own_model / "corrections").exists()


@pytest.mark.slow
@pytest.mark.parametrize("is_better", [True, False])
def test_a_run_that_is_stopped_is_resumed(
    own_model: Path, is_better: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = nmt.TranslationMemory(own_model)
    memory.add([(f"Der Hund {i} schläft.", f"The dog {i} sleeps.") for i in range(120)])
    before = sha256(own_model / "model.safetensors")
    real = corrections._compare
    monkeypatch.setattr(corrections, "_compare", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        learn_corrections(own_model, STEPS)
    tuned = sha256(own_model / "corrections" / "run" / "model.safetensors")
    assert len({before, tuned, sha256(own_model / "model.safetensors")}) == 2
    memory.add([("Später.", "Later.")])  # the next run learns it
    kind = "better" if is_better else "same"

    def compare(*arguments: Any) -> Outcome:
        assert sorted(real(*arguments).corrections) == ["bleu", "chrf"]
        return _outcome(kind, "same")

    monkeypatch.setattr(corrections, "_compare", compare)
    assert learn_corrections(own_model, STEPS) is not None
    assert sha256(own_model / "model.safetensors") == (tuned if is_better else before)
    assert (own_model / "model.before.safetensors").exists() == is_better
    assert not (own_model / "corrections").exists()
    assert len(nmt.TranslationMemory(own_model)) == 121


def test_the_commands(own_model: Path, tmp_path: Path, run_nmt: Callable[..., Any]) -> None:
    table = tmp_path / "a.csv"
    table.write_text("de,en\nDer Hund schläft.,The dog is asleep.\n")
    both = run_nmt("memory", own_model, "--import", table, "--export", tmp_path / "a.tmx")
    assert "memory.sqlite: 1\n" in both.stderr
    assert "<seg>The dog is asleep.</seg>" in (tmp_path / "a.tmx").read_text()
    refused(run_nmt("memory", own_model, "--import", tmp_path / "a.po"), ".tmx or .csv")
    source = tmp_path / "a.de"
    source.write_text("Ein Mann.\nDer Hund schläft.\n")
    plain = run_nmt("translate", own_model, "-i", source).stdout.splitlines()
    found = run_nmt("translate", own_model, "-i", source, "--memory").stdout.splitlines()
    assert found == [plain[0], "The dog is asleep."]
    lines = run_nmt("translate", own_model, "-i", source, "--memory", "--format", "jsonl").stdout.splitlines()
    recalled = json.loads(lines[1])
    assert recalled["memory"]["similarity"] == 1.0
    assert recalled["alignment"]
    refused(run_nmt("learn-corrections", own_model), "too few to learn")
