"""An exported model at work, and the check that it computes what the original computes."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from nmt.config import DecodingChanges
from nmt.data.vocabulary import Vocabularies
from nmt.decoding.results import Candidate, ScoredPair
from nmt.errors import UserError
from nmt.export.ct2 import require_ctranslate2
from nmt.translator import NO_CANDIDATE, Translator

PATIENCE = 2.0
"""Of CTranslate2's beam search. At its default of 1 it stops at the first ``beam_size`` finished hypotheses; the
search of nmt continues while an unfinished one could still win."""
TOLERANCE = 1e-3
"""Of a token's log-probability in float32."""


class ExportedModel:
    """A folder that :func:`nmt.export.ct2.export` wrote, run by CTranslate2 on the CPU.

    Raises:
        UserError: ctranslate2 isn't installed or can't load the folder.
    """

    def __init__(self, directory: Path) -> None:
        ctranslate2 = require_ctranslate2()
        self._vocabularies = Vocabularies.load(directory)
        target = self._vocabularies.target
        self._ids = {target.token(i): i for i in range(len(target))}
        try:
            self._model = ctranslate2.Translator(str(directory), device="cpu", intra_threads=1)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"CTranslate2 can't load {directory}: {error}.", "Export the model again.") from None

    def translate(
        self, lines: Sequence[str], translator: Translator, **decoding: Unpack[DecodingChanges]
    ) -> list[Candidate]:
        """The best translation of each line, with the options of :meth:`Translator.translate`."""
        options = translator.options(**decoding)
        if options.length_penalty not in ("none", "average") or options.search != "beam":
            raise UserError(
                "CTranslate2 has no GNMT length penalty, word reward or sampling like ours.",
                "Use beam search with the length penalty average or none.",
            )
        sources = [self._pieces(line, translator) for line in lines]
        filled = [index for index, pieces in enumerate(sources) if pieces]
        found = self._model.translate_batch(
            [sources[index] for index in filled],
            beam_size=options.beam_size,
            patience=PATIENCE if options.beam_size > 1 else 1.0,
            length_penalty=options.alpha if options.length_penalty == "average" else 0.0,
            return_scores=True,
            max_batch_size=options.batch_size,
            max_decoding_length=512,
        )
        candidates = [NO_CANDIDATE] * len(lines)
        for index, result in zip(filled, found, strict=True):
            tokens = result.hypotheses[0]
            text = self._vocabularies.target.decode([self._ids[token] for token in tokens])
            candidates[index] = Candidate(" ".join(text.split()), result.scores[0], tokens)
        return candidates

    def score(self, pairs: Sequence[ScoredPair], translator: Translator) -> list[list[float]]:
        """Log-probabilities of the tokens and EOS of given translations."""
        sources = [self._pieces(pair.source, translator) for pair in pairs]
        found = self._model.score_batch(sources, [pair.tokens[:-1] for pair in pairs])
        return [list(result.log_probs) for result in found]

    def _pieces(self, line: str, translator: Translator) -> list[str]:
        vocabulary = self._vocabularies.source
        return [vocabulary.token(i) for i in vocabulary.encode(line)[: translator.max_pieces]]


@dataclass(frozen=True)
class Agreement:
    """How an exported model compares with the original."""

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


def check(directory: Path, translator: Translator, lines: Sequence[str], exact: bool) -> Agreement:
    """Translate lines with an exported model and with the original, and score the translations of the original.

    Args:
        directory: what was exported.
        translator: the original.
        lines: some to translate; random ones if there are none.
        exact: the weights were not quantized.

    Raises:
        UserError: the exported model computes something else.
    """
    exported, lines = ExportedModel(directory), lines or random_lines(translator, 5)
    original = translator.translate(lines, length_penalty="none")
    others = exported.translate(lines, translator, length_penalty="none")
    pairs = [pair for pair in translator.score((t.source, t.text) for t in original) if pair.tokens and pair.source]
    differences = [
        abs(ours - theirs)
        for pair, theirs_T in zip(pairs, exported.score(pairs, translator), strict=True)
        for ours, theirs in zip(pair.token_log_probabilities, theirs_T, strict=True)
    ]
    num_equal = sum(ours.text == other.text for ours, other in zip(original, others, strict=True))
    found = Agreement(len(lines), num_equal, max(differences, default=math.nan))
    if exact and not found.largest_difference < TOLERANCE:
        raise UserError(
            f"{directory} can't be used: the log-probability of a token differs by {found.largest_difference:.3g} from "
            "that of the original.",
            "Try another version of ctranslate2, and report this.",
        )
    return found


def random_lines(translator: Translator, num_lines: int) -> list[str]:
    """Random pieces of the source vocabulary: no sentences, but their translations must agree all the same."""
    vocabulary, draw = translator.vocabularies.source, random.Random(1)
    return [vocabulary.decode(draw.choices(range(4, len(vocabulary)), k=draw.randint(3, 12))) for _ in range(num_lines)]


def usage(directory: Path) -> str:
    """Python code that translates with an exported folder."""
    sides = {side: directory / f"vocabulary.{side}.model" for side in ("source", "target")}
    joint = directory / "vocabulary.model"
    source, target = (sides[side] if sides[side].exists() else joint for side in ("source", "target"))
    return f"""\
import ctranslate2, sentencepiece

source = sentencepiece.SentencePieceProcessor({str(source)!r})
target = sentencepiece.SentencePieceProcessor({str(target)!r})
translator = ctranslate2.Translator({str(directory)!r})
pieces = source.encode(["…"], out_type=str)
for found in translator.translate_batch(pieces, beam_size=5):
    print(target.decode(found.hypotheses[0]))"""
