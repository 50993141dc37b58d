"""Small folders of Hugging Face with random weights, written without transformers: the names are those of its classes.

Tests with transformers load the same folders, so the names and shapes here are checked as well.
"""

import io
import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from fixture_types import BuildOnce
from safetensors.numpy import save_file

from nmt.data.batch import Ids
from nmt.extensions.interchange.pretrained.huggingface import import_huggingface
from nmt.quickstart.embedded_corpus import splits

WIDTH, INNER = 32, 48
SIZE = 420
"""Number of ids, most of which have pieces."""
MARIAN_PAD = SIZE - 1
NLLB_LANGUAGES = ("ace_Arab", "deu_Latn", "eng_Latn", "fra_Latn")
MBART_LANGUAGES = ("ar_AR", "de_DE", "en_XX")
CASES: dict[str, dict[str, Any]] = {
    "marian": {},
    "marian_relu": {"activation": "relu", "layers": (3, 1), "scale": False},
    "marian_separate": {"shared": False, "activation": "gelu"},
    "marian_untied": {"shared": False, "tied": False},
    "marian_codes": {"codes": (">>eng<<", ">>fra<<")},
    "m2m100": {"kind": "m2m_100", "activation": "relu"},
    "nllb": {"kind": "m2m_100", "tokenizer": "nllb", "activation": "relu", "layers": (1, 3)},
    "mbart": {"kind": "mbart", "activation": "gelu"},
}
"""Arguments of :func:`write_folder`."""
TARGETS = {"marian_codes": "eng"}
"""Target languages of multilingual models that don't say which one they have."""

Weights = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


@cache
def lines_of(language: str, num_lines: int = 1500) -> list[str]:
    """Returns lines of the embedded corpus, a list that nobody may change."""
    pairs = splits(train=num_lines)["train"]
    return [pair.source if language == "en" else pair.target for pair in pairs]


def strange_lines(count: int) -> list[str]:
    """Returns lines with unusual characters, white space and marks."""
    draw, plain = random.Random(3), lines_of("de", 500)
    alphabet = (
        "abcdefgäöüßÄÖÜ ÉñçøłžČ  \t.,;:!?»«„“”'’()[]{}<>&%$#@*+-=/\\|~^_`0123456789½²ﬁ①㎏漢字かな한국어русскийελληνικά"
        "عربيעברית😀👩‍👩‍👧\u00a0\u200b\u202e\ufeff\u3000e\u0301▁"
    )
    lines = []
    for number in range(count):
        line = list(draw.choice(plain))
        if number % 3:
            for _ in range(draw.randint(1, 6)):
                line.insert(draw.randrange(len(line) + 1), draw.choice(alphabet))
        if number % 3 == 2:
            line = [draw.choice(alphabet) for _ in range(draw.randint(1, 40))]
        if number % 10 == 0:
            line = [chr(draw.choice([draw.randrange(32, 0xD7FF), draw.randrange(0xE000, 0x1FFFF)])) for _ in range(9)]
        lines.append("".join(line))
    return lines


@cache
def train_sentencepiece(languages: tuple[str, ...], size: int, kind: str) -> bytes:
    """Returns a sentencepiece model with its usual special pieces: UNK, SOS and EOS."""
    model = io.BytesIO()
    lines = (line for language in languages for line in lines_of(language))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_writer=model, vocab_size=size, model_type=kind, num_threads=1, minloglevel=2
    )
    return model.getvalue()


def pieces_of(model: bytes) -> list[str]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]


def write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False), "utf-8")


def random_weights(kind: str, layers: tuple[int, int], shared: bool, tied: bool) -> Weights:
    """Returns weights by the names of transformers."""
    draw, weights = np.random.default_rng(7), Weights()

    def matrix(name: str, *shape: int, scale: float = 0.25) -> None:
        weights[name] = (scale * draw.standard_normal(shape)).astype(np.float32)

    def linear(name: str, rows: int, columns: int) -> None:
        matrix(f"{name}.weight", rows, columns)
        matrix(f"{name}.bias", rows, scale=0.1)

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = (1 + 0.1 * draw.standard_normal(WIDTH)).astype(np.float32)
        matrix(f"{name}.bias", WIDTH, scale=0.1)

    if shared:
        matrix("model.shared.weight", SIZE, WIDTH)
    for side, num_layers in zip(("encoder", "decoder"), layers, strict=True):
        if not shared:
            matrix(f"model.{side}.embed_tokens.weight", SIZE, WIDTH)
        if kind == "mbart":
            matrix(f"model.{side}.embed_positions.weight", 130, WIDTH)
            norm(f"model.{side}.layernorm_embedding")
        for number in range(num_layers):
            layer = f"model.{side}.layers.{number}"
            for attention in ("self_attn", "encoder_attn")[: 1 if side == "encoder" else 2]:
                for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
                    linear(f"{layer}.{attention}.{part}", WIDTH, WIDTH)
                norm(f"{layer}.{attention}_layer_norm")
            linear(f"{layer}.fc1", INNER, WIDTH)
            linear(f"{layer}.fc2", WIDTH, INNER)
            norm(f"{layer}.final_layer_norm")
        if kind != "marian":
            norm(f"model.{side}.layer_norm")
    if not tied:
        matrix("lm_head.weight", SIZE, WIDTH)
    if kind != "m2m_100":
        matrix("final_logits_bias", 1, SIZE, scale=0.5)
    return weights


