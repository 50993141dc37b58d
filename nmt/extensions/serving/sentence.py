"""The translation of one sentence in detail, under ``/v1`` and as a page: search, attention and interventions."""

import base64
import hashlib
import re
from functools import cache
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import HTMLResponse, JSONResponse, Response

from nmt.core.errors import UserError, shortened
from nmt.extensions.lecture.interventions import Intervention, Side
from nmt.extensions.lecture.sentence import SentenceViewer
from nmt.extensions.lecture.sentence_page import render_live_page
from nmt.extensions.serving.http import admit
from nmt.extensions.serving.limits import ApiError
from nmt.extensions.serving.service import Service
from nmt.extensions.serving.v1 import Body, Model
from nmt.plotting.templates import rounded

NUM_TOP = 5
"""Most probable tokens of each step in an answer."""


class SentenceBody(Body):
    """A sentence."""

    text: str = Field(max_length=10_000, description="a sentence")
    model: Model = None
    beam_size: int | None = Field(None, ge=1, le=10, description="hypotheses of the search")


class InspectBody(SentenceBody):
    """A sentence."""

    alternatives: int = Field(4, ge=0, le=10, description="other tokens of each position that are tried")


class Change(Body):
    """An intervention; see :class:`nmt.extensions.lecture.interventions.Intervention`."""

    kind: Literal["off", "uniform", "word", "head", "skip"]
    to: int = Field(0, ge=0)
    heads: tuple[int, ...] | None = Field(None, max_length=1000)
    step: int | None = Field(None, ge=0)
    side: Side = "decoder"


class InterveneBody(SentenceBody):
    """A sentence and interventions."""

    interventions: list[Change] = Field(
        min_length=1,
        max_length=64,
        description="objects with `kind` (off, uniform, word, head or skip), `to` (source token, head or layer), "
        "`heads`, `step` and `side`",
    )


def router(service: Service) -> APIRouter:
    """Returns the routes of the API."""
    routes = APIRouter(prefix="/v1", tags=["nmt"])

    @routes.post("/inspect")
    async def inspect(request: Request, body: InspectBody) -> Response:
        """Shows the translation of a sentence in detail: `view` has the search tree, attention and alternatives."""

        def view(texts: Any) -> list[Any]:
            viewer, _ = _viewer(service, body, body.alternatives)
            return [{"model": viewer.describe(), "view": viewer.view(1, text)} for text in texts]

        _admit(service, request, body)
        [[found]] = await service.run(request, [lambda context: context.call(view, [body.text])])
        return JSONResponse(rounded(found))

    @routes.post("/intervene")
    async def intervene(request: Request, body: InterveneBody) -> Response:
        """Translations of a sentence under changes of attention, heads and layers, one for each intervention."""

        def translate(changes: Any) -> list[Any]:
            viewer, source = _viewer(service, body)
            wanted = [_checked(viewer, len(source), change) for change in changes]
            [[best, *_]] = viewer.search(source, [()], viewer.options)
            return viewer.intervene(source, best.ids, wanted, NUM_TOP)

        _admit(service, request, body)
        [found] = await service.run(request, [lambda context: context.call(translate, body.interventions)])
        return JSONResponse({"results": rounded(found)})

    return routes


def _admit(service: Service, request: Request, body: SentenceBody) -> None:
    admit(service, request)
    if not service.limits.inspect_limit:
        raise ApiError(403, "This server does not inspect sentences")
    if body.model is not None and body.model not in service.router.named:
        raise ApiError(400, f"{shortened(body.model)} is no model: see /v1/models")


def _viewer(service: Service, body: SentenceBody, num_alternatives: int = 0) -> tuple[SentenceViewer, list[int]]:
    """Returns a viewer for one request, as its hooks allow no other thread, and the ids of the sentence."""
    named = service.router.named
    name = next(iter(named)) if body.model is None else body.model
    viewer = SentenceViewer(named[name], name, body.beam_size, num_alternatives)
    return viewer, list(viewer.encode(1, body.text, service.limits.inspect_limit))


def _checked(viewer: SentenceViewer, num_pieces: int, change: Change) -> Intervention:
    """Returns an intervention that a model and a sentence can have.

    Raises:
        UserError: there is no such head, layer or source token.
    """
    model = viewer.describe()
    num_heads = len(model["heads"])
    limits = {"word": num_pieces + 1, "head": num_heads, "skip": model["layers"][change.side]}
    heads = change.heads if change.heads is not None else (0,) * (change.kind != "skip")
    if change.to >= limits.get(change.kind, change.to + 1) or not all(0 <= head < num_heads for head in heads):
        raise UserError(f"{change.kind}: no such head, layer or token in {viewer.name} and this sentence.", "")
    return Intervention(**dict(change))


@cache
def sentence_page(policy: str) -> Response:
    """Returns the page of a sentence, with a content security policy that allows its own script and styles."""
    text = render_live_page()
    hashes = {
        tag: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
            for part in re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        )
        for tag in ("script", "style")
    }
    policy = f"{policy}; script-src {hashes['script']}; style-src {hashes['style']}"
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})
