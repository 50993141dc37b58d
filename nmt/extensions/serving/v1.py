"""The API of nmt under ``/v1``: translation with candidates, constraints and word alignment, streams, and scores."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from nmt.alignment.links import to_json
from nmt.extensions.documents.elements import public_code
from nmt.extensions.documents.segmentation import translated
from nmt.extensions.quality.examination import is_calibrated
from nmt.extensions.serving.http import admit, admit_correction
from nmt.extensions.serving.languages import described, direction, languages_of
from nmt.extensions.serving.limits import ApiError, time_limit
from nmt.extensions.serving.service import RequestContext, Service, wide_beam
from nmt.translation.glossary import Glossary
from nmt.translation.options import TranslationOptions
from nmt.translation.request import OutputConstraints
from nmt.translation.request import Request as Sentence
from nmt.translation.results import Translation
from nmt.translation.translator import Translator

Text = Annotated[str, Field(max_length=1_000_000)]
Model = Annotated[str | None, Field(max_length=1000, description="name of one of `/v1/models`; otherwise the first")]
Phrase = Annotated[str, Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """Base of request bodies: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class TranslateBody(Body):
    """Sentences or texts to translate."""

    text: Text | Annotated[list[Text], Field(min_length=1)] = Field(description="a text, or a list of them")
    source: str = Field("auto", description="code of the language, or auto", max_length=100)
    target: str = Field(description="code of the language to translate to", max_length=100)
    split: bool = Field(True, description="divide texts into sentences; otherwise each text is one sentence")
    n_best: int = Field(1, ge=1, le=50, description="candidates of each sentence")
    alignment: bool = Field(False, description="give links between the words of source and translation")
    check: bool | Literal["repair"] = Field(
        False, description="give the problems of each sentence; repair: search again where there are some"
    )
    confidence: bool = Field(
        False,
        description="give the probability that each sentence, and each word, is acceptable, if the model is calibrated",
    )
    prefix: str = Field("", max_length=1000, description="beginning of the translation; needs split=false")
    must_contain: list[Phrase] = Field(
        [], max_length=20, description="phrases that the translation contains; needs split=false"
    )
    forbid: list[Phrase] = Field([], max_length=50, description="phrases that no translation contains")
    beam_size: int | None = Field(None, ge=1, le=50, description="hypotheses of the search; 1 is greedy")
    alpha: float | None = Field(None, ge=0, le=10, description="strength of the length penalty")
    glossary: dict[Phrase, Phrase] = Field({}, max_length=1000, description="terms and their translations")
    suggest: bool = Field(False, description="give a similar entry of the memory with each sentence")
    model: Model = None
    stream: bool = Field(False, description="send server-sent events while search goes on; for one text")


class FeedbackBody(Body):
    """A corrected translation."""

    text: Text = Field(description="a sentence or a text", min_length=1)
    translation: Text = Field(description="its correct translation", min_length=1)
    source: str = Field(description="code of the source language", max_length=100)
    target: str = Field(description="code of the target language", max_length=100)
    model: Model = None


class PairsBody(Body):
    """Sentence pairs."""

    source: str = Field(description="code of the source language", max_length=100)
    target: str = Field(description="code of the target language", max_length=100)
    model: Model = None
    pairs: list[tuple[Text, Text]] = Field(description="sentences and their translations", min_length=1)


def router(service: Service) -> APIRouter:
    """Returns the routes of the API."""
    routes = APIRouter(prefix="/v1", tags=["nmt"])

    @routes.post("/translate")
    async def translate(request: Request, body: TranslateBody) -> Response:
        """Translate texts. The answer has a list `translations`, in order."""
        admit(service, request)
        texts = [body.text] if isinstance(body.text, str) else body.text
        service.check_size(texts)
        if body.split and (body.prefix or body.must_contain):
            raise ApiError(400, "Invalid request: prefix and must_contain need split=false, for single sentences")
        glossary = await run_in_threadpool(Glossary, body.glossary)  # a large one takes a second
        jobs = [Job(service, body, text, glossary) for text in texts]
        if not body.stream:
            found = await service.run(request, jobs, num_characters=sum(map(len, texts)))
            return JSONResponse({"translations": found})
        if len(jobs) > 1:
            raise ApiError(400, "Invalid request: a stream has one text")
        events = _events(service, jobs[0])
        return StreamingResponse(_with_errors(await anext(events), events), media_type="text/event-stream")

    @routes.post("/feedback")
    async def feedback(request: Request, body: FeedbackBody) -> Response:
        """Add a corrected translation to the memory of the model, which then translates the text by it."""
        admit_correction(service, request)
        await run_in_threadpool(service.correct, body.source, body.target, body.text, body.translation, body.model)
        return JSONResponse({"success": True})

    @routes.post("/align")
    async def align(request: Request, body: PairsBody) -> Response:
        """Word alignments of given sentence pairs: words, links and attention weights."""
        model = _direct(service, request, body)
        [found] = await service.run(request, [lambda context: context.call(model.align, body.pairs)])
        return JSONResponse({"alignments": [to_json(alignment) for alignment in found]})

    @routes.post("/score")
    async def score(request: Request, body: PairsBody) -> Response:
        """Log-probabilities of given translations, by token and by sentence."""
        model = _direct(service, request, body)
        [found] = await service.run(request, [lambda context: context.call(model.score, body.pairs)])
        return JSONResponse({"scores": [pair.to_json() for pair in found]})

    @routes.get("/models")
    async def models() -> Response:
        """The models, each with its direction, system and default decoding options."""
        found = []
        for name, model in service.router.named.items():
            source, target = direction(model)
            system = {"encoder": model.recipe.model.encoder["type"], "decoder": model.recipe.model.decoder["type"]}
            found.append({
                "name": name,
                "source": described(source),
                "target": described(target),
                "description": model.recipe.description,
                **system,
                "alignment": model.has_attention,
                "decoding": model.recipe.decoding.model_dump(mode="json"),
            })  # fmt: skip
        return JSONResponse({"models": found})

    @routes.get("/health")
    async def health() -> Response:
        """Whether the server works, and how much it has to do."""
        return JSONResponse({"status": "ok", "waiting_sentences": service.engine.num_waiting})

    return routes


