"""Transformers as folders of Hugging Face, which transformers loads as one of its own architectures.

The reverse of :mod:`nmt.extensions.interchange.pretrained.huggingface`. Marian and Pegasus, which is Marian with
pre-norm, have the sines of a position before its cosines; for a model in which they are interleaved, the dimensions of
the residual stream are reordered, which changes nothing else.
"""

import importlib.util
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nmt.core.errors import UserError
from nmt.core.files import check_unused, new_folder
from nmt.core.model_directory import CARD
from nmt.core.text import in_windows
from nmt.data.batch import Ids, lengths, pad
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.sentencepiece import SentencePieceVocabulary
from nmt.decoding.ranking import length_penalty
from nmt.extensions.interchange.check import ONE_LIMIT, PLAIN, WHOLE, check, left_out
from nmt.extensions.interchange.ct2 import check_exportable
from nmt.extensions.interchange.fast_tokenizer import fast_tokenizer
from nmt.extensions.interchange.pretrained.families import COMMON_KEYS, EARLY_STOPPING, FAMILIES, SIDE_KEYS, Family
from nmt.extensions.interchange.pretrained.names import SHARED, counterpart, order_of_halves
from nmt.extensions.interchange.pretrained.tokenizers import FAIRSEQ_MODEL, FAIRSEQ_SPECIALS
from nmt.extensions.interchange.pretrained.vocabulary import PretrainedVocabulary, prefix_of
from nmt.extensions.interchange.targets import ExportTarget, Quantization
from nmt.models.layers import length_mask, sinusoids
from nmt.models.networks.transformer import TransformerOptions
from nmt.models.weights import weights_of, write_tensors
from nmt.translation.translator import Translator

TRAIN_ANOTHER = "Export it to another format, or train a Transformer such as multi30k/transformer."
USAGE = """\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({directory!r})
model = AutoModelForSeq2SeqLM.from_pretrained({directory!r})
batch = tokenizer(["{prefix}…"], return_tensors="pt", padding=True, truncation=True)
for line in tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True):
    print(line)"""
"""Python code that translates with an exported folder."""
CARRIED = {**PLAIN, **WHOLE, **ONE_LIMIT, "length_penalty": ("none", "average"), "early_stopping": ("first", "exact")}
"""Values of decoding options that transformers has a counterpart for."""
SINUSOIDS = ("sinusoidal", "sinusoidal_halves")


def export_huggingface(translator: Translator, output: Path) -> Family:
    """Writes a folder with ``config.json``, ``model.safetensors`` and the files of a tokenizer.

    Args:
        translator: of a Transformer with sentencepiece vocabularies or those of an imported model.
        output: a new or empty folder.

    Returns:
        The architecture of the folder.

    Raises:
        UserError: no architecture fits the model, its vocabularies aren't of sentencepiece, or the output exists.
    """
    check_unused(output)
    check_exportable(translator, "transformers has counterparts of Transformers")
    family = fitting_family(translator)
    files = _tokenizer(translator) | {
        "config.json": _json(_config(translator, family)),
        "generation_config.json": _json(_generation(translator)),
    }
    options, order_D = translator.recipe.model, None
    if options.encoder["positions"] == "sinusoidal":
        order_D = order_of_halves(options.embedding_size)
    tensors: dict[str, Tensor] = {}
    for name, parameter in weights_of(translator.model).items():
        tensors |= counterpart(name, options.tie).write(parameter, order_D)
    if family.model_type == "pegasus":  # which doesn't compute the codes of its positions itself
        for side in ("encoder", "decoder"):
            tensors[f"model.{side}.embed_positions.weight"] = sinusoids(
                _num_positions(translator), options.embedding_size, kind="sinusoidal_halves"
            )
    if family.model_type != "marian" and options.tie == "none":  # transformers has a third embedding that nobody reads
        tensors[SHARED] = tensors["model.encoder.embed_tokens.weight"].clone()
    with new_folder(output) as temporary:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        write_tensors(tensors, temporary / "model.safetensors", {"format": "pt"})
        if translator.directory is not None and (card := translator.directory / CARD).is_file():
            (temporary / CARD).write_bytes(card.read_bytes())
    return family


class HuggingFace(ExportTarget):
    """A folder for ``transformers``."""

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        if quantization is not None:
            raise UserError("A folder for transformers has float32 weights.", "Leave out --quantization.")
        family = export_huggingface(translator, output)
        found = f"wrote {output}: {family.model_class}; "
        if importlib.util.find_spec("transformers") is None:
            found += "not compared with nmt, because the package transformers is not installed"
        else:
            open_model = partial(TransformersModel, output, translator)
            found += check(output, translator, open_model, lines, exact=True)
        first = translator.recipe.model.decoder["first_token"]  # with which the tokenizer adds the prefix
        prefix = prefix_of(translator.vocabularies.source) if first is None else []
        return [
            found,
            *left_out(translator.recipe.decoding, CARRIED, "transformers"),
            "In Python:\n",
            USAGE.format(directory=str(output), prefix="".join(f"{token} " for token in prefix)),
        ]


