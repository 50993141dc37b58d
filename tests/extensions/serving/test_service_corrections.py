"""Corrections that the server takes and answers with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nmt
from nmt.core.errors import UserError
from nmt.extensions.serving.service import Service
from tests.extensions.serving.conftest import DIRECTION


def test_corrections_answer_at_once(own_model: Path, serve: Callable[..., Any]) -> None:
    text = "Ein Hund schläft im Haus."
    correction = {"text": text, **DIRECTION, "translation": "The dog sleeps inside."}
    closed = serve(nmt.load(own_model))
    refused = closed.request("/v1/feedback", correction)
    assert (refused.status, "nmt serve --feedback" in refused.json["error"]) == (403, True)
    assert closed.request("/suggest", {"q": "a", "s": "b", **DIRECTION}).status == 403
    assert not closed.request("/frontend/settings").json["suggestions"]
    server = serve(nmt.load(own_model), feedback=True)
    assert server.request("/v1/feedback", correction).json == {"success": True}
    [found] = server.ask(text=text, alignment=True)
    assert found["text"] == "The dog sleeps inside."
    [sentence] = found["sentences"]
    assert sentence["memory"]["similarity"] == 1.0
    assert sentence["alignment"] is not None
    # A whole text is known, too, and each of its sentences; others are translated by the model.
    both = {"q": f"{text} Er ist alt.", "s": "An old dog sleeps.", **DIRECTION}
    assert server.translate(both["q"]).json["translatedText"].startswith("The dog sleeps inside. ")
    assert server.request("/suggest", both).json == {"success": True}
    assert server.translate(both["q"]).json == {"translatedText": "An old dog sleeps."}
    [found] = server.ask(text=text, forbid=["dog"])
    assert "memory" not in found["sentences"][0]
    [found] = server.ask(text="Ein Hund schläft im Hause.", suggest=True)
    assert found["text"] != "The dog sleeps inside."
    assert found["sentences"][0]["memory"]["translation"] == "The dog sleeps inside."
    for wrong in (correction | {"text": " "}, correction | {"source": "xx"}, correction | {"text": "a" * 20_001}):
        assert server.request("/v1/feedback", wrong).status == 400
    missing = server.request("/suggest", {"q": "a", **DIRECTION})
    assert (missing.status, missing.json["error"]) == (400, "Invalid request: missing s parameter")
    assert server.request("/frontend/settings").json["suggestions"]


def test_corrections_with_an_api_key(own_model: Path, serve: Callable[..., Any]) -> None:
    body = {"text": "Der Garten.", "translation": "The yard.", **DIRECTION}
    server = serve(nmt.load(own_model), keys=("k",))
    assert server.request("/v1/feedback", body).status == 400
    assert server.request("/v1/feedback", body, headers={"Authorization": "Bearer k"}).json == {"success": True}
    form = {"q": "Der Garten.", "s": "The park.", **DIRECTION, "api_key": "k"}
    assert server.request("/suggest", form=form).json == {"success": True}
    entries = [(entry.source, entry.target) for entry in nmt.TranslationMemory(own_model)]
    assert ("Der Garten.", "The park.") in entries


def test_corrections_need_a_folder_that_can_be_written(own_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != own_model)  # as of a read-only volume
    with pytest.raises(UserError, match="is not writable") as refused:
        Service([nmt.load(own_model)], feedback=True)
    assert "remove --feedback" in refused.value.remedy
    Service([nmt.load(own_model)], api_keys=["k"]).close()
