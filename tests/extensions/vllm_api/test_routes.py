"""``/v1/translations`` in the form that vLLM proposes."""

import json
from typing import Any

from nmt.translation.translator import Translator
from tests.extensions.serving.conftest import backward as backward
from tests.extensions.serving.conftest import server as server
from tests.extensions.serving.conftest import translator as translator

TEXT = "Der Hund schläft im Garten."
BODY = {"text": TEXT, "target_language": "English", "temperature": 0.0, "prompt_template": "…"}


def test_the_answer_has_the_fields_of_vllm(server: Any, translator: Translator) -> None:
    names = [model["name"] for model in server.request("/v1/models").json["models"]]
    for source in ("de", "German", None):
        answer = server.request("/v1/translations", BODY | {"source_language": source}).json
        assert answer["translated_text"] == translator(TEXT).text
        assert (answer["object"], answer["model"], answer["id"][:7]) == ("translation", names[0], "transl-")
        assert (answer["source_language"], answer["target_language"]) == (source, "English")
        assert answer["usage"]["total_tokens"] == sum(answer["usage"].values()) / 2 > 10
    answer = server.request("/v1/translations", BODY | {"stream": True})
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    chunk, done, rest = answer.body.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    event = json.loads(chunk.removeprefix("data: "))
    choice = {"index": 0, "delta": {"translated_text": translator(TEXT).text}, "finish_reason": "stop"}
    assert (event["object"], event["choices"]) == ("translation.chunk", [choice])


def test_errors(server: Any) -> None:
    for change, message in (
        ({"text": None}, "text"),
        ({"target_language": None}, "target_language"),
        ({"target_language": "Klingon"}, "Klingon is not supported"),
        ({"model": "nothing", "source_language": "de"}, "nothing is no model from de to en"),
        ({"text": "a" * 20_001}, "exceeds text limit"),
    ):
        answer = server.request("/v1/translations", BODY | change)
        assert answer.status == 400
        assert message in answer.json["error"]