class TransformersModel:
    """An :class:`Exported` folder that :func:`export_huggingface` wrote, run by transformers on the CPU.

    Args:
        translator: of the original, for its special ids and sizes of batches.
    """

    def __init__(self, directory: Path, translator: Translator) -> None:
        from transformers import AutoModelForSeq2SeqLM

        messages: Any = importlib.import_module("transformers.utils.logging")
        messages.disable_progress_bar()
        messages.set_verbosity_error()
        self._model = AutoModelForSeq2SeqLM.from_pretrained(directory).eval()
        self._vocabularies, self._batch_size = translator.vocabularies, translator.recipe.decoding.batch_size
        target, first = translator.vocabularies.target, translator.recipe.model.decoder["first_token"]
        self._num_positions: int = self._model.config.max_position_embeddings
        self._start = [target.sos] if first is None else [first, target.sos]

    @torch.inference_mode()
    def translate(self, sources: Sequence[Ids]) -> list[list[int]]:
        """Returns the best translation of each encoded sentence, by the search of ``generation_config.json``."""
        results = list[list[int]]()
        for batch in in_windows(sources, self._batch_size):
            cut = [source[: self._num_positions - 1] for source in batch]  # a longer one has no positions there
            source_BS = pad(cut, self._vocabularies.source, eos=True)
            mask_BS = length_mask(lengths(cut), source_BS.shape[1])
            found_BT = self._model.generate(input_ids=source_BS, attention_mask=mask_BS.long())
            results += map(self._content, found_BT.tolist())
        return results

    def _content(self, ids: list[int]) -> list[int]:
        ids, eos = ids[len(self._start) :], self._vocabularies.target.eos
        return ids[: ids.index(eos)] if eos in ids else ids

    @torch.inference_mode()
    def score(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[list[float]]:
        """Tokens for which the model has no position are left out, and so are those of a source that is too long."""
        scores, longest = list[list[float]](), self._num_positions - len(self._start) + 1
        for source, target in pairs:
            if len(source) >= self._num_positions:
                scores.append([])
                continue
            tokens = torch.tensor([*target, self._vocabularies.target.eos][:longest])
            output = self._model(
                input_ids=torch.tensor([[*source, self._vocabularies.source.eos]]),
                decoder_input_ids=torch.tensor([[*self._start, *tokens[:-1].tolist()]]),
            )
            log_p_TV = output.logits[0, len(self._start) - 1 :].log_softmax(-1)
            scores.append(log_p_TV.gather(1, tokens[:, None])[:, 0].tolist())
        return scores


def fitting_family(translator: Translator) -> Family:
    """Returns the architecture that is equivalent to a model.

    Raises:
        UserError: there is none; the message says why.
    """
    model = translator.recipe.model
    sides = [
        TransformerOptions(**{key: value for key, value in side.items() if key != "type"})
        for side in (model.encoder, model.decoder)
    ]
    for key in ("norm", "positions", "activation", "embedding_norm", "max_positions"):
        values = [getattr(side, key) for side in sides]
        if values[0] != values[1]:
            raise UserError(
                f"transformers has no architecture whose encoder and decoder differ in {key}: {values}.", TRAIN_ANOTHER
            )
    has_bias = isinstance(translator.model.decoder.output.bias_V, nn.Parameter)
    for family in FAMILIES.values():
        positions = SINUSOIDS if family.positions in SINUSOIDS else (family.positions,)
        wanted = (family.norm, family.embedding_norm, family.output_bias)
        if sides[0].positions in positions and wanted == (sides[0].norm, sides[0].embedding_norm, has_bias):
            break
    else:
        raise UserError(
            f"transformers has no architecture with norm: {sides[0].norm}, positions: {sides[0].positions}, "
            f"embedding_norm: {sides[0].embedding_norm} and output_bias: {has_bias}.",
            TRAIN_ANOTHER,
        )
    if family.model_type != "marian" and (model.tie == "target" or not translator.vocabularies.share_ids):
        raise UserError(
            f"{family.model_class} shares all embeddings or none, in one vocabulary, and this model has model.tie: "
            f"{model.tie}.",
            "Train it with --set model.tie=all, or with norm: post, for which Marian's architecture is used.",
        )
    if model.embedding_size % 2 and sides[0].positions == "sinusoidal":
        raise UserError("An odd model.embedding_size has other positions in transformers.", TRAIN_ANOTHER)
    return family


def _config(translator: Translator, family: Family) -> dict[str, Any]:
    """Returns the content of ``config.json``."""
    model, vocabularies = translator.recipe.model, translator.vocabularies
    config: dict[str, Any] = {
        "architectures": [family.model_class],
        "model_type": family.model_type,
        "is_encoder_decoder": True,
        "dtype": "float32",
        "d_model": model.embedding_size,
        "scale_embedding": model.scale_embeddings,
        "vocab_size": len(vocabularies.source),
        "tie_word_embeddings": model.tie != "none",
        **{key: value for key, value in _generation(translator).items() if key.endswith("_token_id")},
        **{theirs: model.encoder[ours] for theirs, ours in COMMON_KEYS.items()},
        "max_position_embeddings": _num_positions(translator),
    }
    if family.model_type == "marian":
        config["share_encoder_decoder_embeddings"] = model.tie == "all"
        config["decoder_vocab_size"] = len(vocabularies.target)
    for side, options in (("encoder", model.encoder), ("decoder", model.decoder)):
        config |= {f"{side}_{theirs}": options[ours] for theirs, ours in SIDE_KEYS.items()}
    return config


def _generation(translator: Translator) -> dict[str, Any]:
    """Returns the content of ``generation_config.json``: the search of the recipe."""
    options, target = translator.recipe.decoding, translator.vocabularies.target
    first = translator.recipe.model.decoder["first_token"]
    longest = 2 * translator.max_pieces
    if options.max_length is not None:
        longest = options.max_length + (2 if first is None else 3)  # what the decoder reads first is counted, and EOS
    return {
        "bos_token_id": target.sos if first is None else 0,
        "pad_token_id": target.pad,
        "eos_token_id": target.eos,
        "decoder_start_token_id": target.sos if first is None else first,
        "forced_bos_token_id": None if first is None else target.sos,
        "forced_eos_token_id": target.eos,
        "bad_words_ids": [[index] for index in sorted({target.pad, target.sos})],
        "num_beams": options.beam_size,
        "length_penalty": length_penalty(options).exponent,
        "early_stopping": EARLY_STOPPING[options.early_stopping],
        "max_length": min(longest, _num_positions(translator)),
    }


def _num_positions(translator: Translator) -> int:
    """Returns the number of positions of the exported model: enough for all sentences, unless they are learned."""
    options = translator.recipe.model.encoder
    num_needed = 0 if options["positions"] == "learned" else 2 * translator.max_pieces + 2
    return int(max(options["max_positions"], num_needed))


def _tokenizer(translator: Translator) -> dict[str, bytes]:
    """Returns the files of the tokenizer by name."""
    source, target = translator.vocabularies.source, translator.vocabularies.target
    languages = translator.recipe.data.source, translator.recipe.data.target
    longest = min(translator.max_pieces + 1, _num_positions(translator))  # with EOS
    if isinstance(source, PretrainedVocabulary) and translator.recipe.model.decoder["first_token"] is not None:
        return _fairseq_tokenizer(source, languages, longest)
    assert isinstance(source, PretrainedVocabulary | SentencePieceVocabulary)
    assert type(source) is type(target)
    if isinstance(source, SentencePieceVocabulary) and (source.tags or source.separator is not None):
        raise UserError("MarianTokenizer has no tags such as <2de> and no separator of turns.", TRAIN_ANOTHER)
    share_ids = translator.vocabularies.share_ids
    settings = {
        "tokenizer_class": "MarianTokenizer",
        "source_lang": languages[0],
        "target_lang": languages[1],
        "separate_vocabs": not share_ids,
        "model_max_length": longest,
        **{f"{key}_token": source.token(getattr(source, key)) for key in ("unk", "eos", "pad")},
    }
    files = {"source.spm": source.sentencepiece_model, "target.spm": target.sentencepiece_model}
    if share_ids and isinstance(source, SentencePieceVocabulary) and (fast := fast_tokenizer(source)) is not None:
        settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "split_special_tokens": True}
        settings |= {"clean_up_tokenization_spaces": False}
        files["tokenizer.json"] = _json(fast)
    files |= {"vocab.json": _ids(source), "tokenizer_config.json": _json(settings)}
    return files if share_ids else files | {"target_vocab.json": _ids(target)}


