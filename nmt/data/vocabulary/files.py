"""The vocabularies of a model, and the files that hold them."""

from dataclasses import dataclass
from pathlib import Path

from nmt.core.errors import UserError
from nmt.core.files import explained, replacing
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.sentencepiece import SentencePieceVocabulary
from nmt.data.vocabulary.words import WordVocabulary


@dataclass(frozen=True)
class Vocabularies:
    """The source and the target vocabulary; with a joint vocabulary both are the same object."""

    source: Vocabulary
    target: Vocabulary

    @property
    def joint(self) -> bool:
        return self.source is self.target

    @property
    def fingerprint(self) -> str:
        return f"{self.source.fingerprint}-{self.target.fingerprint}"

    def save(self, directory: Path) -> None:
        """Write ``vocabulary.*``, or ``vocabulary.source.*`` and ``vocabulary.target.*``, in place of any others."""
        sides = {"": self.source} if self.joint else {".source": self.source, ".target": self.target}
        files = {directory / f"vocabulary{side}{v.suffix}": v.to_bytes() for side, v in sides.items()}
        for path, content in files.items():
            with replacing(path) as temporary, explained(path):
                temporary.write_bytes(content)
        for path in directory.glob("vocabulary.*"):
            if path not in files:
                path.unlink()

    @classmethod
    def load(cls, path: Path) -> "Vocabularies":
        """Read a single vocabulary file (joint), or what :meth:`save` wrote into a directory.

        Raises:
            UserError: nothing there, or not a vocabulary.
        """
        files = [found for side in ("source", "target") for found in sorted(path.glob(f"vocabulary.{side}.*"))]
        if len(files) != 2:
            files = [file for file in (path, path / "vocabulary.model", path / "vocabulary.txt") if file.is_file()][:1]
        if not files:
            raise UserError(f"There is no vocabulary at {path}.", "Name a .model or .txt file, or a model directory.")
        vocabularies = [_load_file(file) for file in files]
        return cls(vocabularies[0], vocabularies[-1])


def _load_file(path: Path) -> Vocabulary:
    try:
        content = path.read_bytes()
        if path.suffix == ".labels":
            from nmt.data.vocabulary.labels import LabelVocabulary

            return LabelVocabulary.from_bytes(content)
        return WordVocabulary.from_bytes(content) if path.suffix == ".txt" else SentencePieceVocabulary(content)
    except UserError as error:
        raise UserError(f"{path}: {error.message}", error.remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read as a vocabulary: {error}.", "Check the file.") from None
