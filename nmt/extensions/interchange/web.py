"""A folder of static files that translates in the browser: ONNX files, onnxruntime-web, sentencex, and a page."""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from nmt.core.console import quoted
from nmt.core.errors import UserError
from nmt.core.files import check_unused, explained, new_folder, replacing, sha256
from nmt.data.cache import cache_directory
from nmt.extensions.interchange.check import check, left_out
from nmt.extensions.interchange.onnx import CARRIED, OnnxModel, export_onnx
from nmt.extensions.interchange.targets import ExportTarget, Quantization
from nmt.translation.translator import Translator

PACKAGES = {
    "onnxruntime-web@1.30.0": (
        "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        ("dist/ort.wasm.min.mjs", "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm"),
    ),
    "sentencex-wasm@0.1.31": (
        "fzHf8TMt3YNINIx+aF2NLnkY5JADmxhs/nGIyV7gen41n6YHuA8A8/oHVEg88IJ9lXV6TG0kvgwNJZiiRkVP4A==",
        ("sentencex_wasm.js", "sentencex_wasm_bg.wasm"),
    ),
}
"""The packages of the npm registry that a page needs: their digests there, in base64, and the files."""
PAGE = Path(__file__).with_name("page")


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
            *left_out(translator.recipe.decoding, CARRIED, "The page"),
            "Serve it with any web server, and open http://localhost:8000:\n",
            f"python -m http.server --directory {quoted(output)}",
        ]


def _write_page(translator: Translator, folder: Path, quantization: str | None) -> None:
    """Adds everything else to a folder in which the networks have been exported to the folder ``networks``."""
    networks = folder / "networks"
    for program in networks.glob("*.py"):
        program.unlink()
    sizes = {path.name: path.rename(folder / path.name).stat().st_size for path in sorted(networks.iterdir())}
    networks.rmdir()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"attention": translator.aligner.heads.attention, "quantization": quantization, "sizes": sizes}
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False), "utf-8")
    for path in PAGE.iterdir():
        shutil.copyfile(path, folder / path.name)
    (folder / "runtime").mkdir()
    for package, (digest, needed) in PACKAGES.items():
        with tarfile.open(fileobj=io.BytesIO(_content(package, digest))) as archive:
            for name in needed:
                file = archive.extractfile(f"package/{name}")
                assert file is not None
                (folder / "runtime" / Path(name).name).write_bytes(file.read())
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    version = hashlib.sha256("".join(f"{name} {sha256(folder / name)}\n" for name in names).encode())
    content = {"version": f"nmt-{version.hexdigest()[:16]}", "files": names}
    (folder / "files.json").write_text(json.dumps(content), "utf-8")
    with (folder / "offline.js").open("a", encoding="utf-8") as script:  # a browser reads the files again if it differs
        script.write(f"// {content['version']}\n")


def _content(package: str, digest: str) -> bytes:
    """Returns the content of a package, which is downloaded once.

    Raises:
        UserError: it can't be downloaded, or its digest is wrong.
    """
    path = cache_directory() / f"{package.replace('@', '-')}.tgz"
    remedy = f"Install Node.js, which has npm, or copy the file of `npm pack {package}` to {path}."
    if not path.exists():
        with explained(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as scratch:
            command = ["npm", "pack", "--silent", package]
            try:
                subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=True, timeout=600)
            except FileNotFoundError:
                raise UserError(f"npm is needed to download {package}, and is not installed.", remedy) from None
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                reason = str(error.stderr or "no answer").strip().splitlines()[-1][:200]
                raise UserError(f"{package} can't be downloaded: {reason}.", remedy) from None
            with replacing(path) as temporary, explained(path):
                shutil.copyfile(Path(scratch) / path.name, temporary)
    content = path.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != digest:
        raise UserError(f"{path} is not the package {package}.", f"Delete it. {remedy}")
    return content
