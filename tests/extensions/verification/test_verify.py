"""``nmt verify`` passes a sound model and catches a broken one."""

import re
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from fixture_types import RunNmt
from refusals import refused
from torch import Tensor

from nmt.core.errors import UserError
from nmt.extensions.verification.verify import TIE, _compared, verify
from nmt.models.attention import AdditiveAttention
from nmt.models.networks.recurrent import BahdanauDecoder
from nmt.translation.results import Candidate, Translation

EXACT = [
    "batch size 1",
    "batch size 7",
    "batch size 64",
    "another order",
    "search = forced",
    "caches: steps = unrolled",
]


def test_a_sound_model_passes(run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path) -> None:
    done = run_nmt("verify", tiny_model, tiny_corpus / "train.de", tiny_corpus / "train.en", "--limit", 12, check=True)
    assert "FAILED" not in done.stdout
    rows = done.stdout.splitlines()
    for name in EXACT:
        [row] = [row for row in rows if name in row]
        assert row.removeprefix(name).split()[:3] == ["12", "0", "0"]
        assert "passed" in row
    assert any("bfloat16" in row and "% change" in row for row in rows)
    assert "isn't checked" in done.stderr  # the exports are for Transformers, or their packages are missing


def test_the_sentences_may_come_from_the_samples(run_nmt: RunNmt, vanilla_model: Path, tmp_path: Path) -> None:
    assert run_nmt("verify", vanilla_model, "--limit", 3).returncode == 0
    (tmp_path / "recipe.yaml").write_text((vanilla_model / "recipe.yaml").read_text("utf-8"), "utf-8")
    refused(run_nmt("verify", tmp_path), "Name a file with source sentences")
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "step-000001.txt").write_bytes(b"\xe8")
    refused(run_nmt("verify", tmp_path), "step-000001.txt, line 1: not UTF-8")


def test_nothing_to_translate(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="nothing to translate"):
        next(verify(tiny_model, []))


@pytest.mark.slow
def test_padding_that_counts_is_caught(
    tiny_model: Path, tiny_corpus: Path, run_nmt: RunNmt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("\n" * 100 + (tiny_corpus / "train.de").read_text("utf-8"), "utf-8")

    def careless(self: AdditiveAttention, query_BQD: Tensor, memory: Any) -> tuple[Tensor, Tensor]:
        weights_BQS = (self.scores(query_BQD, memory) * 0).softmax(-1)  # padding has its share
        return weights_BQS @ memory.values_BSD, weights_BQS

    monkeypatch.setattr(AdditiveAttention, "forward", careless)
    done = run_nmt("verify", tiny_model, tmp_path / "text", "--limit", 112)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "usual: " in done.stdout
    assert re.search(r", line 1\d\d:", done.stdout), "blank lines count"


def test_a_state_that_forgets_is_caught(tiny_model: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = BahdanauDecoder.advance

    def forgetful(self: BahdanauDecoder, token_N: Tensor, state: Any, need_weights: bool = False) -> Any:
        read, following = whole(self, token_N, state, need_weights)
        return read, type(state)(tuple(part * 0.9 for part in following.cells), following.memory)

    monkeypatch.setattr(BahdanauDecoder, "advance", forgetful)
    lines = (tiny_corpus / "train.de").read_text("utf-8").splitlines()[:12]
    failed = [check.name for check in islice(verify(tiny_model, lines, device="cpu"), len(EXACT)) if not check.holds]
    assert set(failed) >= {"caches: steps = unrolled", "search = forced"}


def test_ties_are_counted_apart() -> None:
    def translation(text: str, score: float) -> Translation:
        return Translation("Quelle", text, score, [])

    usual = [translation("a", -1.0), translation("b", -2.0), translation("c", -3.0), translation("d", -4.0)]
    found = [translation("a", -1.1), translation("x", -2.0 + TIE / 2), Candidate("y", -3.001, []), usual[3]]
    check = _compared("name", True, usual, found)
    assert (check.num_lines, check.num_ties, [line for line, *_ in check.differences]) == (4, 1, [3])
    assert not check.holds
    rounded = _compared("name", False, usual, found)
    assert [line for line, *_ in rounded.differences] == [2, 3]
    assert rounded.holds
