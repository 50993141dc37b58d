"""Which models are served: those that are named, and those in the folders that are named."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from nmt.core.errors import UserError
from nmt.extensions.serving import app
from nmt.extensions.serving.app import load_models, serve
from nmt.extensions.serving.service import Service
from nmt.translation.translator import Translator


def test_a_folder_stands_for_the_models_in_it(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("b", "a"):
        shutil.copytree(tiny_model, tmp_path / "runs" / name)
    (tmp_path / "runs" / "unfinished").mkdir()
    shutil.copy(tiny_model / "recipe.yaml", tmp_path / "runs" / "unfinished")
    (tmp_path / "runs" / "notes.txt").write_text("a\n")
    models = load_models([tmp_path / "runs", tiny_model], "cpu", "torch")
    assert [model.directory for model in models] == [tmp_path / "runs" / "a", tmp_path / "runs" / "b", tiny_model]


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "nowhere", tmp_path / ("x" * 5000)):
        with pytest.raises(UserError, match="not a model directory"):
            load_models([name], "cpu", "torch")


def test_a_signal_before_the_server_runs_stops_it(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "say", lambda text: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr("sys.setswitchinterval", lambda seconds: None)
    serve(Service([translator]), "127.0.0.1", 0)  # would run for ever


def test_compose_serves_the_folder_that_it_mounts(repo_root: Path, run_nmt: Any) -> None:
    service = yaml.safe_load((repo_root / "compose.yaml").read_text("utf-8"))["services"]["nmt"]
    [volume] = service["volumes"]
    host, inside, *mode = volume.split(":")
    assert (host, inside) == ("./runs", service["command"][0])
    assert mode == []  # corrections are written into the folders
    refused = run_nmt("serve", repo_root / "tests" / "nowhere", *service["command"][1:])
    assert "not a model directory" in refused.stderr
    assert f":{inside}:ro nmt {inside}" in (repo_root / "Dockerfile").read_text("utf-8")
