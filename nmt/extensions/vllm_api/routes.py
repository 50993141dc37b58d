"""The route ``/v1/translations`` in the form that vLLM proposes (vllm-project/vllm#58111)."""

import time
import uuid
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response, StreamingResponse

from nmt.extensions.serving.http import admit
from nmt.extensions.serving.service import Service
from nmt.extensions.serving.v1 import Job, Model, Text, TranslateBody
from nmt.translation.glossary import Glossary
from nmt.translation.languages import CODES


class TranslationsBody(BaseModel):
    """A text to translate. Fields of vLLM that control sampling and instructions are read and have no effect."""

    model: Model = None
    text: Text = Field(description="a text", min_length=1)
    target_language: str = Field(description="code or English name of the language to translate to", max_length=100)
    source_language: str | None = Field(None, description="code or English name; detected by default", max_length=100)
    stream: bool | None = Field(False, description="send the translation as server-sent events")


def router(service: Service) -> APIRouter:
    """Returns the route."""
    routes = APIRouter(prefix="/v1", tags=["vLLM"])

    @routes.post("/translations")
    async def translations(request: Request, body: TranslationsBody) -> Response:
        """Translate a text. The answer has the field `translated_text`."""
        admit(service, request)
        service.check_size([body.text])
        named = (body.source_language or "auto", body.target_language)
        source, target = (CODES.get(language.strip().lower(), language) for language in named)
        own = TranslateBody(text=body.text, source=source, target=target, model=body.model)
        job = Job(service, own, body.text, Glossary({}))
        [found] = await service.run(request, [job], num_characters=len(body.text))
        route = service.route(found["source"], target, body.model)
        name = next((name for name, model in service.router.named.items() if model in route[-1:]), "")
        common = {"id": f"transl-{uuid.uuid4().hex}", "created": int(time.time()), "model": name}
        if body.stream:
            choice = {"index": 0, "delta": {"translated_text": found["text"]}, "finish_reason": "stop"}
            chunk = JSONResponse({**common, "object": "translation.chunk", "choices": [choice]}).body
            return StreamingResponse(iter((b"data: ", chunk, b"\n\ndata: [DONE]\n\n")), media_type="text/event-stream")
        read = [len(route[0].encode_source(each["source"])) + 1 for each in found["sentences"] if route]
        written = [len(each["tokens"]) + 1 for each in found["sentences"]]
        usage = {"prompt_tokens": sum(read), "completion_tokens": sum(written), "total_tokens": sum(read + written)}
        answer: dict[str, Any] = {"object": "translation", "translated_text": found["text"], "usage": usage}
        languages = {"source_language": body.source_language, "target_language": body.target_language}
        return JSONResponse({**common, **answer, **languages})

    return routes
