"""Packages for Argos Translate and LibreTranslate: a model in the format of CTranslate2 with its description."""

import json
import re
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.core.files import explained, replacing
from nmt.core.version import __version__
from nmt.data.vocabulary.base import BYTE
from nmt.data.vocabulary.sentencepiece import SentencePieceVocabulary
from nmt.extensions.interchange import run
from nmt.extensions.interchange.check import DIVIDED, WHOLE, check, left_out
from nmt.extensions.interchange.ct2 import check_exportable, export
from nmt.extensions.interchange.pretrained.vocabulary import PretrainedVocabulary, prefix_of
from nmt.extensions.interchange.run import ExportedModel
from nmt.extensions.interchange.targets import ExportTarget, Quantization, with_decoding
from nmt.translation.languages import name_of
from nmt.translation.translator import Translator

SUFFIX = ".argosmodel"
DECODING = {"beam_size": 4, "length_penalty": 0.2}
"""Arguments of ``translate_batch`` in Argos Translate, whatever the package is."""
CARRIED: dict[str, tuple[Any, ...]] = {
    **run.CARRIED, **WHOLE, **DIVIDED,
    "beam_size": (4,), "length_penalty": ("average",), "alpha": (0.2,), "max_length": (None,),
}  # fmt: skip
"""Values of decoding options with which Argos Translate searches."""


class Argos(ExportTarget):
    """A package that ``argospm install`` and LibreTranslate install, for a Transformer.

    Argos Translate divides the source by the sentencepiece model of the package, and joins the pieces of a translation.
    If the output isn't named ``*.argosmodel``, it is a folder for a file with the usual name.
    """

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        check_exportable(translator)
        source = translator.vocabularies.source
        assert isinstance(source, PretrainedVocabulary | SentencePieceVocabulary)
        if prefix := prefix_of(source):
            raise UserError(
                f"Argos Translate puts no language token in front of a line, which this model needs: {prefix[0]}.",
                "Export it to another format, or import a model of one language pair.",
            )
        target = translator.vocabularies.target
        if any(map(BYTE.fullmatch, map(target.token, range(len(target))))):
            warn("Argos Translate before 1.10 writes characters that the vocabulary lacks as their bytes: <0xE6>.")
        data = translator.recipe.data
        folder = f"translate-{data.source}_{data.target}-1_0"
        if re.search(r"[/\\]", folder):
            raise UserError(
                f"The languages {data.source} and {data.target} are no codes: the file would lie in another folder.",
                "Correct data.source and data.target in recipe.yaml, if you trust the model.",
            )
        path = output if output.suffix == SUFFIX else output / f"{folder}{SUFFIX}"
        if path.exists():
            raise UserError(f"{path} exists already.", "Name another file with -o, or delete it.")
        metadata = {
            "package_version": "1.0",
            "argos_version": "1.9",
            "from_code": data.source,
            "to_code": data.target,
            "from_name": name_of(data.source),
            "to_name": name_of(data.target),
        }
        kind, description = translator.recipe.model.decoder["type"], translator.recipe.description
        readme = f"""# {metadata["from_name"]} to {metadata["to_name"]}

A {kind}, exported by nmt {__version__}{description and f": {description}"}.
"""
        with TemporaryDirectory() as scratch:
            model = Path(scratch) / "model"
            export(with_decoding(translator, shortlist=None), model, quantization)
            # Argos Translate has no limit of a recipe, but a translation that was cut off equals no whole one.
            limit = translator.recipe.decoding.max_length
            decoding = DECODING if limit is None else DECODING | {"max_decoding_length": limit}
            open_model = partial(ExportedModel, model, translator, decoding)
            agreement = check(model, translator, open_model, lines, exact=quantization is None)
            with explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as package:
                    package.writestr(f"{folder}/metadata.json", json.dumps(metadata, indent=2))
                    package.writestr(f"{folder}/README.md", readme)
                    package.writestr(f"{folder}/sentencepiece.model", source.sentencepiece_model)
                    for file in (model / "config.json", model / "model.bin", *sorted(model.glob("*_vocabulary.json"))):
                        package.write(file, f"{folder}/model/{file.name}")
        return [f"wrote {path}: {agreement}", *left_out(translator.recipe.decoding, CARRIED, "Argos Translate")]
