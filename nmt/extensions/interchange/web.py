"""A folder of static files that translates in the browser: the ONNX files, onnxruntime-web, and a page."""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from functools import partial
from importlib.resources import files as resources
from pathlib import Path
from tempfile import TemporaryDirectory

from nmt.core.console import quoted
from nmt.core.errors import UserError
from nmt.core.files import check_unused, explained, new_folder, replacing, sha256
from nmt.data.cache import cache_directory
from nmt.extensions.interchange.check import DIVIDED, check, left_out
from nmt.extensions.interchange.onnx import CARRIED, OnnxModel, export_onnx
from nmt.extensions.interchange.targets import ExportTarget, Quantization
from nmt.translation.translator import Translator

RUNTIME = "onnxruntime-web-1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Digest of the package in the npm registry, in base64."""
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PAGE = ("index.html", "style.css", "page.js", "worker.js", "translator.js", "tokenizer.js", "offline.js")


class Web(ExportTarget):
    """A folder of static files that translates in the browser."""

    default_quantization = "int8"

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        check_unused(output)
        with new_folder(output) as temporary:
            export_onnx(translator, temporary / "networks", quantization)
            _write_page(translator, temporary, quantization)
        agreement = check(output, translator, partial(OnnxModel, output), lines, quantization is None)
        return [
            f"wrote {output}: {agreement}",
            *left_out(translator.recipe.decoding, CARRIED | DIVIDED, "The page"),
            "Serve it with any web server, and open http://localhost:8000:\n",
            f"python -m http.server --directory {quoted(output)}",
        ]


def _write_page(translator: Translator, folder: Path, quantization: str | None) -> None:
    """Adds everything else to a folder in which the networks have been exported to the folder ``networks``."""
    networks = folder / "networks"
    (networks / "translate.py").unlink()
    names = [path.rename(folder / path.name).name for path in sorted(networks.iterdir())]
    networks.rmdir()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"attention": translator.aligner.heads.attention, "quantization": quantization}
    config["sizes"] = {name: (folder / name).stat().st_size for name in names}
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False), "utf-8")
    for name in PAGE:
        (folder / name).write_bytes(resources("nmt.extensions.interchange").joinpath("page", name).read_bytes())
    _add_runtime(folder / "runtime")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256("".join(f"{name} {sha256(folder / name)}\n" for name in names).encode())
    content = {"version": f"nmt-{digest.hexdigest()[:16]}", "files": names}
    (folder / "files.json").write_text(json.dumps(content), "utf-8")
    with (folder / "offline.js").open("a", encoding="utf-8") as script:  # a browser reads the files again if it differs
        script.write(f"// {content['version']}\n")


def _add_runtime(folder: Path) -> None:
    """Writes the files of onnxruntime-web that the page needs."""
    folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(_package())) as archive:
        for name in RUNTIME_FILES:
            file = archive.extractfile(f"package/dist/{name}")
            assert file is not None
            (folder / name).write_bytes(file.read())


def _package() -> bytes:
    """Returns the package of onnxruntime-web, which is downloaded once.

    Raises:
        UserError: it can't be downloaded, or its digest is wrong.
    """
    path = cache_directory() / f"{RUNTIME}.tgz"
    name, _, version = RUNTIME.rpartition("-")
    remedy = f"Install Node.js, which has npm, or copy the file of `npm pack {name}@{version}` to {path}."
    if not path.exists():
        with explained(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as scratch:
            command = ["npm", "pack", "--silent", f"{name}@{version}"]
            try:
                subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=True, timeout=600)
            except FileNotFoundError:
                raise UserError("npm is needed to download onnxruntime-web, and is not installed.", remedy) from None
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                reason = str(error.stderr or "no answer").strip().splitlines()[-1][:200]
                raise UserError(f"{name} {version} can't be downloaded: {reason}.", remedy) from None
            with replacing(path) as temporary, explained(path):
                shutil.copyfile(Path(scratch) / path.name, temporary)
    content = path.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
        raise UserError(f"{path} is not the package {name} {version}.", f"Delete it. {remedy}")
    return content
