"""``nmt export``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt.cli.common import ModelDir, Plugins, Quiet, app, examples


@app.command(
    short_help="A Transformer for CTranslate2, which runs it fast and without PyTorch.",
    epilog=examples("nmt export runs/de-en -o de-en.ct2", "nmt export runs/de-en -o de-en.int8 --quantization int8"),
)
def export(
    model_dir: ModelDir,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="New folder to write.", show_default=False)
    ],
    format: Annotated[Literal["ctranslate2"], typer.Option(help="The program to export to.")] = "ctranslate2",
    quantization: Annotated[
        Literal["int8", "int16", "float16", "bfloat16"] | None,
        typer.Option(help="Store the weights in this type.", show_default="float32"),
    ] = None,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Write a model in the format of another program, and check that it translates there as it does here.

    The folder holds all that is needed: weights, vocabularies and the sentencepiece models.
    Needs the package ctranslate2: pip install 'nmt[ctranslate2]'.
    """
    from nmt.console import say
    from nmt.export.ct2 import export as write
    from nmt.export.run import check, usage
    from nmt.loading import load
    from nmt.training.logging import read_samples

    translator = load(model_dir, "cpu")
    write(translator, output, quantization)
    found = check(output, translator, read_samples(model_dir), exact=quantization is None)
    say(f"wrote {output}: {found}")
    say("In Python:\n")
    say(usage(output))
