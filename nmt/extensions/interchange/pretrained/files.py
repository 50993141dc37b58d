"""Files of a downloaded model: JSON and safetensors, checked before anything is computed with them."""

from pathlib import Path
from typing import Any

from torch import Tensor

from nmt.core.errors import UserError
from nmt.core.jsonlines import MAX_FILE_BYTES, read_object
from nmt.core.text import read_bytes
from nmt.models.weights import read_tensors

INCOMPLETE = "Download the model again, with all of its files."


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file with a JSON object.

    Raises:
        UserError: it is missing, too large, or something else.
    """
    check_regular(path)
    try:
        return read_object(path, finite=False)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.", INCOMPLETE) from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON that nmt can read: {error}.", INCOMPLETE) from None


def read_content(path: Path) -> bytes:
    """Returns the first :data:`MAX_FILE_BYTES` bytes of a file; raises UserError where it can't be read."""
    check_regular(path)
    return read_bytes(path, MAX_FILE_BYTES)


def check_regular(path: Path) -> None:
    """Raises UserError for a pipe or a device, which a read would wait for; missing files have messages elsewhere."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path} is not a regular file.", INCOMPLETE)


def read_stored(directory: Path) -> dict[str, Tensor]:
    """Returns the tensors of a downloaded model, which are views of ``model.safetensors`` or of its parts, such as
    ``model-00001-of-00002.safetensors``.

    Raises:
        UserError: there are no safetensors files, or one is damaged.
    """
    whole = directory / "model.safetensors"
    paths = [whole] if whole.is_file() else sorted(directory.glob("*-of-*.safetensors"))
    if not paths:
        raise _no_weights(directory)
    tensors: dict[str, Tensor] = {}
    for path in paths:
        check_regular(path)
        tensors |= read_tensors(path)
    return tensors


def _no_weights(directory: Path) -> UserError:
    pickled = next((path.name for path in sorted(directory.glob("*.bin")) if "model" in path.name), None)
    if pickled is None:
        return UserError(f"{directory} has no model.safetensors.", INCOMPLETE)
    load, folder = "AutoModelForSeq2SeqLM.from_pretrained", str(directory)
    return UserError(
        f"{directory} has its weights in {pickled}, a pickle, which can run any code when it is read.",
        'If you trust its source, convert it with transformers: python -c "from transformers import '
        f'AutoModelForSeq2SeqLM; {load}({folder!r}).save_pretrained({folder!r})"',
    )
