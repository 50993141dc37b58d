"""``nmt.pipeline``, with the arguments and the results of the translation pipeline of transformers 4 (as of 4.57).

Errors are those of nmt and of the types that transformers raised, so programs that catch these keep working.
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from nmt.core.console import warn
from nmt.core.errors import UserError, shortened
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import in_windows
from nmt.recipe.registry import provided
from nmt.recipe.schema import DecodingOptions
from nmt.translation.load import load
from nmt.translation.translator import Translator

TASK = re.compile(r"translation(?:_(\w+?)_to_(\w+))?")
UNKNOWN = "und"
"""The languages of an imported multilingual model before they are chosen."""
IGNORED = {
    *("attn_implementation", "clean_up_tokenization_spaces", "low_cpu_mem_usage", "num_workers", "return_text"),
    *("temperature", "token", "top_k", "top_p", "trust_remote_code", "use_cache", "use_fast"),
}
"""Arguments without an influence on translations, some of them unless ``do_sample`` is true or nmt samples."""
NEUTRAL: dict[str, tuple[str, ...]] = {
    "do_sample": ("False",),
    "framework": ("pt",),
    "min_length": ("0",),
    "repetition_penalty": ("1", "1.0"),
    "return_tensors": ("False",),
    "truncation": ("True", "False", "longest_first", "only_first", "do_not_truncate"),
}
"""Arguments without a counterpart in nmt, and their values that change nothing."""
SMALLEST = {"batch_size": 1, "num_return_sequences": 1, "max_length": 3, "max_new_tokens": 2, "no_repeat_ngram_size": 0}
"""Least values. ``max_new_tokens`` counts EOS, and ``max_length`` also the token that the decoder reads first."""
RENAMED = {"num_beams": "beam_size", "num_beam_groups": "beam_groups", "diversity_penalty": "diversity"}
EARLY_STOPPING = {"True": "first", "False": "likely", "never": "exact"}
PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def _also(*kinds: type[Exception]) -> Any:
    """Returns a class of errors that are both a :class:`UserError` and of other types."""
    return type(kinds[0].__name__, (UserError, *kinds), {"__str__": Exception.__str__})  # that of KeyError has quotes


@contextmanager
def _as_value_errors() -> Iterator[None]:
    """Raises errors that are of no other type as a ValueError, too."""
    try:
        yield
    except UserError as error:
        raise error if type(error) is not UserError else _also(ValueError)(error.message, error.remedy) from None


def pipeline(
    task: str | None = None, model: Any = None, tokenizer: Any = None, **options: Any
) -> "TranslationPipeline":
    """Makes a translator with the call of ``transformers.pipeline``.

    Args:
        task: ``translation``, or ``translation_XX_to_YY`` for languages that the arguments don't name.
        model: a model directory; a folder of Hugging Face, or the name of one in its cache; a model object of
            transformers; or a translator.
        tokenizer: with a model object its tokenizer.
        options: ``device``, ``dtype``, and arguments of all calls that don't give them.

    Raises:
        UserError: also a KeyError for another task, an OSError for a missing model, a ValueError for a wrong argument.
    """
    match = TASK.fullmatch(str(task or "translation"))
    if match is None:
        known = "'translation' or 'translation_XX_to_YY', such as 'translation_de_to_en'"
        raise _also(KeyError)(f"Unknown task {shortened(str(task))!r}: nmt.pipeline translates.", f"Give {known}.")
    if model is None:
        raise _also(ValueError)("nmt.pipeline has no default model.", "Give model=, such as the folder of a model.")
    for name, code in zip(("src_lang", "tgt_lang"), match.groups(), strict=True):
        options[name] = options.get(name) or code
    if isinstance(model_kwargs := options.pop("model_kwargs", None), Mapping):
        options |= model_kwargs
    device, device_map, *types = (options.pop(name, None) for name in ("device", "device_map", "dtype", "torch_dtype"))
    device = device_map if device is None else device
    if isinstance(device, int):
        device = "cpu" if device < 0 else f"cuda:{device}" if torch.cuda.is_available() else None
    chosen = next((str(dtype).removeprefix("torch.") for dtype in types if dtype not in (None, "auto")), "float32")
    where = {"device": "auto" if device is None else str(device), "precision": PRECISIONS.get(chosen, chosen)}
    if isinstance(model, Translator) and not (device is None and tokenizer is None and types == [None, None]):
        problem = "The translator has a device, a type and a vocabulary of its own."
        raise _also(ValueError)(problem, "Leave out device, dtype and tokenizer, or load it with them: nmt.load.")
    with _as_value_errors():
        translator = _load(model, tokenizer, options.pop("revision", None), where)
    return TranslationPipeline(match[0], translator, options)


def _load(model: Any, tokenizer: Any, revision: str | None, where: Mapping[str, str]) -> Translator:
    if isinstance(model, Translator):
        return model
    if not hasattr(model, "save_pretrained"):
        folder = _folder(model, revision)
        is_foreign = (folder / "config.json").is_file() and not ModelDirectory(folder).recipe.is_file()
        return _imported(folder, where) if is_foreign else load(folder, **where)
    with TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        for path in _folder(getattr(tokenizer or model, "name_or_path", tokenizer), revision).iterdir():
            if path.suffix in (".json", ".model", ".spm") and not Path(saved, path.name).exists():
                shutil.copyfile(path, Path(saved, path.name))
        return _imported(Path(saved), where)


def _folder(name: object, revision: str | None) -> Path:
    """Returns the folder of a name: itself, or that of a download."""
    try:
        if Path(str(name)).is_dir():
            return Path(str(name))
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(str(name), revision=revision, local_files_only=True))
    except (ImportError, OSError, ValueError):
        problem = f"There is no folder {name}, and no download of this name in the cache of Hugging Face."
        raise _also(OSError)(problem, f"Name the folder of a model, or download one: hf download {name}") from None


def _imported(folder: Path, where: Mapping[str, str]) -> Translator:
    read = provided("huggingface import", f"The model of Hugging Face in {folder}")
    with TemporaryDirectory() as temporary:
        output = Path(temporary, "model")
        try:
            read(folder, output)
        except UserError:  # perhaps because the folder doesn't name the languages
            read(folder, output, UNKNOWN, UNKNOWN)
        return load(output, **where).replaced(directory=None)


def read_call(given: Mapping[str, Any]) -> tuple[tuple[str, str], int, dict[str, Any]]:
    """Returns the languages of a call, the number of translations of each text, and keys of ``DecodingOptions``.

    Raises:
        UserError: also a ValueError: an argument is not supported, or a number is too small.
    """
    ignored = IGNORED - DecodingOptions.model_fields.keys() if given.get("search") == "sample" else IGNORED
    values = {name: value for name, value in given.items() if value is not None and name not in ignored}
    for name in SMALLEST.keys() & values.keys():
        if type(values[name]) is not int or values[name] < SMALLEST[name]:
            problem = f"{name} is {shortened(repr(values[name]))}."
            raise _also(ValueError)(problem, f"Give an integer of {SMALLEST[name]} or more.")
    languages = str(values.pop("src_lang", "")), str(values.pop("tgt_lang", ""))
    num_results, max_length = values.pop("num_return_sequences", 1), values.pop("max_length", None)
    limit = values.pop("max_new_tokens", max_length and max_length - 1)
    values = {name: value for name, value in values.items() if str(value) not in NEUTRAL.get(name, ())}
    decoding = {RENAMED.get(name, name): value for name, value in values.items()}
    if limit is not None:  # nmt doesn't count EOS
        decoding |= {"max_length": limit - 1, "max_length_extra": limit - 1}
    if "length_penalty" in values:
        decoding |= {"length_penalty": "average", "alpha": values["length_penalty"]}
    if "early_stopping" in values:
        decoding["early_stopping"] = EARLY_STOPPING.get(str(values["early_stopping"]), values["early_stopping"])
    if (size := decoding.pop("no_repeat_ngram_size", None)) is not None:  # 0 turns that of an imported model off
        decoding["logits_processors"] = {"no_repeat_ngram": {"size": size}} if size else {}
    if unsupported := decoding.keys() - DecodingOptions.model_fields.keys():
        named = ", ".join(f"{name}={shortened(repr(decoding[name]))}" for name in sorted(unsupported))
        problem = f"nmt.pipeline doesn't support {named}."
        raise _also(ValueError)(problem, "Remove it; docs/how-to/coming-from-transformers.md lists the arguments.")
    return languages, num_results, decoding


class TranslationPipeline:
    """A translator, ``model``, that is called as the translation pipeline of transformers 4 is."""

    def __init__(self, task: str, model: Translator, options: Mapping[str, Any]) -> None:
        self.task, self.model, self._options = task, model, options
        self._between = lru_cache(8)(self._make_between)  # each with vocabularies of tens of megabytes
        if any(languages := read_call(options)[0]):
            self._between(*languages)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Translates.

        Args:
            inputs: a text, a list of texts, or a generator or a data set of texts. Of a generator ``batch_size`` texts
                are read at a time, by default one.
            options: ``src_lang``, ``tgt_lang``, ``max_length``, ``num_beams``, ``num_return_sequences`` and others of
                transformers, and those of nmt's search.

        Returns:
            For a text, a list of dicts ``{"translation_text": …}``, one for each of ``num_return_sequences``. For a
            list of texts, a list of these dicts, or of such lists if each text has several. For a generator or a data
            set, a generator of such lists.

        Raises:
            UserError: also a TypeError for input that isn't text, a ValueError for a wrong argument.
        """
        given = {**self._options, **{name: value for name, value in options.items() if value is not None}}
        languages, num_results, decoding = read_call(given)
        with _as_value_errors():
            translator = self._between(*languages)
            checked = translator.options(**decoding)
        if num_results > checked.beam_size:
            problem = f"num_return_sequences ({num_results}) is larger than num_beams ({checked.beam_size})."
            raise _also(ValueError)(problem, f"Give num_beams={num_results} or more.")
        translate = partial(_translated, translator, num_results, decoding)
        if isinstance(inputs, list | tuple):
            results = list(translate(inputs, max(len(inputs), 1)))
            return [result[0] for result in results] if num_results == 1 else results
        is_sized, is_iterable = hasattr(inputs, "__len__"), hasattr(inputs, "__iter__")
        if isinstance(inputs, str | bytes | Mapping) or not (is_sized or is_iterable):
            return next(translate([inputs], 1))
        texts = inputs if is_iterable else map(inputs.__getitem__, range(len(inputs)))
        return translate(texts, checked.batch_size if is_sized else decoding.get("batch_size", 1))

    def _make_between(self, source: str, target: str) -> Translator:
        recipe, vocabularies = self.model.recipe, self.model.vocabularies
        known = recipe.data.source, recipe.data.target
        wanted = source or known[0], target or known[1]
        if all("<" in tag for tag in vocabularies.source.tags):  # it has one direction, or lines name the target
            both = zip(map(str.lower, wanted), map(str.lower, known), strict=True)
            if any(code != own and len(code) == len(own) == 2 for code, own in both):  # others can't be compared
                problem = f"The model translates from {known[0]} to {known[1]}, not from {wanted[0]} to {wanted[1]}."
                raise _also(ValueError)(problem, "Leave out src_lang and tgt_lang, or choose another model.")
            return self.model
        if wanted == known and UNKNOWN not in wanted:
            return self.model
        if not self.model.has_own_searcher:
            problem = "An ensemble or an exported model translates between the languages of its recipe alone."
            raise _also(ValueError)(problem, "Leave out src_lang and tgt_lang.")
        if UNKNOWN in wanted:
            raise _also(ValueError)("Translation by this model needs src_lang and tgt_lang.", "Give both.")
        pair = vocabularies.source.between(vocabularies.target, *wanted)  # type: ignore[attr-defined]
        data = recipe.data.model_copy(update={"source": wanted[0], "target": wanted[1]})
        changed = recipe.model_copy(update={"data": data})
        return self.model.replaced(vocabularies=type(vocabularies)(*pair), recipe=changed)


def _translated(
    translator: Translator, num_results: int, decoding: Mapping[str, Any], inputs: Iterable[Any], at_a_time: int
) -> Iterator[list[dict[str, str]]]:
    """Yields the translations of each text, best first; ``at_a_time`` texts are read before they are translated."""
    limit, first = decoding.get("max_length"), 1
    for texts in in_windows(inputs, at_a_time):
        for number, text in enumerate(texts, first):
            if not isinstance(text, str):
                example = '; of rows, (row["text"] for row in rows)' if isinstance(text, Mapping) else ""
                remedy = f"Give a text, a list of texts, or an iterable of texts{example}."
                raise _also(TypeError, ValueError)(f"Text {number} is of the type {type(text).__name__}.", remedy)
            if limit is not None and (length := len(translator.encode_source(text))) > 0.9 * limit:
                warn(f"text {number} has {length} tokens, and max_length leaves {limit}: its translation may be cut.")
        for translation in translator.stream(texts, n_best=num_results, first_line=first, **decoding):
            found = [{"translation_text": candidate.text} for candidate in translation.candidates]
            yield found + found[-1:] * (num_results - len(found))  # an empty text has a single translation
        first += len(texts)
