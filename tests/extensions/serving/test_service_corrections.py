"""Corrections that the server takes and answers with."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nmt
from nmt.core.errors import UserError
from nmt.extensions.serving.service import Service


@pytest.fixture(scope="module")
def own_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the model, into which a memory may be written."""
    folder = tmp_path_factory.mktemp("own") / "model"
    shutil.copytree(tiny_model, folder)
    return folder


def test_corrections_answer_at_once(own_model: Path, serve: Callable[..., Any]) -> None:
    ask = {"text": "Ein Hund schläft im Haus.", "source": "de", "target": "en"}
    correction = ask | {"translation": "The dog sleeps inside."}
    closed = serve(nmt.load(own_model))
    refused = closed.request("/v1/feedback", correction)
    assert (refused.status, "nmt serve --feedback" in refused.json["error"]) == (403, True)
    assert closed.request("/suggest", {"q": "a", "s": "b", "source": "de", "target": "en"}).status == 403
    assert not closed.request("/frontend/settings").json["suggestions"]
    server = serve(nmt.load(own_model), feedback=True)
    assert server.request("/v1/feedback", correction).json == {"success": True}
    [found] = server.request("/v1/translate", ask | {"alignment": True}).json["translations"]
    assert found["text"] == "The dog sleeps inside."
    [sentence] = found["sentences"]
    assert sentence["memory"]["similarity"] == 1.0
    assert sentence["alignment"] is not None
    # A whole text is known, too, and each of its sentences; others are translated by the model.
    both = {"q": "Ein Hund schläft im Haus. Er ist alt.", "s": "An old dog sleeps.", "source": "de", "target": "en"}
    old = server.request("/translate", both).json["translatedText"]
    assert old.startswith("The dog sleeps inside. ")
    assert server.request("/suggest", both).json == {"success": True}
    assert server.request("/translate", both).json == {"translatedText": "An old dog sleeps."}
    forbidden = ask | {"forbid": ["dog"]}
    [found] = server.request("/v1/translate", forbidden).json["translations"]
    assert "memory" not in found["sentences"][0]
    near = ask | {"text": "Ein Hund schläft im Hause.", "suggest": True}
    [found] = server.request("/v1/translate", near).json["translations"]
    assert found["text"] != "The dog sleeps inside."
    assert found["sentences"][0]["memory"]["translation"] == "The dog sleeps inside."
    for wrong in (correction | {"text": " "}, correction | {"source": "xx"}, correction | {"text": "a" * 20_001}):
        assert server.request("/v1/feedback", wrong).status == 400
    missing = server.request("/suggest", {"q": "a", "source": "de", "target": "en"})
    assert (missing.status, missing.json["error"]) == (400, "Invalid request: missing s parameter")
    assert server.request("/frontend/settings").json["suggestions"]


def test_corrections_with_an_api_key(own_model: Path, serve: Callable[..., Any]) -> None:
    body = {"text": "Der Garten.", "translation": "The yard.", "source": "de", "target": "en"}
    server = serve(nmt.load(own_model), keys=("k",))
    assert server.request("/v1/feedback", body).status == 400
    assert server.request("/v1/feedback", body, headers={"Authorization": "Bearer k"}).json == {"success": True}
    form = {"q": "Der Garten.", "s": "The park.", "source": "de", "target": "en", "api_key": "k"}
    assert server.request("/suggest", form=form).json == {"success": True}
    entries = [(entry.source, entry.target) for entry in nmt.TranslationMemory(own_model)]
    assert ("Der Garten.", "The park.") in entries


def test_corrections_need_a_folder_that_can_be_written(own_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != own_model)  # as of a read-only volume
    with pytest.raises(UserError, match="is not writable") as refused:
        Service([nmt.load(own_model)], feedback=True)
    assert "remove --feedback" in refused.value.remedy
    Service([nmt.load(own_model)], api_keys=["k"]).close()
