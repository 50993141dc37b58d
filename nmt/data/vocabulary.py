"""Vocabularies: text to ids and back.

Four special ids exist in each: PAD fills a batch, UNK stands for what isn't known, SOS starts the decoder and
EOS ends a sentence. Pieces carry ``▁`` (U+2581) in place of the space before them, in word vocabularies too,
so that decoding gives detokenised text in every case.

The vocabulary of a recipe with dialogues has a fifth, the separator, which ends a turn that another one follows. It is
never found in text: `nmt/data/dialogue.py` puts it between the turns of a line.

A vocabulary may have tags: symbols such as ``<2de>`` that tell what translation is wanted. They are read in front of a
text, and nowhere else.
"""

import hashlib
import io
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nmt.config import VocabularyOptions
from nmt.errors import UserError
from nmt.files import explained, replacing

SPACE = "▁"
SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
SEPARATOR = "<turn>"
TERM = "<term>", "</term>"  # around a given translation of the word before; pieces of the source
MAX_LINES = 2_000_000
"""Lines of text, at most, that sentencepiece makes a vocabulary from."""
TAG = re.compile(r"\s*(<[^<>\s]+>)\s*")
_WORD = re.compile(r"</?term>|\w+(?:[’'\-]\w+)*|[^\w\s]")


class Piece(NamedTuple):
    """A piece of a sentence and the characters ``text[begin:end]`` that it stands for."""

    id: int
    begin: int
    end: int


