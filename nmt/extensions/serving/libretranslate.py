"""The API of LibreTranslate (version 1.9), so that its clients work unchanged."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from nmt.core.errors import shortened
from nmt.core.version import __version__
from nmt.extensions.documents.elements import public_code, translate_page
from nmt.extensions.documents.formats import FORMATS
from nmt.extensions.documents.markup import translate_content
from nmt.extensions.documents.segmentation import translated
from nmt.extensions.documents.tags import KEPT, text_of
from nmt.extensions.serving.http import admit, admit_correction, read_values, without_surrogates
from nmt.extensions.serving.languages import described, languages_of
from nmt.extensions.serving.limits import ApiError
from nmt.extensions.serving.service import RequestContext, Service, wide_beam
from nmt.translation.glossary import Glossary, Term
from nmt.translation.options import TranslationOptions
from nmt.translation.request import Request as Sentence
from nmt.translation.results import Translation
from nmt.translation.translator import Translator

MAX_ALTERNATIVES = 10
"""Candidates beside a translation."""
MAX_DETECTED = 10_000
"""Characters of a file by which its language is detected."""
UNDETECTED = {"confidence": 0.0, "language": "en"}
"""Answer for text without letters."""
KEPT_SECONDS, MAX_KEPT, MAX_KEPT_BYTES = 1800, 100, 500 << 20
"""Limits of translated files: seconds until they are removed, number, and total size."""


@dataclass(frozen=True)
class _Job:
    """One text of a request."""

    service: Service
    text: str
    source: str
    """A code, or auto."""
    target: str
    format: str
    num_alternatives: int

    def __call__(self, context: RequestContext) -> dict[str, Any]:
        """Returns the fields of the answer for this text."""
        detected = detections(self.service, self.text) if self.source == "auto" else []
        source = str(detected[0]["language"]) if detected else self.source
        if source == "auto":  # nothing in it is a word of any language
            translations = [self.text]
        else:
            translations = self._translations(context, self.service.route(source, self.target), source)
        answer: dict[str, Any] = {"translatedText": translations[0]}
        if self.source == "auto":
            answer["detectedLanguage"] = detected[0] if detected else UNDETECTED
        if self.num_alternatives:
            answer["alternatives"] = list(dict.fromkeys(text for text in translations[1:] if text != translations[0]))
        return answer

    def _translations(self, context: RequestContext, route: Sequence[Translator], source: str) -> list[str]:
        """Returns the text by the best translations of its sentences, by the second best, and so on."""
        num = self.num_alternatives + 1
        has_tags = bool(route) and bool(route[0].vocabularies.source.tags_of(self.text))
        if self.format == "html" or (
            KEPT.search(self.text) and not has_tags and not self.service.recalls(route, self.text)
        ):
            search = partial(context.candidates, route, settings=_linked(route, num))
            return self._with_markup(search, num, source)
        segments, sentences = self.service.divided(route, self.text, source)
        found = context.translate(route, sentences, TranslationOptions(num, decoding=wide_beam(route, num)))
        ranked = ([t.n_best[min(rank, len(t.n_best) - 1)].text for t in found] for rank in range(num))
        return ["".join(translated(segments, iter(texts))) for texts in ranked]

    def _with_markup(
        self, search: Callable[[Sequence[str]], list[list[Translation]]], num: int, source: str
    ) -> list[str]:
        """Returns the results of :meth:`_translations` with tags and kept texts in their places."""
        found: dict[str, list[Translation]] = {}

        def translate(sentences: Sequence[str], rank: int) -> list[Translation]:
            new = list(dict.fromkeys(sentence for sentence in sentences if sentence not in found))
            found.update(zip(new, search(new), strict=True))
            return [found[sentence][min(rank, len(found[sentence]) - 1)] for sentence in sentences]

        texts = []
        for rank in range(num):
            run = partial(translate_content, translate=partial(translate, rank=rank), language=source)
            if self.format == "html":
                texts.append(translate_page(self.text, run, self.target))
            else:
                texts.append(text_of(run([[self.text]])[0]))
        return texts


def _linked(route: Sequence[Translator], num: int) -> TranslationOptions:
    """Returns the settings of a search for some candidates, with links that tell where markup belongs."""
    return TranslationOptions(num, with_alignment="punctuation", decoding=wide_beam(route, num))


def router(service: Service) -> APIRouter:
    """Returns the routes of the API."""
    routes = APIRouter(include_in_schema=False)
    _add_texts(routes, service)
    _add_files(routes, service)

    @routes.get("/languages")
    async def languages() -> Response:
        found = service.router
        return JSONResponse(
            [described(code) | {"targets": [public_code(t) for t in found.targets(code)]} for code in found.codes]
        )

    @routes.get("/frontend/settings")
    async def settings() -> Response:
        target = next(iter(service.router.models))[1]
        return JSONResponse({
            "charLimit": service.limits.char_limit,
            "frontendTimeout": 500,
            "apiKeys": bool(service.api_keys),
            "keyRequired": bool(service.api_keys),
            "suggestions": service.takes_corrections,
            "filesTranslation": True,
            "supportedFilesFormat": list(FORMATS),
            "language": {"source": {"code": "auto", "name": "Auto Detect"}, "target": described(target)},
        })  # fmt: skip

    @routes.post("/suggest")
    async def suggest(request: Request) -> Response:
        values = await read_values(request)
        admit_correction(service, request, values.get("api_key"))
        if service.takes_corrections:
            for name in ("q", "s"):
                if not isinstance(values.get(name), str) or not values[name].strip():
                    raise ApiError(400, f"Invalid request: missing {name} parameter")
        texts = [without_surrogates(str(values.get(name) or "")) for name in ("q", "s")]
        source, target = (str(values.get(side) or "") for side in ("source", "target"))
        if source.strip().lower() == "auto":
            source = next((str(each["language"]) for each in detections(service, texts[0])), source)
        await run_in_threadpool(service.correct, source, target, *texts)
        return JSONResponse({"success": True})

    @routes.get("/health")
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    @routes.get("/spec")
    async def spec() -> Response:
        return JSONResponse(SPECIFICATION)

    return routes


def _add_texts(routes: APIRouter, service: Service) -> None:
    """Translation of text, and detection of its language."""

    async def translate(request: Request) -> Response:
        request.scope["route"] = plain  # requests are counted by it
        values = await _values(service, request)
        texts = _texts(service, values)
        source, target = (_language(service, values, side) for side in ("source", "target"))
        num_alternatives = _num_alternatives(values)
        format = values.get("format") or "text"
        if format not in ("text", "html"):
            raise ApiError(400, f"{shortened(str(format))} format is not supported")
        if source != "auto":
            service.route(source, target)
        jobs = [_Job(service, text, source, target, format, num_alternatives) for text in texts]
        answers = await service.run(request, jobs, num_characters=sum(map(len, texts)))
        if isinstance(values["q"], list):
            return JSONResponse({key: [answer[key] for answer in answers] for key in answers[0]})
        return JSONResponse(answers[0])

    # A route of Starlette: one of FastAPI takes 0.3 ms more of the processor for each request.
    plain = Route("/translate", translate, methods=["GET", "POST"])
    routes.routes.append(plain)

    @routes.post("/detect")
    async def detect(request: Request) -> Response:
        text = " ".join(_texts(service, await _values(service, request)))
        return JSONResponse(detections(service, text) or [UNDETECTED])


def _add_files(routes: APIRouter, service: Service) -> None:
    """Translation of files, which are kept for a while to be downloaded."""
    files = _Files(Path(service.closing.enter_context(TemporaryDirectory(prefix="nmt-serve-"))))

    @routes.post("/translate_file")
    async def translate_file(request: Request) -> Response:
        values = await _values(service, request)
        upload = values.get("file")
        if not isinstance(upload, UploadFile) or not upload.filename:
            raise ApiError(400, "Invalid request: missing file parameter")
        source, target = (_language(service, values, side) for side in ("source", "target"))
        name = PurePosixPath(without_surrogates(upload.filename).replace("\\", "/")).name
        if PurePosixPath(name).suffix.lower() not in FORMATS:
            raise ApiError(400, "Invalid request: file format not supported")
        terms = values.get("glossary") or ""
        if not isinstance(terms, str):
            raise ApiError(400, "Invalid request: glossary parameter is not text")
        glossary, missing = await run_in_threadpool(Glossary.parse, terms), set[Term]()

        def work(context: RequestContext) -> bytes:
            with service.documents.process() as process, context.cancels(process.end):
                data, language = upload.file.read(), source  # it is on the disk until its turn comes
                if source == "auto":  # the language is that of the beginning of the text
                    text = process.text(name, data, MAX_DETECTED)
                    language = next((code for code, _ in languages_of(text, service.router.codes)), target)
                route = service.route(language, target)

                def translate(sentences: Sequence[str]) -> list[Translation]:
                    requests = [glossary.requested(Sentence(sentence)) for sentence in sentences]
                    found = context.translate(route, requests, _linked(route, 1))
                    missing.update(term for each in found for term in glossary.missing(each.source, each.text))
                    return found

                return process.translate(name, data, translate, language, target)

        [content] = await service.run(request, [work], is_document=True)
        url = f"{request.base_url}download_file/{quote(files.add(name, content))}"
        answer: dict[str, Any] = {"translatedFileUrl": url}
        return JSONResponse(answer | ({"missing": dict(sorted(missing))} if missing else {}))

    @routes.get("/download_file/{name}")
    async def download_file(name: str) -> Response:
        disposition = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
        return FileResponse(files.find(name), media_type="application/octet-stream", headers=disposition)


class _Files:
    """Translated files in a folder, until they are old or there are too many."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, tuple[float, int, Path]] = {}

    def add(self, name: str, content: bytes) -> str:
        """Keeps a file. Returns a random name for it."""
        key = f"{uuid.uuid4()}.{name[-100:]}"
        path = self._folder / key[:36]
        try:
            path.write_bytes(content)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise ApiError(507, f"The translated file can't be kept: {str(error.strerror).lower()}") from error
        self._files[key] = time.monotonic(), len(content), path
        oldest, num_bytes = time.monotonic() - KEPT_SECONDS, 0
        for number, (other, (added, size, path)) in enumerate(reversed(list(self._files.items()))):
            num_bytes += size
            if number >= MAX_KEPT or added < oldest or (number and num_bytes > MAX_KEPT_BYTES):
                del self._files[other]
                path.unlink(missing_ok=True)
        return key

    def find(self, key: str) -> Path:
        """Raises ApiError if there is no such file."""
        if key not in self._files:
            raise ApiError(404, "File not found")
        return self._files[key][2]


