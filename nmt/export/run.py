"""An exported model at work, in place of the model's own search, and the check that it computes the same."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import torch

from nmt.core.errors import UserError
from nmt.core.jsonlines import read_object
from nmt.data.batching import Ids, lengths
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.pretrained import PretrainedVocabulary
from nmt.decoding.hypotheses import Hypothesis
from nmt.decoding.ranking import length_exponent, length_normalised
from nmt.decoding.search import Query, Searcher, max_lengths
from nmt.export.ct2 import export, num_positions, require_ctranslate2
from nmt.export.targets import ExportTarget, Quantization
from nmt.recipe.schema import DecodingOptions
from nmt.translation.results import ScoredPair
from nmt.translation.translator import Translator

PATIENCE = 2.0
"""Patience of CTranslate2's beam search. At its default of 1 it stops at the first ``beam_size`` finished hypotheses;
the search of nmt continues while an unfinished one could still win."""
PLAIN: dict[str, Any] = {
    "search": "beam", "beam_groups": 1, "coverage_penalty": 0.0, "shortlist": None, "logits_processors": {},
}  # fmt: skip
"""Options of a search that CTranslate2 has, with any length penalty."""
TOLERANCE = 1e-3
"""Tolerance of a token's log-probability in float32."""


class Exported(Protocol):
    """An exported model, run by another program."""

    def search(self, sources: Sequence[Ids], options: DecodingOptions) -> list[list[Hypothesis]]:
        """Returns the best translations of encoded sentences by beam search, best first."""

    def score(self, pairs: Sequence[ScoredPair], translator: Translator) -> list[list[float]]:
        """Returns log-probabilities of the tokens and EOS of given translations."""


class ExportedModel:
    """A folder that :func:`nmt.export.ct2.export` wrote, run by CTranslate2 on the CPU.

    Args:
        directory: the folder, which is only read now.
        longest: the most tokens of a translation.
        num_threads: that compute a batch each.

    Raises:
        UserError: ctranslate2 isn't installed or can't load the folder.
    """

    def __init__(self, directory: Path, longest: int, num_threads: int) -> None:
        ctranslate2 = require_ctranslate2()
        self._vocabularies, self._longest = Vocabularies.load(directory), longest
        target = self._vocabularies.target
        self._ids = {target.token(i): i for i in range(len(target))}
        self._prefix = _prefix(directory)
        before = torch.get_num_threads()
        try:
            self._model = ctranslate2.Translator(
                str(directory), device="cpu", inter_threads=num_threads, intra_threads=1
            )
        except (RuntimeError, ValueError) as error:
            raise UserError(f"CTranslate2 can't load {directory}: {error}.", "Export the model again.") from None
        torch.set_num_threads(before)  # CTranslate2 sets the number that OpenMP has for the whole process

    def search(self, sources: Sequence[Ids], options: DecodingOptions) -> list[list[Hypothesis]]:
        """The best translations of encoded sentences by beam search, best first.

        CTranslate2 knows the length penalties ``none`` and ``average``. With another one, its beam search has
        ``average`` with alpha 1, and what it finds is ranked by the penalty of the options.
        """
        limits, skipped = max_lengths(lengths(sources), options).tolist(), len(self._prefix)
        alpha = length_exponent(options)
        found = self._model.translate_batch(
            [self._tokens(ids) for ids in sources],
            [self._prefix] * len(sources) if self._prefix else None,
            beam_size=options.beam_size,
            num_hypotheses=options.beam_size,
            patience=PATIENCE if options.beam_size > 1 else 1.0,
            length_penalty=alpha,
            return_scores=True,
            max_batch_size=options.batch_size,
            max_decoding_length=skipped + min(max(limits, default=1), self._longest),  # one for all sentences of a call
        )
        results = []
        for of_sentence, limit in zip(found, limits, strict=True):
            hypotheses = [
                self._hypothesis(tokens[skipped : skipped + limit], score * (len(tokens) + 1) ** alpha, options)
                for tokens, score in zip(of_sentence.hypotheses, of_sentence.scores, strict=True)
            ]
            results.append(sorted(hypotheses, key=lambda each: -each.score))
        return results

    def _hypothesis(self, tokens: Sequence[str], log_probability: float, options: DecodingOptions) -> Hypothesis:
        score = length_normalised(options, torch.tensor(log_probability), len(tokens) + 1)
        return Hypothesis([self._ids[token] for token in tokens], float(score), log_probability)

    def score(self, pairs: Sequence[ScoredPair], translator: Translator) -> list[list[float]]:
        """Log-probabilities of the tokens and EOS of given translations."""
        sources = [self._tokens(translator.encode_source(pair.source)[: translator.max_pieces]) for pair in pairs]
        found = self._model.score_batch(sources, [self._prefix + pair.tokens[:-1] for pair in pairs])
        return [list(result.log_probs)[len(self._prefix) :] for result in found]

    def _tokens(self, ids: Ids) -> list[str]:
        return [self._vocabularies.source.token(i) for i in ids]


class ExportedSearcher:
    """Searches with an exported model, on the CPU.

    Args:
        exported: the exported model.
        fallback: does the searches that exported models don't have: with constraints, logits processors, sampling, beam
            groups or a coverage penalty.
    """

    is_stepwise = False

    def __init__(self, exported: Exported, fallback: Searcher) -> None:
        self.exported, self._fallback = exported, fallback

    def __call__(self, query: Query) -> list[list[Hypothesis]]:
        is_plain = all(getattr(query.options, key) == value for key, value in PLAIN.items())
        if query.processors or any(each.num_tokens for each in query.constraints or ()) or not is_plain:
            return self._fallback(query)
        found = self.exported.search(query.sources, query.options)
        query.on_progress(len(query.sources))
        return found


