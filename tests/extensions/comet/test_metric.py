"""COMET as a metric, with a package in its place that has its functions: its models can't be downloaded by tests."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nmt.core.errors import UserError
from nmt.evaluation.scores import score
from nmt.extensions.comet import metric


class Model:
    """Scores a translation by half of the number of its letters that the reference, or the source, has."""

    def __init__(self, with_reference: bool) -> None:
        self.calls, self.requires_references = [], lambda: with_reference

    def predict(self, samples: list[dict[str, str]], **options: Any) -> SimpleNamespace:
        self.calls += samples
        assert options["gpus"] in (0, 1)
        key = "ref" if self.requires_references() else "src"
        return SimpleNamespace(scores=[len({*s["mt"]} & {*s[key]} - {" "}) / 2 for s in samples])


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, Model]:
    """The models by the path that they are loaded from."""
    known = {f"/cache/{name}": Model("kiwi" not in name) for name in ("wmt22-comet-da", "wmt22-cometkiwi-da")}

    def download_model(name: str, saving_directory: str | None = None, local_files_only: bool = False) -> str:
        assert local_files_only  # nothing is downloaded without the user
        return f"/cache/{name.rpartition('/')[2]}"

    def load_from_checkpoint(path: str, local_files_only: bool = False) -> Model:
        return known[path]

    monkeypatch.setitem(sys.modules, "comet", SimpleNamespace(**locals()))
    monkeypatch.setattr(metric, "version", lambda name: "2.2.7")
    metric._scorer.cache_clear()
    return known


def test_it_reads_source_translation_and_reference(models: dict[str, Model]) -> None:
    given = score(["a b", "x y"], ["a c", "x y"], ["comet"], sources=["s", "t"])["comet"]
    assert given.score == 75.0
    assert given.signature == "model:wmt22-comet-da|scale:100|unbabel-comet:2.2.7"
    assert models["/cache/wmt22-comet-da"].calls[0] == {"src": "s", "mt": "a b", "ref": "a c"}
    score(["a b", "x y"], ["a c", "x y"], ["comet"], sources=["s", "t"])
    assert len(models["/cache/wmt22-comet-da"].calls) == 2
    best = metric.Comet().sentence_scores(["a b"], [["a c"], ["a b"]], ["s"])
    assert best == [100.0]


def test_cometkiwi_reads_no_reference(models: dict[str, Model]) -> None:
    assert score(["a b"], metrics=["cometkiwi"], sources=["a c"])["cometkiwi"].score == 50.0
    assert models["/cache/wmt22-cometkiwi-da"].calls == [{"src": "a c", "mt": "a b"}]


def test_the_user_names_another_model(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "own-model" / "checkpoints" / "model.ckpt"  # hparams.yaml is in own-model
    models[str(own)] = Model(with_reference=True)
    monkeypatch.setenv("NMT_COMET", str(own))
    assert score(["a"], ["a"], ["comet"], sources=["s"])["comet"].signature.startswith("model:own-model|")
    monkeypatch.setenv("NMT_COMETKIWI", str(own))
    with pytest.raises(UserError, match="needs references"):
        metric.CometKiwi()


@pytest.mark.usefixtures("models")
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_COMET", "some/model")
    with pytest.raises(UserError, match=r"""'some/model' can't be loaded.*\n.*download_model\("some/model"\)'"""):
        metric.Comet()
    monkeypatch.setenv("NMT_COMET", "no/such/model.ckpt")
    with pytest.raises(UserError, match=r"can't be loaded.*\nCheck the path"):
        metric.Comet()
    monkeypatch.setitem(sys.modules, "comet", None)
    metric._scorer.cache_clear()
    with pytest.raises(UserError, match="package comet is not installed"):
        metric.Comet()
