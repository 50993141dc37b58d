"""Tokenizers of Hugging Face's translation models as vocabularies: sentencepiece models, ids, and language tokens."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nmt.core.errors import UserError, nearest
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.interchange.pretrained.families import Config
from nmt.extensions.interchange.pretrained.files import INCOMPLETE, read_content, read_json
from nmt.extensions.interchange.pretrained.vocabulary import MARIAN_TAG, PretrainedTable, PretrainedVocabulary

FAIRSEQ_MODEL = "sentencepiece.bpe.model"
FAIRSEQ_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
"""Ids 0 to 3 of M2M100, NLLB and mBART-50. In the sentencepiece models of the last two, UNK, SOS and EOS are 0 to 2."""
LANGUAGE = re.compile(r"__\w+__|[a-z]{3}_[A-Z][a-z]{3}|[a-z]{2}_[A-Z]{2}")
"""Language tokens of M2M100, NLLB and mBART-50."""
MAX_UNNAMED = 256
"""Maximum number of rows of the embeddings without a piece, which some models have for the sake of round sizes."""
ANY = "und"
"""A language that is not chosen yet (ISO 639-2): the one with the first id, or the one that a line of Marian names."""
M2M100_LANGUAGES = {
    "m2m100": "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr "
    "ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl ps "
    "pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu",
    "wmt21": "en ha is ja cs ru zh de",
}
"""Languages of M2M100 in the order of their ids, by ``language_codes`` of ``tokenizer_config.json``."""
Tokenizer = tuple[Vocabularies, tuple[str, str], int | None]
"""Vocabularies, the languages of source and target, and the id that the decoder reads before SOS, if there is one."""


def read_tokenizer(directory: Path, config: Config, source: str | None, target: str | None) -> Tokenizer:
    """Reads the tokenizer of a downloaded model.

    Args:
        config: the content of ``config.json``.
        source, target: the languages; None: that of the tokenizer.

    Raises:
        UserError: a file is missing or damaged, the tokenizer doesn't fit the weights, or a language is unknown.
    """
    path = directory / "tokenizer_config.json"
    settings = read_json(path) if path.is_file() else {}
    texts = {key: value for key, value in settings.items() if isinstance(value, str)}
    source = source or texts.get("source_lang") or texts.get("src_lang")
    target = target or texts.get("target_lang") or texts.get("tgt_lang")
    if not source or not target:
        raise UserError(
            f"{directory} doesn't say what language is {'the target' if source else 'the source'}.",
            "Give --source-language and --target-language.",
        )
    if (directory / "source.spm").is_file():
        return _marian(directory, config, settings, source, target)
    if not (directory / FAIRSEQ_MODEL).is_file():
        raise UserError(f"{directory} has neither source.spm nor {FAIRSEQ_MODEL}.", INCOMPLETE)
    return _fairseq(directory, config, settings, source, target)


def _marian(directory: Path, config: Config, settings: Mapping[str, Any], source: str, target: str) -> Tokenizer:
    """Two sentencepiece models, whose pieces have ids in ``vocab.json``, or each in a file of its own."""
    is_separate = settings.get("separate_vocabs", not config.share_encoder_decoder_embeddings)
    names = ["vocab.json", "target_vocab.json" if is_separate else "vocab.json"]
    target_size = 0 if config.share_encoder_decoder_embeddings else config.decoder_vocab_size
    tables = [
        _pieces(directory / name, _ids_of(directory / name), size)
        for name, size in zip(names, (config.vocab_size, target_size or config.vocab_size), strict=True)
    ]
    tags = {piece: i for i, piece in enumerate(tables[0]) if MARIAN_TAG.fullmatch(piece)}
    prefix = [_language(tags, target, "target", (f">>{target}<<", target))] if tags and target != ANY else []
    sides = [
        _vocabulary(
            directory / f"{side}.spm",
            pieces,
            config,
            sos=config.pad_token_id if config.decoder_start_token_id is None else config.decoder_start_token_id,
            languages=tags if pieces == tables[0] else {},
            prefix=prefix if side == "source" else [],
        )
        for side, pieces in zip(("source", "target"), tables, strict=True)
    ]
    return Vocabularies(*sides), (source, target), None


def _fairseq(directory: Path, config: Config, settings: Mapping[str, Any], source: str, target: str) -> Tokenizer:
    """A joint sentencepiece model, and a token for each language, which comes first in source and target."""
    if settings.get("legacy_behaviour") or settings.get("tokenizer_class") in ("MBartTokenizer", "MBartTokenizerFast"):
        raise UserError(
            f"{directory}: this tokenizer puts the source language behind the text, which nmt doesn't.",
            "Choose an mBART-50 or NLLB model without legacy_behaviour.",
        )
    added, named = _added_tokens(directory)
    is_m2m100 = (directory / "vocab.json").is_file()
    if is_m2m100:
        ids = _ids_of(directory / "vocab.json")
        codes = M2M100_LANGUAGES.get(str(settings.get("language_codes", "m2m100")), "")
        named = named or [f"__{code}__" for code in codes.split()]
    else:
        own = _sentencepiece_pieces(directory / FAIRSEQ_MODEL)[3:]
        ids = {piece: i for i, piece in enumerate((*FAIRSEQ_SPECIALS, *own))}
    if not any(map(LANGUAGE.fullmatch, added)):
        added = {name: len(ids) + i for i, name in enumerate(named)}
    ids = added | ids
    languages = {name: i for name, i in ids.items() if LANGUAGE.fullmatch(name) and name in added}
    if not languages:
        raise UserError(
            f"{directory} has no list of language tokens.", "Download special_tokens_map.json or tokenizer.json, too."
        )
    pieces = _pieces(directory / FAIRSEQ_MODEL, ids, config.vocab_size)
    spellings = [(f"__{code}__", code) if is_m2m100 else (code,) for code in (source, target)]
    prefix = _language(languages, source, "source", spellings[0])
    sos = _language(languages, target, "target", spellings[1])
    hidden = [i for name, i in ids.items() if name in ("<s>", "<mask>")]
    sides = [
        _vocabulary(
            directory / FAIRSEQ_MODEL, pieces, config, sos=sos, languages=languages, prefix=before, hidden=hidden
        )
        for before in ([prefix], [])
    ]
    start = config.eos_token_id if config.decoder_start_token_id is None else config.decoder_start_token_id
    return Vocabularies(*sides), (source, target), start


def _vocabulary(path: Path, pieces: list[str], config: Config, **ids: Any) -> PretrainedVocabulary:
    for key, name in (("pad_token_id", "<pad>"), ("eos_token_id", "</s>")):
        index = getattr(config, key)
        if not 0 <= index < len(pieces) or pieces[index] != name:
            raise UserError(
                f"{path.parent}: the tokenizer doesn't fit the weights: {key} is {index}, which isn't {name} there.",
                INCOMPLETE,
            )
    if ids["sos"] == config.eos_token_id or "<unk>" not in pieces:
        raise UserError(f"{path.parent}: decoder_start_token_id is EOS, or the tokenizer has no <unk>.", INCOMPLETE)
    model = base64.b64encode(read_content(path)).decode("ascii")
    try:
        table = PretrainedTable(
            pieces=pieces,
            pad=config.pad_token_id,
            unk=pieces.index("<unk>"),
            eos=config.eos_token_id,
            sentencepiece=model,
            **ids,
        )
        return PretrainedVocabulary(table)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"{path.parent}: the tokenizer doesn't fit the weights: {reason}.", INCOMPLETE) from None
    except UserError:
        raise UserError(f"{path} is not a sentencepiece model.", INCOMPLETE) from None


def _pieces(path: Path, ids: Mapping[str, int], size: int) -> list[str]:
    """Returns the pieces by id, with names for rows of the embeddings that have none."""
    by_id = {i: piece for piece, i in ids.items()}
    highest = max(by_id, default=0)
    if len(by_id) < len(ids) or highest >= size or size - len(by_id) > MAX_UNNAMED:
        raise UserError(
            f"{path}: the tokenizer doesn't fit the weights: it has {len(by_id):,} ids up to {highest:,}, and "
            f"config.json says vocab_size: {size:,}.",
            "Take config.json, the weights and the tokenizer from the same model.",
        )
    return [by_id.get(i, f"madeupword{i:04d}") for i in range(size)]


def _ids_of(path: Path) -> dict[str, int]:
    """Reads a JSON file of pieces and their ids."""
    ids = read_json(path)
    if wrong := [piece for piece, i in ids.items() if type(i) is not int or i < 0]:
        raise UserError(f"{path}: {wrong[0]!r} has no id.", INCOMPLETE)
    return ids


def _sentencepiece_pieces(path: Path) -> list[str]:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(read_content(path))
        return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    except (RuntimeError, UnicodeDecodeError):
        raise UserError(f"{path} is not a sentencepiece model.", INCOMPLETE) from None


def _added_tokens(directory: Path) -> tuple[dict[str, int], list[str]]:
    """Returns the added tokens that a file gives with their ids, and the names of additional special tokens."""
    files = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    whole, settings, special = (read_json(directory / name) if (directory / name).is_file() else {} for name in files)
    keys = ("additional_special_tokens", "extra_special_tokens")
    lists = [values.get(key) for values in (special, settings) for key in keys]
    try:
        added = {str(entry["content"]): int(i) for i, entry in (settings.get("added_tokens_decoder") or {}).items()}
        added |= {str(entry["content"]): int(entry["id"]) for entry in whole.get("added_tokens") or ()}
        names = [str(name["content"] if isinstance(name, dict) else name) for each in lists for name in each or ()]
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{directory}: the added tokens in {' or '.join(files)} are damaged.", INCOMPLETE) from None
    return added, [name for name in dict.fromkeys(names) if LANGUAGE.fullmatch(name)]


def _language(known: Mapping[str, int], code: str, side: str, spellings: tuple[str, ...]) -> int:
    for name in spellings:
        if name in known:
            return known[name]
    if code == ANY:
        return min(known.values())
    codes = sorted(name.strip("_<>") for name in known)
    raise UserError(f"--{side}-language: the model has no language {code!r}.", nearest(code, codes))