class Job:
    """One text of a request, with the options of its translation."""

    def __init__(self, service: Service, body: TranslateBody, text: str, glossary: Glossary) -> None:
        self._service, self._body, self._text, self._glossary = service, body, text, glossary

    def __call__(self, context: RequestContext, send: Callable[[str, Any], None] | None = None) -> dict[str, Any]:
        """The object of this text in the answer; ``send`` gets the events of a stream, each with its name and data."""
        body, source, detected = self._body, self._body.source, {}
        if source.strip().lower() == "auto":
            source, confidence = next(iter(languages_of(self._text, self._service.router.codes)), (body.target, 0.0))
            detected = {"confidence": confidence}
        route = self._service.route(source, body.target, body.model)
        segments, texts = self._service.divided(route, self._text, source, body.split)
        on_partial = None
        if send is not None and not body.glossary:  # which translates some sentences twice
            on_partial = lambda at, text: send("partial", {"index": at, "text": text})  # noqa: E731
        current = route[0].task.reader.current if route else str
        sentences = (Sentence(text, body.prefix, tuple(body.must_contain)) for text in texts)
        requested = [self._glossary.requested(each, current) for each in sentences]
        found = context.translate(route, requested, self._settings(route), on_partial)
        memory = self._service.memories.get(route[-1]) if body.suggest and len(route) == 1 else None
        if memory is not None:
            found = [*map(memory.suggest, found)]
        text = "".join(translated(segments, (translation.text for translation in found)))
        return {"text": text, "source": public_code(source), **detected, "sentences": [*map(self._sentence, found)]}

    def _settings(self, route: Sequence[Translator]) -> TranslationOptions:
        body = self._body
        decoding = wide_beam(route, body.n_best)
        if body.beam_size is not None:
            decoding["beam_size"] = max(body.beam_size, body.n_best)
        if body.alpha is not None:
            decoding["alpha"] = body.alpha
        if route:
            route[-1].options(**decoding)  # raises UserError for options that exclude each other
        with_confidence = body.confidence and len(route) == 1 and is_calibrated(route[0])
        options = TranslationOptions(body.n_best, body.alignment, OutputConstraints(body.forbid), decoding=decoding)
        return options.changed(check=body.check, with_confidence=with_confidence)

    def _sentence(self, translation: Translation) -> dict[str, Any]:
        """Returns the object of ``nmt translate --format jsonl``, with phrases and terms that could not be placed."""
        missing = [phrase for phrase in self._body.must_contain if phrase not in translation.text]
        missing += [target for _, target in self._glossary.missing(translation.source, translation.text)]
        return translation.to_json() | ({"missing": missing} if missing else {})


def _direct(service: Service, request: Request, body: PairsBody) -> Translator:
    """Returns the model of a direction, for sentence pairs within the limits."""
    admit(service, request)
    for texts in zip(*body.pairs, strict=True):
        service.check_size(texts)
    return service.direct(body.source, body.target, body.model)


async def _events(service: Service, job: Job) -> AsyncIterator[str]:
    """Server-sent events: ``partial`` for unfinished sentences, then ``translation`` or ``error``."""
    loop, waiting = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    def send(name: str, data: Any) -> None:
        event = f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
        loop.call_soon_threadsafe(waiting.put_nowait, event)

    with service.accept() as context:
        work = service.start(context, [partial(job, send=send)])
        work.add_done_callback(lambda done: waiting.put_nowait(None))
        try:
            async with asyncio.timeout(service.limits.time_limit):
                while (event := await waiting.get()) is not None:
                    yield event
        except TimeoutError:
            raise time_limit(service.limits.time_limit) from None
        [answer] = work.result()
        yield f"event: translation\ndata: {json.dumps(answer, ensure_ascii=False)}\n\n"


async def _with_errors(first: str, events: AsyncIterator[str]) -> AsyncIterator[str]:
    """Returns the events after the first; an error is the last event, because the status has been sent already."""
    yield first
    try:
        async for event in events:
            yield event
    except ApiError as error:
        yield f"event: error\ndata: {json.dumps({'error': error.detail})}\n\n"
