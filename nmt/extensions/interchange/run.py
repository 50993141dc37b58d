"""The export to CTranslate2, and exported models at work in place of the model's own search."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from nmt.core.errors import UserError
from nmt.data.batch import Ids, lengths
from nmt.decoding.hypotheses import Hypothesis
from nmt.decoding.ranking import length_normalised, length_penalty
from nmt.decoding.search import Query, Searcher, max_lengths
from nmt.extensions.interchange.check import ONE_LIMIT, PLAIN, check, left_out
from nmt.extensions.interchange.ct2 import check_exportable, export, num_positions, require_ctranslate2
from nmt.extensions.interchange.pretrained.vocabulary import prefix_of
from nmt.extensions.interchange.targets import ExportTarget, Quantization, with_decoding
from nmt.recipe.schema import DecodingOptions
from nmt.translation.load import Engine, load
from nmt.translation.translator import Translator

PATIENCE = {"first": 1.0, "likely": 1.0, "exact": 2.0}
"""Patience of CTranslate2's beam search, which stops when ``patience * beam_size`` hypotheses are finished, for each
``early_stopping``: 1 is the same as ``first``, and nearer to ``likely`` than 2, which takes 1.25 times as long."""
SEARCHED = ("search", "beam_groups", "coverage_penalty", "prune", "logits_processors")
"""Options whose plain values the searches of exported models need; PyTorch searches with others."""
QUANTIZATIONS: dict[str, Quantization | None] = {
    "fp32": None, "auto": None, "bf16": "bfloat16", "fp16": "float16", "int8": "int8",
}  # fmt: skip
"""Names of the precisions in CTranslate2."""
CARRIED = {**PLAIN, **ONE_LIMIT, "length_penalty": ("none", "average"), "early_stopping": ("first",)}
"""Values of decoding options that CTranslate2 has a counterpart for."""


class ExportedModel:
    """An :class:`Exported` folder that :func:`export` wrote, run by CTranslate2 on the CPU.

    Args:
        directory: the folder, which is only read now.
        translator: of the original, for its vocabularies and lengths.
        decoding: arguments of ``translate_batch`` for :meth:`translate`.

    Raises:
        UserError: ctranslate2 isn't installed or can't load the folder.
    """

    def __init__(self, directory: Path, translator: Translator, decoding: Mapping[str, Any] | None = None) -> None:
        ctranslate2 = require_ctranslate2()
        self._vocabularies, self._decoding = translator.vocabularies, decoding or {}
        self._longest, self._prefix = num_positions(translator) - 1, _prefix(translator)
        target = self._vocabularies.target
        self._ids = {target.token(i): i for i in range(len(target))}
        threads = torch.get_num_threads()
        try:
            self._model = ctranslate2.Translator(str(directory), device="cpu", inter_threads=threads, intra_threads=1)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"CTranslate2 can't load {directory}: {error}.", "Export the model again.") from None
        torch.set_num_threads(threads)  # CTranslate2 sets the number that OpenMP has for the whole process

    def translate(self, sources: Sequence[Ids]) -> list[list[int]]:
        found = self._translate_batch(sources, max_batch_size=32, **self._decoding)
        return [[self._ids[token] for token in each.hypotheses[0][len(self._prefix) :]] for each in found]

    def _translate_batch(self, sources: Sequence[Ids], **arguments: Any) -> Any:
        prefixes = [self._prefix] * len(sources) if self._prefix else None
        return self._model.translate_batch([self._tokens(ids) for ids in sources], prefixes, **arguments)

    def search(self, sources: Sequence[Ids], options: DecodingOptions) -> list[list[Hypothesis]]:
        """The best translations of encoded sentences by beam search, best first.

        CTranslate2 knows the length penalties ``none`` and ``average``. With another one, its beam search has
        ``average`` with alpha 1, and its hypotheses are ranked by the penalty of the options.
        """
        limits = (max_lengths(lengths(sources), options) - 1).clamp(1, self._longest).tolist()  # without EOS
        longest = max(limits, default=1)  # one limit for all sentences of a call
        alpha, skipped = length_penalty(options).exponent, len(self._prefix)
        found = self._translate_batch(
            sources,
            beam_size=options.beam_size,
            num_hypotheses=options.beam_size,
            patience=PATIENCE[options.early_stopping] if options.beam_size > 1 else 1.0,
            length_penalty=alpha,
            return_scores=True,
            use_vmap=options.shortlist is not None,
            max_batch_size=options.batch_size,
            max_input_length=0,
            max_decoding_length=skipped + longest,
        )
        results: list[list[Hypothesis]] = []
        for source, of_sentence, limit in zip(sources, found, limits, strict=True):
            targets = [[self._ids[token] for token in tokens[skipped:]] for tokens in of_sentence.hypotheses]
            cut = [(source, ids) for ids in targets if len(ids) >= limit]
            if cut and limit < longest:
                results += self.search([source], options)
                continue
            ends = iter(self.score(cut) if cut else ())  # EOS counts as in nmt; CTranslate2 leaves it out there
            hypotheses = list[Hypothesis]()
            for ids, mean in zip(targets, of_sentence.scores, strict=True):
                log_p = sum(next(ends)) if len(ids) >= limit else mean * (skipped + len(ids) + 1) ** alpha
                score = length_normalised(options, torch.tensor(log_p), len(ids) + 1)
                hypotheses.append(Hypothesis(ids, float(score), log_p))
            results.append(sorted(hypotheses, key=lambda each: -each.score))
        return results

    def score(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[list[float]]:
        target = self._vocabularies.target
        found = self._model.score_batch(
            [self._tokens(source) for source, _ in pairs],
            [self._prefix + [target.token(i) for i in ids] for _, ids in pairs],
            max_input_length=0,
        )
        return [list(result.log_probs)[len(self._prefix) :] for result in found]

    def _tokens(self, ids: Ids) -> list[str]:
        return [self._vocabularies.source.token(i) for i in ids]


class ExportedSearcher:
    """Searches with an exported model, on the CPU.

    Args:
        search: returns the best translations of encoded sentences by beam search, best first.
        fallback: does the searches that exported models don't have: with constraints, logits processors, sampling,
            pruning, beam groups or a coverage penalty.
    """

    is_stepwise = False

    def __init__(
        self, search: Callable[[Sequence[Ids], DecodingOptions], list[list[Hypothesis]]], fallback: Searcher
    ) -> None:
        self._search, self._fallback = search, fallback

    def __call__(self, query: Query) -> list[list[Hypothesis]]:
        is_plain = all(getattr(query.options, key) in PLAIN[key] for key in SEARCHED)
        if query.processors or any(each.num_tokens for each in query.constraints or ()) or not is_plain:
            return self._fallback(query)
        found = self._search(query.sources, query.options)
        query.on_progress(len(query.sources))
        return found


def open_exported(translator: Translator, quantization: Quantization | None = None) -> ExportedModel:
    """Exports a model to a folder that is deleted again, and opens it; arguments and errors are those of ``export``."""
    with TemporaryDirectory() as scratch:
        export(translator, Path(scratch) / "model", quantization)
        return ExportedModel(Path(scratch) / "model", translator)


def exported_translator(translator: Translator, quantization: Quantization | None = None) -> Translator:
    """Returns a translator whose beam search is that of CTranslate2; alignment and scores are computed by PyTorch.

    Args:
        translator: of a model that can be exported, which is done when it searches.
        quantization: type of the weights; None keeps float32.
    """
    require_ctranslate2()
    check_exportable(translator)

    @cache
    def opened(shortlist: int | None) -> ExportedModel:
        return open_exported(with_decoding(translator, shortlist=shortlist), quantization)

    search = ExportedSearcher(lambda ids, options: opened(options.shortlist).search(ids, options), translator.searcher)
    return translator.replaced(searcher=search)


class CTranslate2Engine(Engine):
    """Exports a Transformer for this run, and searches with CTranslate2."""

    def load(
        self, model_dir: str | Path, device: str = "auto", precision: str = "fp32", ensemble: Sequence[str | Path] = ()
    ) -> Translator:
        if ensemble:
            raise UserError("CTranslate2 searches with one model.", "Remove --ensemble or --engine.")
        if device not in ("auto", "cpu"):
            raise UserError(f"CTranslate2 searches on the CPU, and not on {device}.", "Remove --device or --engine.")
        return exported_translator(load(model_dir, "cpu"), QUANTIZATIONS[precision])


def with_plain_search(translator: Translator) -> Translator:
    """Returns the translator with a search that CTranslate2 has, whatever its recipe says."""
    plain = {key: PLAIN[key][0] for key in SEARCHED}
    return with_decoding(translator, **plain, shortlist=None, length_penalty="none")


class CTranslate2(ExportTarget):
    """A folder for ``ctranslate2.Translator``."""

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        export(translator, output, quantization)
        decoding = search_arguments(translator)
        open_model = partial(ExportedModel, output, translator, decoding)
        agreement = check(output, translator, open_model, lines, exact=quantization is None)
        return [
            f"wrote {output}: {agreement}",
            *left_out(translator.recipe.decoding, CARRIED, "CTranslate2"),
            "In Python:\n",
            usage(translator, output, decoding),
        ]


def search_arguments(translator: Translator) -> dict[str, Any]:
    """Returns the arguments of ``translate_batch`` that come closest to the search of the recipe."""
    options, longest = translator.recipe.decoding, num_positions(translator) - 1
    if options.max_length is not None:
        longest = min(options.max_length, longest)
    found: dict[str, Any] = {
        "beam_size": options.beam_size,
        "max_input_length": translator.max_pieces + 1,  # with EOS
        "max_decoding_length": len(_prefix(translator)) + longest,
    }
    if options.shortlist is not None:
        found["use_vmap"] = True
    if options.beam_size > 1:
        found |= {"length_penalty": length_penalty(options).exponent, "patience": PATIENCE[options.early_stopping]}
    return found


def usage(translator: Translator, directory: Path, decoding: Mapping[str, Any]) -> str:
    """Returns Python code that translates with an exported folder; ``decoding``: arguments of ``translate_batch``."""
    names = ("source.spm", "vocabulary.source.model", "vocabulary.model")
    source = next(path for name in names if (path := directory / name).exists())
    target = directory / source.name.replace("source", "target")
    prefix, first = prefix_of(translator.vocabularies.source), _prefix(translator)
    options = "".join(f", {name}={value!r}" for name, value in decoding.items())
    return f"""\
import ctranslate2, sentencepiece

source = sentencepiece.SentencePieceProcessor({str(source)!r})
target = sentencepiece.SentencePieceProcessor({str(target)!r})
translator = ctranslate2.Translator({str(directory)!r})
pieces = {f"{prefix} + " if prefix else ""}source.encode("…", out_type=str)
[found] = translator.translate_batch([pieces]{f", [{first}]" if first else ""}{options})
print(target.decode(found.hypotheses[0]{f"[{len(first)}:]" if first else ""}))"""


def _prefix(translator: Translator) -> list[str]:
    """Returns the tokens after the first one of each translation: the target language of some pretrained models."""
    target = translator.vocabularies.target
    return [] if translator.recipe.model.decoder.get("first_token") is None else [target.token(target.sos)]
