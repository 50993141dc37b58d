"""Answers that the middleware gives itself."""

import asyncio
import json
from typing import Any

from nmt.extensions.serving.http import RequestMiddleware
from nmt.extensions.serving.service import Service
from nmt.translation.translator import Translator


def test_a_request_that_the_end_of_the_server_cuts_off_gets_json(translator: Translator) -> None:
    sent: list[Any] = []

    async def endless(*given: Any) -> None:
        await asyncio.sleep(600)

    async def send(message: Any) -> None:
        sent.append(message)

    async def stop() -> None:
        scope = {"type": "http", "method": "POST", "headers": [], "http_version": "1.0"}
        task = asyncio.create_task(RequestMiddleware(endless, service)(scope, endless, send))
        await asyncio.sleep(0)
        task.cancel()  # as uvicorn does when its time to stop is over
        await task

    service = Service([translator])
    try:
        asyncio.run(stop())
    finally:
        service.close()
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"]) == {"error": "The server stops: try again later"}