def detections(service: Service, text: str) -> list[dict[str, Any]]:
    """Returns the languages that a text may be in, best first."""
    found = languages_of(text, service.router.codes)
    return [{"confidence": confidence, "language": public_code(code)} for code, confidence in found]


async def _values(service: Service, request: Request) -> dict[str, Any]:
    values = await read_values(request)
    admit(service, request, values.get("api_key"))
    return values


def _texts(service: Service, values: dict[str, Any]) -> list[str]:
    """Returns the text or texts of ``q``, within the limits."""
    given = values.get("q") or []
    texts = given if isinstance(given, list) else [given]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ApiError(400, "Invalid request: missing q parameter")
    service.check_size(texts)
    return [without_surrogates(text) for text in texts]


def _language(service: Service, values: dict[str, Any], side: str) -> str:
    """Returns the code of ``source`` or ``target`` as the models have it, or auto."""
    code = values.get(side)
    if not code or not isinstance(code, str):
        raise ApiError(400, f"Invalid request: missing {side} parameter")
    if side == "source" and code.strip().lower() == "auto":
        return "auto"
    return service.language(code)


def _num_alternatives(values: dict[str, Any]) -> int:
    try:
        num = int(values.get("alternatives") or 0)
    except (ValueError, TypeError, OverflowError):
        raise ApiError(400, "Invalid request: alternatives parameter is not a number") from None
    if num > MAX_ALTERNATIVES:
        raise ApiError(400, f"Invalid request: alternatives parameter must be <= {MAX_ALTERNATIVES}")
    return max(num, 0)


