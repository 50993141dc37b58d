"""Model directories: the names of their files (docs/reference/model-directory.md), checks of what is read, and a lock.

What is read from a directory is checked as data from a stranger: regular files inside the directory only, none of an
unreasonable size. Extensions choose the names of their own files there (:meth:`ModelDirectory.file`).
"""

import contextlib
import hashlib
import stat
from collections.abc import Iterator
from os.path import exists, isdir, isfile
from pathlib import Path

from nmt.core.errors import UserError
from nmt.core.files import explained, locked, remove_unfinished, sha256

CARD = "README.md"

READ: dict[str, int | None] = {
    ".lock": None,
    "recipe.yaml": 1 << 20,
    "vocabulary*": 1 << 28,
    "model.safetensors": None,
    "alignment.json": 1 << 20,
    "lexicon.tsv": 1 << 30,
    "metrics.jsonl": 1 << 30,
    CARD: 1 << 20,
    "samples/step-*": 1 << 26,
    "checkpoints/step-*/state.json": 1 << 26,
    "checkpoints/step-*/SHA256SUMS": 1 << 16,
    "checkpoints/step-*/*": None,
}
"""The files of a model directory that are read or locked, with the largest size in bytes of those that are read as a
whole; those of real models are far below."""


class ModelDirectory:
    """The files of a model directory.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.recipe, self.weights = self.path / "recipe.yaml", self.path / "model.safetensors"
        self.metrics, self.card = self.path / "metrics.jsonl", self.path / CARD
        self.alignment, self.lexicon = self.path / "alignment.json", self.path / "lexicon.tsv"
        self.checkpoints, self.samples = self.path / "checkpoints", self.path / "samples"
        self.tensorboard = self.path / "tensorboard"
        self._is_locked = False

    def __str__(self) -> str:
        return str(self.path)

    def file(self, name: str, max_bytes: int | None = None) -> Path:
        """Returns the path of an extension's file, which need not exist.

        Args:
            name: of the file, or a pattern such as ``memory.sqlite*``, of which the part before the star is returned.
            max_bytes: the largest size of a file that is read as a whole; that of real models is far below.

        Raises:
            UserError: the file must not be read; see :meth:`check_files`.
        """
        inside = self.path.resolve()
        for file in sorted(self.path.glob(name)):
            _check_file(file, inside, max_bytes)
        return self.path / name.rstrip("*")

    def check(self) -> None:
        """Refuse a folder that ``nmt train`` hasn't written, and files in it that must not be read.

        Raises:
            UserError: it has no recipe, with a guess at what was meant; or see :meth:`check_files`.
        """
        if not exists(self.recipe):  # not self.recipe.exists(), which raises for a name that is too long
            raise self._not_a_model_directory()
        self.check_files()

    def digest(self) -> str:
        """Returns a digest of the recipe, the vocabulary and the weights.

        Raises:
            UserError: see :meth:`check`; or there are no weights.
        """
        self.check()
        files = [self.recipe, *sorted(self.path.glob("vocabulary*")), self.weights]
        try:
            return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()[:16]
        except OSError as error:
            raise UserError(f"{error.filename} can't be read: {error.strerror}.", "Train or copy it again.") from None

    def check_files(self) -> None:
        """Refuse files that must not be read.

        Raises:
            UserError: one is not a regular file, lies outside the folder, or is too large.
        """
        if isdir(self.path):  # not self.path.is_dir(), which raises for a name that is too long
            for pattern, limit in READ.items():
                self.file(pattern, limit)

    def _not_a_model_directory(self) -> UserError:
        inside = sorted(path.parent for path in self.path.glob(f"*/{self.recipe.name}")) if isdir(self.path) else []
        outside = [parent for parent in self.path.parents if isfile(parent / self.recipe.name)]
        missing = "it is a file" if exists(self.path) else "there is no such folder"
        reason = f"it has no {self.recipe.name}" if isdir(self.path) else missing
        guesses = " or ".join(map(str, (*inside[:3], *outside[:1])))
        remedies = {
            ".lock": "Its training has not begun: wait until its text is prepared, or start it again if it stopped.",
            "config.json": "Name the model that was exported there; `nmt import` reads models of transformers.",
        }
        found = [remedy for name, remedy in remedies.items() if isfile(self.path / name)]
        remedy = f"Did you mean {guesses}?" if guesses else [*found, "Name a folder that `nmt train` wrote."][0]
        return UserError(f"{self.path} is not a model directory: {reason}.", remedy)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Make the folder if need be, and keep other processes from writing into it while this context is open.

        What a killed process has left under a temporary name is removed. Contexts of one object may be in each other.

        Raises:
            UserError: another process writes there, the folder can't be made, or see :meth:`check_files`.
        """
        if self._is_locked:
            yield
            return
        with explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self.check_files()
        with locked(self.path / ".lock", str(self.path)):
            for folder in (self.path, self.samples, self.checkpoints):
                remove_unfinished(folder)
            self._is_locked = True
            try:
                yield
            finally:
                self._is_locked = False


def _check_file(file: Path, directory: Path, limit: int | None) -> None:
    """Refuse what isn't a regular file of a reasonable size inside the directory."""
    remedy = "Don't use this model directory unless you know why, or replace the file by the one that training wrote."
    try:
        resolved = file.resolve(strict=True)
        status = resolved.stat()
    except (OSError, RuntimeError) as error:
        if isinstance(error, FileNotFoundError) and not file.is_symlink():
            return  # another process has removed it meanwhile: a checkpoint of training, a journal of SQLite
        raise UserError(f"{file} can't be read: {getattr(error, 'strerror', None) or error}.", remedy) from None
    if not resolved.is_relative_to(directory):
        raise UserError(f"{file} is a link to {resolved}, outside the model directory.", remedy)
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{file} is not a regular file.", remedy)
    if limit is not None and status.st_size > limit:
        raise UserError(f"{file} has {status.st_size:,} bytes, more than {limit:,}.", remedy)
