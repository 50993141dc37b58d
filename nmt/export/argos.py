"""Packages for Argos Translate and LibreTranslate: a model in the format of CTranslate2 with its description."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from nmt.core.errors import UserError
from nmt.core.files import explained, replacing
from nmt.core.version import __version__
from nmt.data.languages import name_of
from nmt.export.ct2 import export
from nmt.export.run import check
from nmt.export.targets import ExportTarget, Quantization
from nmt.translation.translator import Translator

SUFFIX = ".argosmodel"
README = """# {from_name} to {to_name}

A {system} trained by nmt {version}: {description}.
"""


class Argos(ExportTarget):
    """A package that ``argospm install`` and LibreTranslate install, for a Transformer with a joint vocabulary.

    If the output isn't named ``*.argosmodel``, it is a folder for a file with the usual name.
    """

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        if not translator.vocabularies.joint:
            raise UserError(
                "Argos Translate has one vocabulary for both languages; this model has two.",
                "Train it with --set vocabulary.joint=true.",
            )
        data = translator.recipe.data
        names = {"from_name": name_of(data.source), "to_name": name_of(data.target)}
        folder = f"translate-{data.source}_{data.target}-1_0"
        path = output if output.suffix == SUFFIX else output / f"{folder}{SUFFIX}"
        if path.exists():
            raise UserError(f"{path} exists already.", "Name another file with -o, or delete it.")
        metadata = {
            "package_version": "1.0",
            "argos_version": "1.9",
            "from_code": data.source,
            "to_code": data.target,
            **names,
        }
        readme = README.format(
            **names,
            system=translator.recipe.model.decoder["type"],
            version=__version__,
            description=translator.recipe.description,
        )
        with TemporaryDirectory() as scratch:
            model = Path(scratch) / "model"
            export(translator, model, quantization)
            agreement = check(model, translator, lines, exact=quantization is None)
            with explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as package:
                    package.writestr(f"{folder}/metadata.json", json.dumps(metadata, indent=2))
                    package.writestr(f"{folder}/README.md", readme)
                    for file in sorted(model.iterdir()):
                        name = "sentencepiece.model" if file.suffix == ".model" else f"model/{file.name}"
                        package.write(file, f"{folder}/{name}")
        return [f"wrote {path}: {agreement}"]