class Vocabulary(ABC):
    """Ids and their pieces. ``pad``, ``unk``, ``sos`` and ``eos`` are the special ids.

    ``separator`` is the id that ends a turn of a dialogue; None where the vocabulary was made without. ``tags`` has the
    ids of the tags by their names.
    """

    suffix: str
    pad: int
    unk: int
    sos: int
    eos: int
    separator: int | None = None
    tags: Mapping[str, int] = {}
    is_closed = False
    """Whether each text is one token of a fixed set, without EOS: a label."""

    @abstractmethod
    def __len__(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """Ids of a sentence and of the tags in front of it, without SOS and EOS; tags alone have none."""
        tags = self.tags_of(text)
        ids = self._encode(text[tags[-1].end :] if tags else text)
        return [tag.id for tag in tags] + ids if ids else []

    def pieces(self, text: str) -> list[Piece]:
        """The same ids with the characters each came from."""
        tags = self.tags_of(text)
        start = tags[-1].end if tags else 0
        pieces = [Piece(i, start + begin, start + end) for i, begin, end in self._pieces(text[start:])]
        return tags + pieces if pieces else []

    def tags_of(self, text: str) -> list[Piece]:
        """The tags in front of a text."""
        found: list[Piece] = []
        while self.tags and (match := TAG.match(text, found[-1].end if found else 0)) and match[1] in self.tags:
            found.append(Piece(self.tags[match[1]], *match.span(1)))
        return found

    @abstractmethod
    def _encode(self, text: str) -> list[int]:
        """Ids of a text without tags."""

    @abstractmethod
    def _pieces(self, text: str) -> list[Piece]:
        """The same ids with the characters each came from."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Detokenised text; PAD, SOS, EOS, the separator and tags vanish."""

    @abstractmethod
    def token(self, index: int) -> str:
        """The piece with this id, as it is written in the vocabulary."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """What the vocabulary's file holds."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vocabulary does."""
        return hashlib.blake2b(self.to_bytes(), digest_size=16).hexdigest()


class SentencePieceVocabulary(Vocabulary):
    """A sentencepiece model: unigram (Kudo 2018), BPE (Sennrich et al. 2016) or characters."""

    suffix = ".model"

    def __init__(self, proto: bytes) -> None:
        import sentencepiece

        self._proto = proto
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(proto)
        except (RuntimeError, OSError):
            raise UserError("This is not a sentencepiece model.", "Name a .model file made by sentencepiece.") from None
        self.pad, self.unk = self._processor.pad_id(), self._processor.unk_id()
        self.sos, self.eos = self._processor.bos_id(), self._processor.eos_id()
        if min(self.pad, self.sos, self.eos) < 0:
            raise UserError(
                "This sentencepiece model lacks a padding, start or end piece.",
                "Train it with --pad_id, --bos_id and --eos_id set (0 or more), or let nmt train one.",
            )
        separator = self._processor.piece_to_id(SEPARATOR)
        if self._processor.is_control(separator):
            self.separator = separator
        own = {self.pad, self.sos, self.eos, self.separator}
        controls = (i for i in range(len(self)) if self._processor.is_control(i) and i not in own)
        self.tags = {name: i for i in controls if TAG.fullmatch(name := self.token(i))}
        self._hidden = own.union(self.tags.values())

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._processor.encode(_without_surrogates(text))
        return ids

    def scores(self) -> dict[str, float]:
        """The score of each piece that is text: log p in a unigram model, minus the rank of a merge in BPE."""
        p = self._processor
        kinds = (p.is_control, p.is_unknown, p.is_byte, p.is_unused)
        return {self.token(i): float(p.get_score(i)) for i in range(len(self)) if not any(kind(i) for kind in kinds)}

    def _pieces(self, text: str) -> list[Piece]:
        text = _without_surrogates(text)
        if hasattr(self._processor, "EncodeAsOffsetMapping"):
            found = self._processor.EncodeAsOffsetMapping(text)
            return [Piece(i, begin, end) for i, (begin, end) in zip(found["ids"], found["offsets"], strict=True)]
        processor: Any = self._processor
        proto = processor.encode(text, out_type="immutable_proto")  # sentencepiece before 0.2.2
        return [Piece(piece.id, piece.begin, piece.end) for piece in proto.pieces]

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._processor.decode([i for i in ids if i not in self._hidden])
        return text

    def token(self, index: int) -> str:
        piece: str = self._processor.id_to_piece(index)
        return piece

    def to_bytes(self) -> bytes:
        return self._proto


def _without_surrogates(text: str) -> str:
    """Lone surrogates, which a Python string may hold although they are no text, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


class WordVocabulary(Vocabulary):
    """Whole words and punctuation marks, the most frequent first; everything else is UNK."""

    suffix = ".txt"
    pad, unk, sos, eos = range(4)

    def __init__(self, words: Sequence[str]) -> None:
        self._words = [*SPECIALS, *words]
        self._ids = {word: index for index, word in enumerate(self._words)}
        self.separator = self._ids.get(SEPARATOR)  # no word of a text looks like that
        # Nor like a tag.
        self.tags = {w: self._ids[w] for w in words if w not in (SEPARATOR, *TERM) and TAG.fullmatch(w)}
        self._hidden = {self.pad, self.sos, self.eos, self.separator, *self.tags.values()}

    @classmethod
    def from_bytes(cls, content: bytes) -> "WordVocabulary":
        words = content.decode("utf-8").splitlines()
        if tuple(words[:4]) != SPECIALS:
            raise UserError("This is not a word vocabulary.", f"It must start with {' '.join(SPECIALS)}, a line each.")
        return cls(words[4:])

    @staticmethod
    def split(text: str) -> list[tuple[str, int, int]]:
        """Words with their character spans; ``▁`` marks those that follow a space or start the sentence."""
        words = []
        for match in _WORD.finditer(text):
            begin, end = match.span()
            after_space = begin == 0 or text[begin - 1].isspace()
            words.append(((SPACE if after_space else "") + match.group(), begin, end))
        return words

    def __len__(self) -> int:
        return len(self._words)

    def _encode(self, text: str) -> list[int]:
        return [self._ids.get(word, self.unk) for word, _, _ in self.split(text)]

    def _pieces(self, text: str) -> list[Piece]:
        return [Piece(self._ids.get(word, self.unk), begin, end) for word, begin, end in self.split(text)]

    def decode(self, ids: Sequence[int]) -> str:
        words = [SPACE + self._words[i] if i == self.unk else self._words[i] for i in ids if i not in self._hidden]
        return "".join(words).replace(SPACE, " ").strip()

    def token(self, index: int) -> str:
        return self._words[index]

    def to_bytes(self) -> bytes:
        return "".join(word + "\n" for word in self._words).encode("utf-8")


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
            from nmt.data.labels import LabelVocabulary

            return LabelVocabulary.from_bytes(content)
        return WordVocabulary.from_bytes(content) if path.suffix == ".txt" else SentencePieceVocabulary(content)
    except UserError as error:
        raise UserError(f"{path}: {error.message}", error.remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read as a vocabulary: {error}.", "Check the file.") from None


def train_vocabularies(
    options: VocabularyOptions,
    pairs: Iterable[tuple[str, str]],
    separator: bool = False,
    tags: Sequence[str] = (),
    labels: bool = False,
    terms: bool = False,
) -> Vocabularies:
    """Make the vocabularies of a recipe from its training text.

    Args:
        options: kind and size.
        pairs: source and target sentences; iterated once or, with separate vocabularies, twice.
        separator: the source is dialogues: its vocabulary gets the piece that separates their turns.
        tags: of the source, such as ``<2de>``; ``pairs`` are without them.
        labels: each target is one label.
        terms: the source vocabulary gets the symbols around given translations.

    Raises:
        UserError: there is no text, or too little for the size asked for; a tag has the name of another special piece.
    """
    if taken := {*SPECIALS, SEPARATOR, *TERM}.intersection(tags):
        raise UserError(f"The tag {min(taken)} is a special piece of every vocabulary.", "Choose another tag.")
    specials = [SEPARATOR] * separator + list(tags) + list(TERM) * terms
    if options.joint and not labels:
        joint = _train(options, (side for pair in pairs for side in pair), "the training text", specials, separator)
        return Vocabularies(joint, joint)
    source = _train(options, (source for source, _ in pairs), "the source side", specials, separator)
    targets = (target for _, target in pairs)
    if labels:
        from nmt.data.labels import LabelVocabulary

        return Vocabularies(source, LabelVocabulary.of(targets, options.size))
    return Vocabularies(source, _train(options, targets, "the target side"))


def _train(
    options: VocabularyOptions, lines: Iterable[str], where: str, specials: Sequence[str] = (), has_turns: bool = False
) -> Vocabulary:
    if has_turns:
        lines = (turn for line in lines for turn in line.split("\t"))
    if options.type == "word":
        return _train_words(options, lines, where, specials)
    import sentencepiece

    model = io.BytesIO()
    problem: UserError | None = None

    def sentences() -> Iterator[str]:
        """The lines; an error of theirs is kept, because sentencepiece raises its own in its place."""
        nonlocal problem
        try:
            yield from (line for line in lines if line.strip())
        except UserError as error:
            problem = error
            raise

    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences(),
            model_writer=model,
            model_type={"character": "char"}.get(options.type, options.type),
            vocab_size=options.size,
            # Characters are as many as there are; the size is only the most that are kept.
            hard_vocab_limit=options.type != "character",
            byte_fallback=options.byte_fallback,
            character_coverage=options.character_coverage,
            normalization_rule_name=options.normalization,
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            control_symbols=[symbol for symbol in specials if symbol not in TERM],
            user_defined_symbols=[symbol for symbol in specials if symbol in TERM],
            input_sentence_size=MAX_LINES,
            shuffle_input_sentence=False,
            num_threads=1,  # the same pieces on every machine
            minloglevel=2,
        )
    except (RuntimeError, SystemError) as error:
        raise problem or _explained(str(error), options.size, where) from None
    return SentencePieceVocabulary(model.getvalue())


def _explained(problem: str, size: int, where: str) -> UserError:
    """sentencepiece's message in terms of the recipe."""
    if limit := re.search(r"value <= (\d+)", problem):
        message = f"{where} gives at most {limit[1]} pieces, but vocabulary.size is {size}."
        return UserError(message, f"Give --set vocabulary.size={limit[1]} or less.")
    if smallest := re.search(r"smaller than required_chars\. (\d+) vs (\d+)", problem):
        message = f"{where} has {smallest[2]} different characters and specials, but vocabulary.size is {size}."
        return UserError(message, "Raise vocabulary.size above that, or lower vocabulary.character_coverage.")
    if "sentences_.empty()" in problem or "Input corpus is empty" in problem:
        return _empty(where)
    message = f"sentencepiece can't make a vocabulary from {where}: {problem}"
    return UserError(message, "Check vocabulary.* of the recipe.")


def _empty(where: str) -> UserError:
    return UserError(f"{where} is empty: no vocabulary can be made.", "Check the training files.")


def _train_words(
    options: VocabularyOptions, lines: Iterable[str], where: str, specials: Sequence[str]
) -> WordVocabulary:
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(word for word, _, _ in WordVocabulary.split(line))
    if not counts:
        raise _empty(where)
    # Ties are broken by the alphabet, so that the order doesn't hang on the order of lines.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [word for word, count in ranked if count >= options.min_count and word not in SPECIALS]
    return WordVocabulary([*specials, *kept[: options.size - len(SPECIALS) - len(specials)]])
