"""``nmt import``: pretrained models of other toolkits."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import command, group
from nmt.core.console import say

import_app = group("import", "Import pretrained models of other toolkits.")


@command(
    "nmt import huggingface opus-mt-de-en -o models/de-en --source-language de --target-language en",
    "nmt import huggingface nllb-200-distilled-600M -o models/nllb --source-language deu_Latn "
    "--target-language eng_Latn",
    to=import_app,
)
def huggingface(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a downloaded model.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="New model directory to write.")],
    source_language: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Source language, as the model names it.", show_default="as DIR says"),
    ] = None,
    target_language: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Target language, as the model names it.", show_default="as DIR says"),
    ] = None,
) -> None:
    """Import a model of Hugging Face.

    Models of the architectures Marian (OPUS-MT), M2M100, NLLB and mBART-50 become model directories, which all commands
    read and training.finetune_from starts from. DIR holds config.json, safetensors files and the sentencepiece models;
    nothing is downloaded. Multilingual models translate between the two languages that are given here.
    """
    from nmt.pretrained.huggingface import import_huggingface

    files = import_huggingface(directory, output, source_language, target_language)
    say(f"wrote {files}; see how it translates: nmt translate {files} -i FILE")
