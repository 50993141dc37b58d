"""Headers, limits of the body, figures, errors as JSON, and API keys of all requests."""

import asyncio
import json
import logging
import re
import time
import traceback
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmt.core.errors import BrokenModel, UserError, shortened
from nmt.extensions.serving.limits import ApiError
from nmt.extensions.serving.service import Service

HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Expose-Headers": "Authorization",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Max-Age": "1728000",
    "Cache-Control": "no-cache",  # otherwise browsers keep the files of a page after nmt was replaced
}
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[\w.-]*)(?::\d{0,5})?", re.ASCII)
"""A value of the header ``Host``: a name or an address, and a port (RFC 9110, section 7.2); empty for no name."""
MAX_BYTES = 10 << 20
"""Largest size of the body of a request."""
MAX_HEADERS = 100
"""Largest number of header lines of a request."""
PART = 64 << 10
"""Bytes of an answer that a client has to take within the time limit; longer answers are sent in parts."""
SMALL = 100_000
"""Bytes of JSON that are read at once."""
TYPE = re.compile(r"constrained-str|bool|(?:list|literal)\[.*\]")
"""A type that Pydantic names in the place of an error, where a field may have several."""
logger = logging.getLogger("nmt.extensions.serving")


class RequestMiddleware:
    """ASGI middleware: headers of every answer, a limit of size and time for every body, and figures."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._limits, self._metrics = app, service.limits, service.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), 0
        if scope["method"] == "HEAD":  # the answer of GET, whose body the server leaves out
            scope = {**scope, "method": "GET"}

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            body = message.get("body", b"")
            last = max(len(body) - 1, 0) // PART * PART
            try:
                for begin in range(0, last, PART):
                    await send({**message, "body": body[begin : begin + PART], "more_body": True})
                await send({**message, "body": body[last:]} if last else message)
            except Exception as error:  # the server has refused the rest of the request and closed the connection
                raise ClientDisconnect from error

        if (early := _early_answer(scope)) is not None:
            await early(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, self._limited(scope, receive), send_with_headers)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:  # the server stops, and uvicorn would answer with text
            if not status:
                await error_response(503, "The server stops: try again later")(scope, receive, send_with_headers)
        except Exception as error:
            log_failure(error)
            if not status:
                text = f"Cannot translate text: internal error ({type(error).__name__})"
                await error_response(500, text)(scope, receive, send_with_headers)
        finally:
            self._metrics.requests.labels(getattr(scope.get("route"), "path", "other"), str(status)).inc()
            self._metrics.seconds.observe(time.monotonic() - start)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """``receive`` with limits of the body's size and of the time until it is complete."""
        deadline, num_bytes, is_complete = time.monotonic() + self._limits.time_limit, 0, False
        announced = Headers(scope=scope).get("content-length", "0")

        async def limited() -> Message:
            nonlocal num_bytes, is_complete
            if is_complete:
                return await receive()
            if announced.isdecimal() and int(announced[:20]) > MAX_BYTES:
                raise ApiError(413, f"Invalid request: the body is larger than {MAX_BYTES:,} bytes")
            try:
                message = await asyncio.wait_for(receive(), deadline - time.monotonic())
            except TimeoutError:
                raise ApiError(408, "Invalid request: the body did not arrive in time") from None
            num_bytes += len(message.get("body", b""))
            if num_bytes > MAX_BYTES:
                raise ApiError(413, f"Invalid request: the body is larger than {MAX_BYTES:,} bytes")
            is_complete = not message.get("more_body", False)
            return message

        return limited


