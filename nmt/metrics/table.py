"""The table of metrics: how good translations are, compared with references.

BLEU, chrF and TER are sacreBLEU's with its own defaults: BLEU and chrF are case-sensitive, BLEU tokenises by ``13a``,
TER ignores case. The signature records all of this. A metric works in validation and model selection
(``training.metric``), in ``nmt score``, ``nmt compare`` and ``nmt inspect lengths``, and as a utility for minimum Bayes
risk decoding.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nmt.core.console import warn
from nmt.core.errors import UserError, nearest
from nmt.core.text import UNSPACED
from nmt.recipe.registry import Table

MAX_TER_WORDS = 2_000
"""Longest line that TER compares: its memory grows with the square of the words, and its time faster."""

CHUNK = 1000  # number of sentences whose statistics sacreBLEU computes at a time

TOKENIZED_LINES = 100
"""Number of different translations that end in a separate full stop from which a text counts as tokenised."""

LOSS = "loss"
"""The value of ``training.metric`` that selects models by validation loss. It is not a row of ``METRICS``."""

FloatArray = npt.NDArray[np.float64]
"""Names of arrays end in their shape: N sentences, F figures of a sentence, R resamples."""

Texts = Sequence[str]
References = Sequence[Texts]


@dataclass(frozen=True)
class Score:
    """The score of a whole corpus, in the units of its metric."""

    name: str
    score: float
    signature: str  # version and settings; scores can be compared only where signatures agree
    details: str = ""  # further figures for a reader, such as BLEU's n-gram precisions and brevity penalty
    confidence: dict[str, float] | None = None
    """The 95 % interval of bootstrap samples (Koehn 2004), ``mean`` ± ``half_width``, as JSON has it."""
    decimals: int = 2

    @property
    def figure(self) -> str:
        """The score as text, with its interval where it has one."""
        c, digits = self.confidence, f".{self.decimals}f"
        return f"{self.score:{digits}}" + (f" (μ = {c['mean']:{digits}} ± {c['half_width']:{digits}})" if c else "")

    def to_json(self) -> dict[str, Any]:
        """The object of ``nmt score --json``."""
        shown: dict[str, Any] = {"score": round(self.score, 4), "signature": self.signature}
        return shown if self.confidence is None else {**shown, "confidence": self.confidence}


class Metric(ABC):
    """Scores translations against references.

    The minimum is a ``name`` and :meth:`sentence_scores`; the score of a corpus is then the mean over its sentences.
    A metric whose corpus score isn't a mean overrides :meth:`statistics` and :meth:`score_from`.

    In all methods, ``hypotheses`` are N translations; ``references`` are one or more complete references of N
    sentences each; ``sources`` are the N source sentences, or None where they are unknown.

    Attributes:
        name: as it is printed.
        higher_is_better: whether a better translation has a higher score.
        needs_source: whether it can't be computed without ``sources``.
        needs_reference: whether it can't be computed without references; other metrics accept an empty list.
        decimals: digits of a score that are printed.

    Args:
        tokenize: the tokenizer that the user named; None for the metric's own. A metric without one ignores it.
    """

    name: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    needs_source: ClassVar[bool] = False
    needs_reference: ClassVar[bool] = True
    decimals: ClassVar[int] = 2

    def __init__(self, tokenize: str | None = None) -> None:
        self.tokenize = tokenize

    @property
    def signature(self) -> str:
        """Version and settings. It may depend on the last references, so it is read after scoring."""
        return self.name

    @abstractmethod
    def sentence_scores(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> list[float]:
        """The score of each sentence on its own."""

    def statistics(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> FloatArray:
        """Figures of each sentence, (N, F), whose sums over any sentences determine the score of these sentences.

        Paired tests and confidence intervals resample them, so that no text is scored twice.
        """
        return np.array([(s, 1.0) for s in self.sentence_scores(hypotheses, references, sources)]).reshape(-1, 2)

    def score_from(self, totals_F: FloatArray) -> float:
        """The corpus score of sentences whose :meth:`statistics` add up to ``totals_F``."""
        return float(totals_F[0] / totals_F[1])

    def corpus_score(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> Score:
        """The score of the corpus."""
        return self.score_of(self.statistics(hypotheses, references, sources))

    def score_of(self, statistics_NF: FloatArray) -> Score:
        """The score of a corpus whose :meth:`statistics` are known."""
        return Score(self.name, self.score_from(statistics_NF.sum(axis=0)), self.signature, decimals=self.decimals)


class SacreBleuMetric(Metric):
    """A metric of sacreBLEU, by its public API but for sufficient statistics, which it has no public names for."""

    kind: ClassVar[str]  # the key of ``sacrebleu.metrics.METRICS``

    def __init__(self, tokenize: str | None = None) -> None:
        from sacrebleu.metrics import METRICS as IMPLEMENTATIONS

        super().__init__(tokenize)
        self.implementation = self._by_sentence = IMPLEMENTATIONS[self.kind]()

    @property
    def signature(self) -> str:
        return str(self.implementation.get_signature())

    def statistics(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> FloatArray:
        parts = (slice(start, start + CHUNK) for start in range(0, max(len(hypotheses), 1), CHUNK))
        extract = self.implementation._extract_corpus_statistics  # has the n-grams of all its references in memory
        return np.concatenate([np.array(extract(hypotheses[at], [r[at] for r in references]), float) for at in parts])

    def score_from(self, totals_F: FloatArray) -> float:
        return float(self.implementation._aggregate_and_compute([totals_F]).score)

    def sentence_scores(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> list[float]:
        statistics_NF = self.statistics(hypotheses, references)
        return [float(self._by_sentence._aggregate_and_compute([row_F]).score) for row_F in statistics_NF]

    def score_of(self, statistics_NF: FloatArray) -> Score:
        result = self.implementation._aggregate_and_compute(statistics_NF)
        details = str(result).removeprefix(f"{result.name} = {result.score:.2f}").strip()
        return Score(self.name, float(result.score), self.signature, details)


_UNSPACED = re.compile(f"[{UNSPACED}]")
MAX_LETTERS = 6  # mean number of such letters between spaces above which a text isn't divided into words

TOKENIZED = (
    f"{TOKENIZED_LINES} translations or more end in ' .': the text is tokenised, and its BLEU can't be compared "
    "with that of raw text. Train on and score raw text, or compare only figures of the same tokenisation."
)
UNDIVIDED = (
    "the references have no spaces between words: BLEU counts whole phrases as words. Give --tokenize zh, ja-mecab or "
    "char where texts are scored, and choose chrf for training.metric and decoding.mbr."
)
_warn_once = cache(warn)  # in a process, however often a run validates


class Bleu(SacreBleuMetric):
    """BLEU (Papineni et al. 2002; Post 2018); of single sentences with the effective order, as sacreBLEU advises."""

    name, kind = "BLEU", "BLEU"

    def __init__(self, tokenize: str | None = None) -> None:
        super().__init__(tokenize)
        from sacrebleu.metrics.bleu import BLEU

        if tokenize is not None and tokenize not in BLEU.TOKENIZERS:
            raise UserError(f"Unknown tokenizer for BLEU: {tokenize!r}.", nearest(tokenize, BLEU.TOKENIZERS))
        try:
            # force: without sacreBLEU's own warning, which names an option that nmt doesn't have.
            self.implementation = BLEU(tokenize=tokenize, force=True)
            self._by_sentence = BLEU(tokenize=tokenize, effective_order=True, force=True)
        except (ImportError, OSError, RuntimeError) as error:  # some need a package or a download
            raise UserError(
                f"The tokenizer {tokenize!r} can't be used: {str(error).strip()}",
                "Install what it needs, or score with the default, 13a.",
            ) from error

    def statistics(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> FloatArray:
        if sum(text.endswith(" .") for text in set(hypotheses)) >= TOKENIZED_LINES:
            _warn_once(TOKENIZED)
        num_letters = 0 if self.tokenize else sum(len(_UNSPACED.findall(text)) for text in references[0])
        if num_letters > MAX_LETTERS * sum(len(text.split()) for text in references[0]):
            _warn_once(UNDIVIDED)
        return super().statistics(hypotheses, references, sources)

    def tokens(self, text: str) -> tuple[str, ...]:
        """The words of a text as BLEU counts them."""
        return tuple(self.implementation.tokenizer(text.rstrip()).split())


class Chrf(SacreBleuMetric):
    """chrF2: F score (β = 2) of character n-grams up to 6 (Popović 2015)."""

    name, kind = "chrF2", "CHRF"


class Ter(SacreBleuMetric):
    """Translation edit rate in per cent of the reference's words; it can exceed 100 (Snover et al. 2006)."""

    name, kind = "TER", "TER"
    higher_is_better = False

    def statistics(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> FloatArray:
        for number, line in chain.from_iterable(enumerate(texts, start=1) for texts in (hypotheses, *references)):
            if (num_words := len(line.split())) > MAX_TER_WORDS:
                raise UserError(
                    f"Line {number:,} has {num_words:,} words: TER compares lines of at most {MAX_TER_WORDS:,}.",
                    "Split the line into sentences, or leave TER out, as in --metrics bleu,chrf.",
                )
        return super().statistics(hypotheses, references)


class Accuracy(Metric):
    """Per cent of the lines that are the reference, or one of several: of labels, or of whole answers."""

    name = "accuracy"

    def sentence_scores(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> list[float]:
        wanted = [{text.strip() for text in texts} for texts in zip(*references, strict=True)]
        return [100.0 * (text.strip() in accepted) for text, accepted in zip(hypotheses, wanted, strict=True)]


METRICS: Table[Metric] = Table("metric", Metric, {"bleu": Bleu, "chrf": Chrf, "ter": Ter, "accuracy": Accuracy})
"""Metrics by the name that recipes, options and JSON use."""


def check_metrics(
    names: Sequence[str], has_source: bool = True, also: Sequence[str] = (), has_reference: bool = True
) -> None:
    """Refuse names that aren't in ``METRICS`` (or ``also``), and metrics that lack their source or reference text."""
    if not names:
        raise UserError("No metric is named.", f"Name one or more of {', '.join(METRICS)}.")
    for name in names:
        if name not in METRICS and name not in also:
            remedy = f"{nearest(name, [*METRICS, *also])} A metric of a plugin needs the plugin: --plugin MODULE."
            raise UserError(f"There is no metric {name!r}.", remedy)
        if name in METRICS and METRICS[name].needs_source and not has_source:
            raise UserError(f"The metric {name!r} needs the source text.", "Give --source FILE.")
        if name in METRICS and METRICS[name].needs_reference and not has_reference:
            raise UserError(f"The metric {name!r} needs a reference.", "Give the reference translations: -r FILE.")


def higher_is_better(name: str) -> bool:
    """The direction of a metric of ``METRICS`` or of the loss."""
    return name != LOSS and METRICS[name].higher_is_better


def directed_name(name: str) -> str:
    """Returns the name of a metric in tables: ``BLEU``, ``TER (less is better)``."""
    return METRICS[name].name + ("" if METRICS[name].higher_is_better else " (less is better)")


def score_text(name: str, score: float) -> str:
    """A score of a metric of ``METRICS`` or a loss with its name, such as ``BLEU 41.30``."""
    return f"{METRICS[name].name} {score:.{METRICS[name].decimals}f}" if name != LOSS else f"loss {score:.3f}"