def open_exported(
    translator: Translator, directory: Path | None = None, quantization: Quantization | None = None
) -> ExportedModel:
    """Opens an exported model.

    Args:
        translator: of a model that can be exported.
        directory: a folder that :func:`nmt.export.ct2.export` wrote; None exports the model now.
        quantization: type of the weights if the model is exported now; None keeps float32.

    Raises:
        UserError: the model can't be exported, or ctranslate2 isn't installed or can't load it.
    """
    with TemporaryDirectory() as scratch:
        if directory is None:
            directory = Path(scratch) / "model"
            export(translator, directory, quantization)
        return ExportedModel(directory, num_positions(translator) - 1, torch.get_num_threads())


def exported_translator(
    translator: Translator, directory: Path | None = None, quantization: Quantization | None = None
) -> Translator:
    """Returns a translator whose beam search is that of CTranslate2; alignment and scores are computed by PyTorch.

    Args:
        translator, directory, quantization: see :func:`open_exported`.
    """
    exported = open_exported(translator, directory, quantization)
    return translator.replaced(searcher=ExportedSearcher(exported, translator.searcher))


def with_plain_search(translator: Translator) -> Translator:
    """Returns the translator with a search that CTranslate2 has, whatever its recipe says."""
    decoding = translator.recipe.decoding.model_copy(update=PLAIN | {"length_penalty": "none"})
    return translator.replaced(recipe=translator.recipe.model_copy(update={"decoding": decoding}))


@dataclass(frozen=True)
class Agreement:
    """Comparison of an exported model with the original."""

    num_lines: int
    num_equal: int
    """Lines with the same translation."""
    largest_difference: float
    """Between log-probabilities of a token of the original's translations."""

    def __str__(self) -> str:
        return (
            f"{self.num_equal} of {self.num_lines} translations are those of nmt; log-probabilities of tokens differ "
            f"by {self.largest_difference:.1g} at most"
        )


def check(
    directory: Path, translator: Translator, lines: Sequence[str], exact: bool, model: Exported | None = None
) -> Agreement:
    """Translate lines with an exported model and with the original, and score the translations of the original.

    Args:
        directory: what was exported.
        translator: the original.
        lines: some to translate; random ones if there are none.
        exact: the weights were not quantized.
        model: the exported model; None for one that CTranslate2 runs.

    Raises:
        UserError: the exported model computes something else.
    """
    lines, translator = lines or random_lines(translator, 5), with_plain_search(translator)
    model = model or open_exported(translator, directory)
    exported = translator.replaced(searcher=ExportedSearcher(model, translator.searcher))
    original, others = translator.translate(lines), exported.translate(lines)
    pairs = [pair for pair in translator.score((t.source, t.text) for t in original) if pair.tokens and pair.source]
    differences = [
        abs(ours - theirs)
        for pair, theirs_T in zip(pairs, model.score(pairs, translator), strict=True)
        for ours, theirs in zip(pair.token_log_probabilities, theirs_T, strict=True)
    ]
    num_equal = sum(ours.text == other.text for ours, other in zip(original, others, strict=True))
    found = Agreement(len(lines), num_equal, max(differences, default=math.nan))
    if exact and not found.largest_difference < TOLERANCE:
        raise UserError(
            f"{directory} can't be used: the log-probability of a token differs by {found.largest_difference:.3g} from "
            "that of the original.",
            "Try another version of the package that runs it, and report this.",
        )
    return found


def random_lines(translator: Translator, num_lines: int) -> list[str]:
    """Random pieces of the source vocabulary: no sentences, but their translations must agree all the same."""
    vocabulary, draw = translator.vocabularies.source, random.Random(1)
    return [vocabulary.decode(draw.choices(range(4, len(vocabulary)), k=draw.randint(3, 12))) for _ in range(num_lines)]


class CTranslate2(ExportTarget):
    """A folder for ``ctranslate2.Translator``."""

    def write(
        self, translator: Translator, output: Path, quantization: Quantization | None, lines: Sequence[str]
    ) -> list[str]:
        export(translator, output, quantization)
        agreement = check(output, translator, lines, exact=quantization is None)
        return [f"wrote {output}: {agreement}", "In Python:\n", usage(output)]


def usage(directory: Path) -> str:
    """Returns Python code that translates with an exported folder."""
    names = ("source.spm", "vocabulary.source.model", "vocabulary.model")
    source = next(path for name in names if (path := directory / name).exists())
    target = directory / source.name.replace("source", "target")
    prefix, first = list[str](), _prefix(directory)
    if isinstance(vocabulary := Vocabularies.load(directory).source, PretrainedVocabulary):
        prefix = [vocabulary.token(i) for i in vocabulary.table.prefix]
    return f"""\
import ctranslate2, sentencepiece

source = sentencepiece.SentencePieceProcessor({str(source)!r})
target = sentencepiece.SentencePieceProcessor({str(target)!r})
translator = ctranslate2.Translator({str(directory)!r})
pieces = {f"{prefix} + " if prefix else ""}source.encode("…", out_type=str)
[found] = translator.translate_batch([pieces], {f"[{first}], " if first else ""}beam_size=5)
print(target.decode(found.hypotheses[0]{f"[{len(first)}:]" if first else ""}))"""


def _prefix(directory: Path) -> list[str]:
    """Returns the tokens after the first one of each translation: the target language of some pretrained models."""
    target = Vocabularies.load(directory).target
    first = read_object(directory / "config.json").get("decoder_start_token")
    return [] if first == target.token(target.sos) else [target.token(target.sos)]