def _early_answer(scope: Scope) -> Response | None:
    """Returns the answer to what is refused for its headers, and to OPTIONS; None for other requests."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    # One host, as HTTP/1.1 wants it (RFC 9112, section 3.2), or none in HTTP/1.0.
    if not (len(hosts) == 1 and HOST.fullmatch(hosts[0]) if hosts else scope["http_version"] == "1.0"):
        return error_response(400, "Invalid request: the header Host")
    if scope["method"] == "OPTIONS":
        return Response()
    return error_response(431, "Invalid request: too many headers") if len(scope["headers"]) > MAX_HEADERS else None


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error as ``{"error": "text"}``."""

    @app.exception_handler(UserError)
    async def _user_error(request: Request, error: UserError) -> Response:
        if isinstance(error, BrokenModel):
            log_failure(error)
            return error_response(500, error.message)
        return error_response(400, f"Invalid request: {error.message}")

    @app.exception_handler(StarletteHTTPException)
    async def _http_error(request: Request, error: StarletteHTTPException) -> Response:
        return error_response(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        messages = dict[tuple[str, ...], dict[str, None]]()  # by place; those of each type that a field may have
        for each in error.errors():
            is_place = each["type"] != "json_invalid"
            place = tuple(part for part in map(str, each["loc"][1:]) if is_place and not TYPE.fullmatch(part))
            messages.setdefault(place, {})[shortened(each["msg"])] = None
        first = next(iter(messages))
        where = max((place for place in messages if place[: len(first)] == first), key=len)  # in a list, the element
        is_text = not where and "json" not in request.headers.get("content-type", "")
        told = "send JSON with the header Content-Type: application/json" if is_text else " or ".join(messages[where])
        return error_response(400, f"Invalid request: {shortened('.'.join(where) or 'body')}: {told}")


def error_response(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Returns the JSON of an error."""
    return JSONResponse({"error": without_surrogates(text)}, status, headers)


def log_failure(error: BaseException) -> None:
    """Log where an unexpected error was raised, but not its message, which may quote the text of a user."""
    logger.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))


def without_surrogates(text: str) -> str:
    """Returns text without lone surrogates, which JSON can contain and UTF-8 can't."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def admit(service: Service, request: Request, key: object = None) -> None:
    """Refuse a request without a valid API key, or of a client that has made too many; see :func:`check_key`.

    A client is the holder of an API key or, without keys, an address.
    """
    check_key(service, request, key)
    service.rate.count(_given_key(request, key) if service.api_keys else _address(request))


def check_key(service: Service, request: Request, key: object = None) -> None:
    """Refuse a request without a valid API key, if the server wants one: ``key``, or in the header ``Authorization:
    Bearer KEY``.

    Raises:
        ApiError: the key is missing or wrong, or wrong keys came from the same address too often.
    """
    if not service.api_keys:
        return
    service.wrong_keys.count(_address(request), 0)
    given = _given_key(request, key)
    if not given:
        raise ApiError(400, "Please contact the server operator to get an API key")
    if given not in service.api_keys:  # a set, which compares hashes with a secret seed: the time tells nothing
        service.wrong_keys.count(_address(request))
        raise ApiError(403, "Invalid API key")


def admit_correction(service: Service, request: Request, key: object = None) -> None:
    """:func:`admit`; without API keys also refuse the pages of other sites, which any reader's browser may send."""
    admit(service, request, key)
    headers = request.headers
    site, host = headers.get("origin", "").partition("://")[2], headers.get("host", "")
    # Browsers tell sites apart in the first header, which they leave out without HTTPS but for their own machine.
    is_other = headers.get("sec-fetch-site", "cross-site" if "origin" in headers and site != host else "")
    if not service.api_keys and is_other == "cross-site":
        raise ApiError(403, "Corrections from pages of other sites need an API key: see nmt serve --api-keys")


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _given_key(request: Request, key: object) -> str:
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if key or scheme.lower() != "bearer":
        return without_surrogates(str(key or ""))
    try:
        return bearer.strip().encode("latin-1").decode("utf-8")  # the bytes of the header, which most clients send so
    except UnicodeDecodeError:
        return bearer.strip()


async def read_values(request: Request) -> dict[str, Any]:
    """Returns the values of a request: a JSON object, or those of a form and of the query.

    Raises:
        ApiError: the body does not match its content type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        body = await request.body()
        try:
            # A thread costs more than reading a small body.
            values = json.loads(body) if len(body) < SMALL else await run_in_threadpool(json.loads, body)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise ApiError(400, "Invalid JSON format")
        return values
    values = dict(request.query_params)
    if request.method == "POST":
        try:
            if kind == "application/x-www-form-urlencoded":
                # Starlette would read letters that curl does not percent-encode as Latin-1.
                values |= parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=100)
            else:
                values |= dict(await request.form(max_files=1, max_fields=100))
        except ValueError as error:  # also of python-multipart, where Starlette lets it through
            raise ApiError(400, "Invalid form") from error
    if isinstance(values.get("q"), str):
        values["q"] = values["q"].replace("\r\n", "\n").replace("\r", "\n")
    return values