def _specification() -> dict[str, Any]:
    """Returns the API in the format of Swagger 2; some clients look for its title."""
    endpoints = (
        ("post", "/translate", "Translate text", "q source target format alternatives api_key"),
        ("post", "/detect", "Detect the language of a text", "q api_key"),
        ("get", "/languages", "The languages, with the target languages of each", ""),
        ("get", "/frontend/settings", "Settings for user interfaces", ""),
        ("post", "/translate_file", "Translate a file", "file source target glossary api_key"),
        ("post", "/suggest", "Suggest a better translation", "q s source target api_key"),
        ("get", "/health", "Whether the server works", ""),
    )
    required = {"q", "source", "target", "file", "s"}
    paths: dict[str, Any] = {}
    for method, path, summary, names in endpoints:
        parameters = [
            {"name": n, "in": "formData", "type": "file" if n == "file" else "string", "required": n in required}
            for n in names.split()
        ]
        errors = {str(status): {"description": "error"} for status in (400, 403, 429, 500)} if names else {}
        responses = {"200": {"description": "success"}} | errors
        paths[path] = {
            method: {"tags": ["translate"], "summary": summary, "parameters": parameters, "responses": responses}
        }
    return {
        "swagger": "2.0",
        "info": {"title": "LibreTranslate", "version": "1.9.6", "description": f"nmt {__version__}"},
        "basePath": "/",
        "paths": paths,
    }


SPECIFICATION = _specification()
