"""``nmt import`` and ``nmt export``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt.cli.common import ModelDir, NewFolder, command, group
from nmt.core.console import quoted, say

import_group = group(
    "import", "Import pretrained models of other toolkits.", {"huggingface": f"{__name__}:huggingface"}
)


@command(
    "nmt import huggingface opus-mt-de-en -o models/de-en --source-language de --target-language en",
    "nmt import huggingface nllb-200-distilled-600M -o models/nllb --source-language deu_Latn "
    "--target-language eng_Latn",
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
    from nmt.extensions.interchange.pretrained.huggingface import import_huggingface

    files = import_huggingface(directory, output, source_language, target_language)
    say(f"wrote {files}; see how it translates: nmt translate {quoted(files)} -i FILE")


@command(
    "nmt export runs/de-en -o de-en.ct2",
    "nmt export runs/de-en -o de-en.int8 --quantization int8",
    "nmt export runs/de-en -o packages --to argos",
    "nmt export runs/de-en -o de-en.onnx --to onnx",
    "nmt export runs/de-en -o site --to web",
    "nmt export runs/de-en -o site --to web --shortlist 10",
    "nmt export runs/de-en -o de-en.hf --to huggingface",
)
def export(
    model_dir: ModelDir,
    output: NewFolder,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            "--format",
            metavar="NAME",
            help="Target program: ctranslate2, argos (a package for Argos Translate), onnx "
            "(ONNX files, run by onnxruntime), web (a folder of static files that translates in the browser), "
            "huggingface (a folder for transformers), or the export target of a plugin.",
        ),
    ] = "ctranslate2",
    quantization: Annotated[
        Literal["float32", "int8", "int16", "float16", "bfloat16"] | None,
        typer.Option(help="Type of the stored weights.", show_default="float32; int8 for web"),
    ] = None,
    shortlist: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="For ctranslate2, onnx and web: translate only with the most frequent tokens and those of about N "
            "translations of each source word, by the lexicon of nmt learn-alignment, which is faster.",
            show_default="decoding.shortlist of the recipe",
        ),
    ] = None,
) -> None:
    """Convert a model for other programs.

    CTranslate2 and onnxruntime run Transformers without PyTorch; onnxruntime runs SSRU decoders and recurrent models
    with attention, too. The command compares 100 translations and their log-probabilities, and names the decoding
    options that don't apply there. The folder holds the weights, the sentencepiece models and, with --to onnx, a
    program that translates. Needs pip install "nmt[ctranslate2]" or "nmt[onnx]".
    """
    from nmt.extensions.interchange.check import validation_lines
    from nmt.extensions.interchange.targets import EXPORT_TARGETS, with_decoding
    from nmt.translation.load import load

    target = EXPORT_TARGETS.find(to, "--to")()
    chosen = target.default_quantization if quantization is None else quantization
    stored = None if chosen == "float32" else chosen
    translator = load(model_dir, "cpu")
    if shortlist is not None:
        translator = with_decoding(translator, shortlist=shortlist)
    for message in target.write(translator, output, stored, validation_lines(translator)):
        say(message)
