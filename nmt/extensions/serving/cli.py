"""``nmt serve``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nmt.cli.common import Device, command
from nmt.cli.help import ACCESS, LIMITS
from nmt.cli.schema import options_of
from nmt.cli.translation_options import EngineName
from nmt.core.errors import extra
from nmt.extensions.serving.options import ServeOptions

ModelDirs = Annotated[
    list[Path],
    typer.Argument(
        metavar="MODEL_DIR...",
        help="Folders that `nmt train` wrote, or folders of such; of a direction the first is the default.",
    ),
]
Host = Annotated[str, ACCESS.option(metavar="ADDRESS", help="Address to listen at; 0.0.0.0 is all.")]
Port = Annotated[int, ACCESS.option(metavar="N", min=0, max=65535, help="Port; 0 chooses a free one.")]
ApiKeys = Annotated[
    Path | None, ACCESS.option(metavar="FILE", help="File of API keys, one on each line; a request needs one of them.")
]
TrustProxy = Annotated[
    str,
    ACCESS.option(
        metavar="ADDRESSES",
        help="Addresses of reverse proxies, with commas between, whose X-Forwarded-For names the client.",
    ),
]
Feedback = Annotated[
    bool,
    ACCESS.option(
        help="Accept corrected translations from everybody; with --api-keys they are accepted from holders of a key."
    ),
]


@command(
    "nmt serve runs/de-en",
    "nmt serve runs/de-en runs/en-de --host 0.0.0.0 --port 8080 --api-keys keys.txt",
    "nmt serve runs/de-en --engine ctranslate2",
    "nmt serve runs/de-en runs/de-en-larger",
    "nmt serve runs --feedback",
    "curl -s localhost:5000/translate -d q='Ein Hund schläft.' -d source=de -d target=en",
)
@options_of(ServeOptions, from_recipe=False, section=LIMITS)
def serve(
    model_dirs: ModelDirs,
    host: Host = "127.0.0.1",
    port: Port = 5000,
    api_keys: ApiKeys = None,
    trust_proxy: TrustProxy = "",
    feedback: Feedback = False,
    engine: EngineName = "torch",
    device: Device = "auto",
    **limits: Any,
) -> None:
    """Serve models over HTTP.

    The server has the API of LibreTranslate, and one of nmt under /v1; the page /docs describes both. The page
    /sentence shows search and attention, and the effect of other attention. Each model serves the direction that it was
    trained for; if there is no direct model, nmt pivots through a third language. Sentences that are in the translation
    memory of a model are translated from it. Sentences of simultaneous requests are translated in common batches. No
    text is logged. SIGTERM and Ctrl-C stop the server when all accepted requests are answered.
    """
    with extra("serve"):
        from nmt.extensions.serving.app import load_models, read_api_keys
        from nmt.extensions.serving.app import serve as run
        from nmt.extensions.serving.service import Service

    keys = read_api_keys(api_keys) if api_keys is not None else []
    service = Service(load_models(model_dirs, device, engine), ServeOptions(**limits), keys, feedback)
    run(service, host, port, trust_proxy)