def _fairseq_tokenizer(vocabulary: PretrainedVocabulary, languages: tuple[str, str], longest: int) -> dict[str, bytes]:
    table = vocabulary.table
    names = sorted(table.languages, key=lambda name: table.languages[name])
    is_m2m100 = names[0].startswith("__")
    settings: dict[str, Any] = {"src_lang": languages[0], "tgt_lang": languages[1], "model_max_length": longest}
    files = {FAIRSEQ_MODEL: vocabulary.sentencepiece_model}
    if is_m2m100:
        first = min(table.languages.values())
        files["vocab.json"] = _json({piece: i for i, piece in enumerate(table.pieces[:first])})
        settings["language_codes"] = "m2m100" if len(names) > 8 else "wmt21"
    else:
        added = {table.pieces[i]: i for i in (*range(len(FAIRSEQ_SPECIALS)), *table.languages.values(), *table.hidden)}
        entries = {str(i): {"content": piece, "special": True} for piece, i in added.items()}
        settings |= {"added_tokens_decoder": entries, "extra_special_tokens": names}
    kind = "M2M100" if is_m2m100 else ("Nllb" if len(names[0].split("_")[0]) == 3 else "MBart50")
    settings["tokenizer_class"] = f"{kind}Tokenizer"
    return files | {"tokenizer_config.json": _json(settings)}


def _ids(vocabulary: Vocabulary) -> bytes:
    return _json({vocabulary.token(i): i for i in range(len(vocabulary))})


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass")
