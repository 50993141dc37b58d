"""The table of vocabularies, the vocabularies of a model, and the files that hold them."""

from dataclasses import dataclass
from pathlib import Path

from nmt.core.errors import UserError
from nmt.core.files import explained, replacing
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.labels import LabelVocabulary
from nmt.data.vocabulary.pretrained import PretrainedVocabulary
from nmt.data.vocabulary.sentencepiece import (
    BpeVocabulary,
    CharacterVocabulary,
    SentencePieceVocabulary,
    UnigramVocabulary,
)
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe.registry import Table

VOCABULARIES: Table[Vocabulary] = Table(
    "vocabulary",
    Vocabulary,
    {
        "unigram": UnigramVocabulary,
        "bpe": BpeVocabulary,
        "character": CharacterVocabulary,
        "word": WordVocabulary,
        "pretrained": PretrainedVocabulary,
    },
)
"""A vocabulary from outside needs a ``suffix`` of its own, by which its file is recognised."""


@dataclass(frozen=True)
class Vocabularies:
    """The source and the target vocabulary; with a joint vocabulary both are the same object."""

    source: Vocabulary
    target: Vocabulary

    @property
    def joint(self) -> bool:
        return self.source is self.target

    @property
    def share_ids(self) -> bool:
        """Whether the pieces of both have the same ids, as those of a joint vocabulary do."""
        return self.joint or self.source.has_ids_of(self.target)

    @property
    def fingerprint(self) -> str:
        return f"{self.source.fingerprint}-{self.target.fingerprint}"

    def save(self, directory: Path) -> None:
        """Writes ``vocabulary.*``, or ``vocabulary.source.*`` and ``vocabulary.target.*``, and deletes any others."""
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
        """Reads a single vocabulary file (joint), or what :meth:`save` wrote into a directory.

        Raises:
            UserError: there is no vocabulary.
        """
        files = [found for side in ("source", "target") for found in sorted(path.glob(f"vocabulary.{side}.*"))]
        if len(files) != 2:
            names = (path / f"vocabulary{kind.suffix}" for kind in _kinds())
            files = [file for file in (path, *names) if file.is_file()][:1]
        if not files:
            raise UserError(f"There is no vocabulary at {path}.", "Name a .model or .txt file, or a model directory.")
        vocabularies = [_load_file(file) for file in files]
        return cls(vocabularies[0], vocabularies[-1])


def _kinds() -> list[type[Vocabulary]]:
    return [SentencePieceVocabulary, *VOCABULARIES.values(), LabelVocabulary]


def _load_file(path: Path) -> Vocabulary:
    try:
        kind = next((kind for kind in _kinds() if kind.suffix == path.suffix), SentencePieceVocabulary)
        return kind.from_bytes(path.read_bytes())
    except UserError as error:
        raise UserError(f"{path}: {error.message}", error.remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read as a vocabulary: {error}.", "Check the file.") from None
