"""A sentencepiece model as ``tokenizer.json``, the form of Hugging Face's library tokenizers.

That library applies the normalisation rules of sentencepiece to a grapheme cluster of less than six bytes as a whole,
and only the first rule that fits its beginning. So marks are composed with their letters before, and single characters
separated by a code point that no text has.
"""

import base64
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from nmt.data.vocabulary.sentencepiece import SentencePieceVocabulary

SEPARATOR = "\ufff0"
"""A reserved code point that Unicode treats as a control character, so no grapheme cluster contains it."""
START, END = r"(?<![\s\S])", r"(?![\s\S])"
"""Patterns for the begin and the end of the text; other anchors have another meaning in JavaScript."""
USER_DEFINED = 4
"""Type of a piece in a sentencepiece model."""
UNIGRAM, BPE = 1, 2
"""Types of sentencepiece models."""
Value = int | bytes


def fast_tokenizer(vocabulary: SentencePieceVocabulary) -> dict[str, Any] | None:
    """Returns the content of ``tokenizer.json``, or None if the vocabulary has user-defined pieces.

    Ids are those of sentencepiece, except for combining marks that aren't in canonical order, and for special symbols
    in a text of whose characters a unigram model has no piece.
    """
    fields = _fields(vocabulary.sentencepiece_model)
    parts = [(number, dict(_fields(value))) for number, value in fields if isinstance(value, bytes) and number <= 3]
    if any(number == 1 and part.get(3) == USER_DEFINED for number, part in parts):
        return None
    trainer, normalizer = (dict(parts)[number] for number in (2, 3))
    rules, has_bytes, kind = normalizer.get(2), bool(trainer.get(35)), trainer.get(3, UNIGRAM)
    pieces = [vocabulary.token(i) for i in range(len(vocabulary))]
    normalizers = [*_rules(rules)] if isinstance(rules, bytes) and rules else []
    if normalizer.get(4, 1):  # remove_extra_whitespaces
        normalizers += [_replace(f"{START} +", ""), _replace(" {2,}", " ")]
    normalizers += [_replace(" ", "▁"), *([_replace(f"▁+{END}", "")] if normalizer.get(4, 1) else [])]
    if normalizer.get(3, 1):  # add_dummy_prefix
        normalizers.append({"type": "Prepend", "prepend": "▁"})
    specials = [vocabulary.pad, vocabulary.unk, vocabulary.sos, vocabulary.eos]
    eos = pieces[vocabulary.eos]
    decoders: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}]
    decoders += [{"type": "ByteFallback"}] if has_bytes else []
    decoders += [{"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": pieces[i], "special": True, "normalized": False}
            | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
            for i in sorted(specials)
        ],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": _split([pieces[i] for i in specials]) if kind == UNIGRAM else None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": eos, "type_id": 0}}],
            "pair": [
                *({"Sequence": {"id": side, "type_id": 0}} for side in "AB"),
                {"SpecialToken": {"id": eos, "type_id": 0}},
            ],
            "special_tokens": {eos: {"id": eos, "ids": [vocabulary.eos], "tokens": [eos]}},
        },
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": _model(kind, vocabulary, has_bytes),
    }


def _model(kind: Value, vocabulary: SentencePieceVocabulary, has_bytes: bool) -> dict[str, Any]:
    """Returns the part that divides normalised text."""
    pieces, scores = [vocabulary.token(i) for i in range(len(vocabulary))], vocabulary.scores()
    if kind == UNIGRAM:
        least = min(scores.values())  # other values would change the score of unknown characters
        table = [[piece, scores.get(piece, least)] for piece in pieces]
        return {"type": "Unigram", "unk_id": vocabulary.unk, "vocab": table, "byte_fallback": has_bytes}
    ids = {piece: i for i, piece in enumerate(pieces)}
    merges = [
        (-score, ids[piece], piece[:cut], piece[cut:])
        for piece, score in (scores.items() if kind == BPE else ())
        for cut in range(1, len(piece))
        if piece[:cut] in scores and piece[cut:] in scores
    ]
    unknown = pieces[vocabulary.unk]
    return {
        "type": "BPE", "dropout": None, "unk_token": unknown, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": has_bytes, "ignore_merges": False, "vocab": ids,
        "merges": [[left, right] for _, _, left, right in sorted(merges)],
    }  # fmt: skip


def _split(specials: Sequence[str]) -> dict[str, Any]:
    """Returns the step that splits special symbols in a text behind their first character.

    The library's unigram model would take them for pieces, whatever their scores.
    """
    places = "|".join(f"(?<={re.escape(special[0])})(?={re.escape(special[1:])})" for special in specials)
    return {"type": "Split", "pattern": {"Regex": places}, "behavior": "Isolated", "invert": False}


def _rules(rules: bytes) -> Iterator[dict[str, Any]]:
    """Yields the steps that apply normalisation rules, each to one character."""
    composed = [i for i in range(0xA0, 0x30000) if not unicodedata.is_normalized("NFKD", chr(i))]
    starts = [i for before, i in pairwise([0, *composed]) if i > before + 1]
    ends = [i for i, after in pairwise([*composed, 0x110000]) if after > i + 1]
    ranges = "".join(f"{chr(first)}-{chr(last)}" for first, last in zip(starts, ends, strict=True))
    yield _replace(rf"(?<=[{ranges}])(?=\p{{M}})", SEPARATOR)  # sentencepiece adds no further mark to these
    yield {"type": "NFC"}
    yield _replace(r"(?<=[\s\S])", SEPARATOR)
    yield {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(rules).decode()}
    yield _replace(SEPARATOR, "")


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Yields number and value of each field of a message in the wire format of protocol buffers."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        else:
            size = number() if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
            at += size
            yield key >> 3, message[at - size : at]
