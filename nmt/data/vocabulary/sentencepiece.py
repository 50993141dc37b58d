"""Vocabularies of subwords and of characters, learned and applied by sentencepiece."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Self

from nmt.core.errors import UserError
from nmt.data.vocabulary.base import SEPARATOR, SPECIALS, TAG, TERM, Piece, Vocabulary, no_text
from nmt.recipe.schema import VocabularyOptions

MAX_LINES = 2_000_000  # maximum number of lines from which sentencepiece learns a vocabulary


class SentencePieceVocabulary(Vocabulary):
    """A sentencepiece model of any type. ``proto``: the model as it is in a file, kept as ``sentencepiece_model``."""

    suffix = ".model"
    model_type: ClassVar[str]

    def __init__(self, proto: bytes) -> None:
        import sentencepiece

        self.sentencepiece_model = proto
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(proto)
            list(map(self.token, range(len(self))))  # each is UTF-8
        except (RuntimeError, OSError, UnicodeDecodeError):
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

    @classmethod
    def learn(
        cls,
        lines: Iterable[str],
        options: VocabularyOptions,
        specials: Sequence[str],
        where: str,
        is_limit: bool = False,
    ) -> Self:
        """Learns a vocabulary; with ``is_limit`` a text may give fewer pieces than ``options.size``."""
        import sentencepiece

        model = io.BytesIO()
        problem: UserError | None = None

        def sentences() -> Iterator[str]:
            """Yields the lines; their error is kept, because sentencepiece raises one of its own instead."""
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
                model_type=cls.model_type,
                vocab_size=options.size,
                # The number of characters is that of the text; the size is only a maximum.
                hard_vocab_limit=cls.model_type != "char" and not is_limit,
                byte_fallback=options.byte_fallback,
                split_digits=options.split_digits,
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
            raise problem or _explained(str(error), options.size, where, is_limit) from None
        return cls(model.getvalue())

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        return cls(content)

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._processor.encode(without_surrogates(text))
        return ids

    def scores(self) -> dict[str, float]:
        """Returns the score of each piece that is text: log p in a unigram model, minus the rank of a merge in BPE."""
        p = self._processor
        kinds = (p.is_control, p.is_unknown, p.is_byte, p.is_unused)
        return {self.token(i): float(p.get_score(i)) for i in range(len(self)) if not any(kind(i) for kind in kinds)}

    def _pieces(self, text: str) -> list[Piece]:
        mapping = self._processor.EncodeAsOffsetMapping(without_surrogates(text))
        return [Piece(i, begin, end) for i, (begin, end) in zip(mapping["ids"], mapping["offsets"], strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._processor.decode([i for i in ids if i not in self._hidden])
        return text

    def token(self, index: int) -> str:
        piece: str = self._processor.id_to_piece(index)
        return piece

    def to_bytes(self) -> bytes:
        return self.sentencepiece_model


def without_surrogates(text: str) -> str:
    """Replaces lone surrogates, which UTF-8 cannot encode, by question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


class UnigramVocabulary(SentencePieceVocabulary):
    """Subwords of a unigram language model (Kudo 2018)."""

    model_type = "unigram"


class BpeVocabulary(SentencePieceVocabulary):
    """Subwords by byte-pair encoding (Sennrich et al. 2016)."""

    model_type = "bpe"


class CharacterVocabulary(SentencePieceVocabulary):
    """Characters."""

    model_type = "char"


def _explained(problem: str, size: int, where: str, is_limit: bool) -> UserError:
    """Returns the error for a message of sentencepiece, in terms of the recipe."""
    if limit := re.search(r"value <= (\d+)", problem):
        message = f"{where} gives at most {limit[1]} pieces, but vocabulary.size is {size}."
        return UserError(message, f"Give --set vocabulary.size={limit[1]} or less.")
    if smallest := re.search(r"smaller than required_chars\. (\d+) vs (\d+)", problem):
        room = f"leaves room for {size - len(SPECIALS)} more" if is_limit else f"is {size}"
        message = f"{where} needs {smallest[2]} pieces for characters and specials, but vocabulary.size {room}."
        return UserError(message, "Raise it, or lower vocabulary.character_coverage; byte_fallback takes 256 pieces.")
    if "sentences_.empty()" in problem or "Input corpus is empty" in problem:
        return no_text(where)
    message = f"sentencepiece can't make a vocabulary from {where}: {problem}"
    return UserError(message, "Check vocabulary.* of the recipe.")
