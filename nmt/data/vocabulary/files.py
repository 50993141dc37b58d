"""The table of vocabularies, and the vocabularies of a model: learned from text, saved and loaded."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.core.errors import UserError
from nmt.core.files import explained, replacing
from nmt.data.dialogue import TAB
from nmt.data.vocabulary.base import SEPARATOR, SPECIALS, TERM, Vocabulary
from nmt.data.vocabulary.sentencepiece import (
    BpeVocabulary,
    CharacterVocabulary,
    SentencePieceVocabulary,
    UnigramVocabulary,
)
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe.registry import Table, hooks
from nmt.recipe.schema import VocabularyOptions

VOCABULARIES: Table[Vocabulary] = Table(
    "vocabulary",
    Vocabulary,
    {"unigram": UnigramVocabulary, "bpe": BpeVocabulary, "character": CharacterVocabulary, "word": WordVocabulary},
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
        """Reads a single vocabulary file (joint), or what :meth:`save` wrote into a directory. Raises UserError if
        there is no vocabulary."""
        files = [file for side in ("source", "target") for file in sorted(path.glob(f"vocabulary.{side}.*"))]
        if len(files) != 2:
            names = (path / f"vocabulary{kind.suffix}" for kind in _kinds())
            files = [file for file in (path, *names) if file.is_file()][:1]
        if not files:
            raise UserError(f"There is no vocabulary at {path}.", "Name a .model or .txt file, or a model directory.")
        vocabularies = [_load_file(file) for file in files]
        return cls(vocabularies[0], vocabularies[-1])


def _kinds() -> list[type[Vocabulary]]:
    return [SentencePieceVocabulary, *VOCABULARIES.values(), *hooks("vocabulary_files")]


def _load_file(path: Path) -> Vocabulary:
    try:
        kind = next((kind for kind in _kinds() if kind.suffix == path.suffix), SentencePieceVocabulary)
        return kind.from_bytes(path.read_bytes())
    except UserError as error:
        raise UserError(f"{path}: {error.message}", error.remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read as a vocabulary: {error}.", "Check the file.") from None


def train_vocabularies(
    options: VocabularyOptions,
    pairs: Iterable[tuple[str, str]],
    separator: bool = False,
    tags: Sequence[str] = (),
    terms: bool = False,
    learn_labels: Callable[[Iterable[str], int], Vocabulary] | None = None,
) -> Vocabularies:
    """Makes the vocabularies of a recipe from its training text.

    Args:
        options: kind and size.
        pairs: source and target sentences; iterated once or, with separate vocabularies, twice.
        separator: whether the source is dialogues, so that its vocabulary gets the separator of turns.
        tags: tags of the source, such as ``<2de>``; ``pairs`` are without them.
        terms: whether the source vocabulary gets the symbols around given translations.
        learn_labels: makes the target vocabulary of lines that are one label each, at most as many as the size.

    Raises:
        UserError: there is no text, or too little for the size asked for; a tag has the name of another special piece.
    """
    if taken := {*SPECIALS, SEPARATOR, *TERM}.intersection(tags):
        raise UserError(f"The tag {min(taken)} is a special piece of every vocabulary.", "Choose another tag.")
    kind = VOCABULARIES.find(options.type, "vocabulary.type")
    specials = [SEPARATOR] * separator + list(tags) + list(TERM) * terms
    if options.joint and learn_labels is None:
        sides = (side for pair in pairs for side in pair)
        joint = kind.learn(_turns(sides, separator), options, specials, "the training text")
        return Vocabularies(joint, joint)
    sources = (source for source, _ in pairs)
    source = kind.learn(_turns(sources, separator), options, specials, "the source side")
    targets = (target for _, target in pairs)
    if learn_labels is not None:
        return Vocabularies(source, learn_labels(targets, options.size))
    return Vocabularies(source, kind.learn(targets, options, (), "the target side"))


def _turns(lines: Iterable[str], is_dialogue: bool) -> Iterable[str]:
    return (turn for line in lines for turn in line.split(TAB)) if is_dialogue else lines
