"""The application of ``nmt serve``, and its server process."""

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from os.path import isdir, isfile
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from nmt.core.console import be_silent, say
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import read_lines
from nmt.core.version import __version__
from nmt.extensions.serving import libretranslate, sentence, v1
from nmt.extensions.serving.api_page import api_page
from nmt.extensions.serving.connections import BoundedProtocol
from nmt.extensions.serving.http import RequestMiddleware, add_error_handlers, check_key
from nmt.extensions.serving.service import Service
from nmt.recipe.registry import hooks
from nmt.translation.load import ENGINES
from nmt.translation.translator import Translator

PAGE = Path(__file__).with_name("page")
POLICY = (
    "default-src 'self'; connect-src *; img-src 'self' data:; base-uri 'none'; object-src 'none'; form-action 'none'"
)
"""Content security policy of the page: it loads only its own files, but may send requests to other servers."""
SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that runs Python code lets the model thread go on; Python's default is ten times it."""


def create_app(service: Service) -> FastAPI:
    """Returns the application with all its routes. It closes the service when it is shut down."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(title="nmt", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(RequestMiddleware, service=service)
    add_error_handlers(app)
    for router in (libretranslate.router, v1.router, sentence.router, *hooks("server_routes")):
        app.include_router(router(service))

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        check_key(service, request)
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html", headers={"Content-Security-Policy": POLICY})

    @app.get("/sentence", include_in_schema=False)
    async def sentence_page() -> Response:
        return sentence.sentence_page(POLICY)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        text = api_page(app.openapi(), libretranslate.SPECIFICATION)
        return HTMLResponse(text, headers={"Content-Security-Policy": POLICY})

    app.mount("/page", StaticFiles(directory=PAGE))
    return app


def make_server(service: Service, host: str, port: int, proxies: str = "") -> uvicorn.Server:
    """Returns a server that is not running yet; ``proxies`` are addresses whose ``X-Forwarded-For`` is trusted.

    It logs no requests, because their addresses can contain text, nor their errors, because a client could fill the
    log with them.
    """
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    protocol = type("Protocol", (BoundedProtocol,), {"read_seconds": service.limits.time_limit})
    config = uvicorn.Config(
        create_app(service),
        host,
        port,
        log_level="critical",
        access_log=False,
        server_header=False,
        http=protocol,
        ws="none",
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        timeout_graceful_shutdown=int(service.limits.time_limit) + 5,
    )
    return uvicorn.Server(config)


def serve(service: Service, host: str, port: int, proxies: str = "") -> None:
    """Serve until SIGTERM or Ctrl-C; requests that were accepted by then are answered within the time limit.

    Raises:
        UserError: the address can't be used.
    """
    server = make_server(service, host, port, proxies)
    with contextlib.closing(_bound(host, port)) as listening, _signals_stop(server):
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.collect()
        gc.freeze()  # models and modules stay: without this, each full collection of garbage goes through all of them
        host, port = listening.getsockname()[:2]
        pairs = ", ".join("-".join(pair) for pair in service.router.models)
        say(f"Serving {pairs} at http://{f'[{host}]' if ':' in host else host}:{port} (Ctrl-C stops).")
        be_silent()  # warnings about single sentences would quote the text of users
        server.run([listening])
        if service.engine.is_running:  # Python aborts with a daemon thread in C++; all else has been closed
            os._exit(0)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UserError(
            f"Cannot listen at {host}, port {port}: {error.strerror or error}.",
            "Choose another --host or --port, or stop the program that uses it.",
        ) from None


@contextlib.contextmanager
def _signals_stop(server: uvicorn.Server) -> Iterator[None]:
    """Signals stop the server also before it runs.

    uvicorn raises the signal that stopped it once more when it is done; that has no effect then, as stopping so is no
    failure.
    """
    before = {number: signal.signal(number, server.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def load_models(directories: Iterable[Path], device: str, engine: str) -> list[Translator]:
    """Returns the models that are to be served.

    Args:
        directories: model directories, and folders that contain some, which are loaded in the order of their names.
        device: for PyTorch; with CTranslate2 it is the CPU.

    Raises:
        UserError: a model can't be loaded, not by this engine, or doesn't translate.
    """
    found = [directory for given in directories for directory in _model_directories(given)]
    chosen = ENGINES.find(engine, "--engine")()
    models = [chosen.load(directory, device) for directory in found]
    for model in models:
        model.task.require("serving")
    return models


def _model_directories(folder: Path) -> list[Path]:
    """Returns the folder itself, unless it is no model directory and has some."""
    if isfile(ModelDirectory(folder).recipe) or not isdir(folder):
        return [folder]
    inside = (ModelDirectory(path) for path in sorted(folder.iterdir()))
    return [each.path for each in inside if isfile(each.recipe) and isfile(each.weights)] or [folder]


def read_api_keys(path: Path) -> list[str]:
    """Returns the API keys of a file, one on each line.

    Raises:
        UserError: the file can't be read, or has no key.
    """
    keys = [key for line in read_lines(path) if (key := line.strip())]
    if not keys:
        raise UserError(f"{path} has no API key.", "Write one key on each line.")
    return keys