def write_folder(
    path: Path,
    kind: str = "marian",
    *,
    tokenizer: str = "m2m100",
    activation: str = "swish",
    layers: tuple[int, int] = (2, 2),
    scale: bool = True,
    shared: bool = True,
    tied: bool = True,
    codes: Sequence[str] = (),
) -> Path:
    """Writes a folder.

    Args:
        path: a new folder.
        kind: ``model_type``: marian, m2m_100 or mbart.
        tokenizer: of an m2m_100, m2m100 or nllb.
        activation, layers, scale, shared, tied: of the model; a pair is of encoder and decoder.
        codes: language tokens of a multilingual Marian model.
    """
    path.mkdir(parents=True)
    ids = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    if kind == "marian":
        _marian_tokenizer(path, shared, codes)
        ids = {"pad_token_id": MARIAN_PAD, "eos_token_id": 0, "decoder_start_token_id": MARIAN_PAD}
    elif tokenizer == "m2m100" and kind == "m2m_100":
        _m2m100_tokenizer(path)
    else:
        _offset_tokenizer(path, NLLB_LANGUAGES if kind == "m2m_100" else MBART_LANGUAGES)
    config = {
        "model_type": kind, "is_encoder_decoder": True, "d_model": WIDTH, "vocab_size": SIZE,
        "decoder_vocab_size": SIZE, "share_encoder_decoder_embeddings": shared, "tie_word_embeddings": tied,
        "encoder_layers": layers[0], "decoder_layers": layers[1], "encoder_attention_heads": 4,
        "decoder_attention_heads": 2, "encoder_ffn_dim": INNER, "decoder_ffn_dim": INNER,
        "activation_function": activation, "scale_embedding": scale, "max_position_embeddings": 128, **ids,
    }  # fmt: skip
    if kind != "marian":
        config = {key: value for key, value in config.items() if not key.startswith(("share_", "decoder_vocab"))}
    write_json(path / "config.json", config)
    save_file(random_weights(kind, layers, shared, tied), path / "model.safetensors", {"format": "pt"})
    return path


def shared_folder(case: str, build_once: BuildOnce) -> Path:
    """Returns the folder of one of :data:`CASES`. Read only."""
    return build_once(f"huggingface_{case}", lambda path: write_folder(path, **CASES[case]))


def imported_model(case: str, build_once: BuildOnce) -> Path:
    """Returns the model directory to which the folder of one of :data:`CASES` was imported. Read only."""
    folder, target = shared_folder(case, build_once), TARGETS.get(case)
    return build_once(f"imported_{case}", lambda path: import_huggingface(folder, path, None, target))


def by_transformers(model: Any, pairs: Sequence[tuple[Ids, Ids]], before: Sequence[int]) -> list[list[float]]:
    """Returns log-probabilities of the tokens and EOS of translations; the decoder reads ``before`` before each."""
    eos, found = model.config.eos_token_id, []
    for source, target in pairs:
        inputs = {"input_ids": [*source, eos], "decoder_input_ids": [*before, *target]}
        with torch.no_grad():
            output = model(**{name: torch.tensor([ids]) for name, ids in inputs.items()})
        log_p_TV = output.logits[0, len(before) - 1 :].log_softmax(-1)
        found.append(log_p_TV.gather(1, torch.tensor([*target, eos])[:, None])[:, 0].tolist())
    return found


def _filled(pieces: Sequence[str], size: int) -> dict[str, int]:
    """Returns ids of pieces and of some that fill the rest."""
    pieces = list(dict.fromkeys(pieces))
    assert len(pieces) <= size
    pieces += [f"fill{i}" for i in range(size - len(pieces))]
    return {piece: i for i, piece in enumerate(pieces)}


def _marian_tokenizer(path: Path, shared: bool, codes: Sequence[str]) -> None:
    models = {
        side: train_sentencepiece((language,), 200, "unigram")
        for side, language in zip(("source", "target"), ("de", "en"), strict=True)
    }
    for side, model in models.items():
        (path / f"{side}.spm").write_bytes(model)
    source, target = map(pieces_of, models.values())
    first = ["</s>", "<unk>", *codes]
    tables = [[*first, *source, *target]] if shared else [[*first, *source], [*first, *target]]
    for name, pieces in zip(("vocab.json", "target_vocab.json"), tables, strict=False):
        write_json(path / name, _filled(pieces, SIZE - 1) | {"<pad>": MARIAN_PAD})
    settings = {"source_lang": "de", "target_lang": "en", "separate_vocabs": not shared}
    write_json(path / "tokenizer_config.json", {"tokenizer_class": "MarianTokenizer", **settings})


def _m2m100_tokenizer(path: Path) -> None:
    model = train_sentencepiece(("de", "en"), 250, "bpe")
    (path / "sentencepiece.bpe.model").write_bytes(model)
    # Some pieces have no id, and eight rows of the embeddings no piece.
    write_json(path / "vocab.json", _filled(["<s>", "<pad>", "</s>", "<unk>", *pieces_of(model)[:-7]], SIZE - 108))
    write_json(
        path / "tokenizer_config.json", {"tokenizer_class": "M2M100Tokenizer", "src_lang": "de", "tgt_lang": "en"}
    )


def _offset_tokenizer(path: Path, languages: Sequence[str]) -> None:
    """As of NLLB (BPE) and mBART-50 (unigram): ids are those of sentencepiece plus one, then the languages, a mask."""
    is_nllb = languages is NLLB_LANGUAGES
    model = train_sentencepiece(("de", "en"), 250, "bpe" if is_nllb else "unigram")
    (path / "sentencepiece.bpe.model").write_bytes(model)
    added = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    added |= {name: 251 + i for i, name in enumerate((*languages, "<mask>"))}
    settings = {
        "tokenizer_class": "NllbTokenizer" if is_nllb else "MBart50Tokenizer",
        "src_lang": languages[1],
        "tgt_lang": languages[2],
        "added_tokens_decoder": {str(i): {"content": name, "special": True} for name, i in added.items()},
        "extra_special_tokens": [*languages],
    }
    write_json(path / "tokenizer_config.json", settings)
