"""Scores of a test set by several metrics."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.core.console import warn
from nmt.core.errors import UserError, shortened
from nmt.core.text import check_standard_input, describe, read_lines
from nmt.metrics.table import METRICS, References, Score, Texts, check_metrics
from nmt.recipe.registry import provided


def score(
    hypotheses: str | Texts,
    references: str | Texts | None = None,
    metrics: Sequence[str] = ("bleu", "chrf"),
    *,
    sources: str | Texts | None = None,
) -> dict[str, Score]:
    """Scores translations against references.

    Args:
        hypotheses: the translations, cased and detokenised; a ``str`` is one sentence.
        references: a reference for each; None for metrics that need none.
        metrics: names of metrics, see ``nmt score --help``.
        sources: the source sentences, for metrics that read them.

    Returns:
        The score of each metric, by its name, with sacreBLEU's signature.

    Raises:
        UserError: there is no such metric, or the numbers of sentences differ.

    Example::

        nmt.score(["A man sleeps."], ["A man is sleeping."])["chrf"].score
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    texts = _sentences(hypotheses), [] if references is None else [_sentences(references)]
    return score_corpus(*texts, names, sources=None if sources is None else _sentences(sources))


def _sentences(text: str | Texts) -> list[str]:
    """Returns the sentences of an argument: a ``str`` is one sentence, not a sequence of letters."""
    sentences = [text] if isinstance(text, str) else [getattr(sentence, "text", sentence) for sentence in text]
    for number, sentence in enumerate(sentences, start=1):
        if not isinstance(sentence, str):
            raise UserError(f"Sentence {number:,} is {shortened(repr(sentence))}.", "Give one text for each sentence.")
    return sentences


def score_corpus(
    hypotheses: Texts,
    references: References,
    metrics: Sequence[str] = ("bleu", "chrf"),
    tokenize: str | None = None,
    num_resamples: int = 0,
    sources: Texts | None = None,
) -> dict[str, Score]:
    """Scores translations, cased and detokenised, by each metric.

    Args:
        hypotheses, references, sources: as in :class:`Metric`.
        metrics: names of ``METRICS``.
        tokenize: sacreBLEU's tokenizer for BLEU (``13a`` when None; ``zh``, ``ja-mecab``, ``char`` …).
        num_resamples: of the bootstrap, for a confidence interval; 0 leaves it out.
    """
    check_metrics(metrics, sources is not None, has_reference=bool(references))
    named = {"the hypothesis": hypotheses} | {f"reference {n}": texts for n, texts in enumerate(references, 1)}
    named |= {} if sources is None else {"the source": sources}
    check_lengths({name: len(texts) for name, texts in named.items()})
    scores = {}
    for name in metrics:
        metric = METRICS[name](tokenize)
        rows_NF = metric.statistics(hypotheses, references, sources)
        scores[name] = metric.score_of(rows_NF)
        if num_resamples > 1:
            scores[name] = provided("confidence interval", "--confidence")(metric, scores[name], rows_NF, num_resamples)
    return scores


def check_lengths(num_lines: dict[str, int]) -> None:
    """Refuse texts with different numbers of lines, or without any. ``num_lines``: by the name for messages."""
    if len(set(num_lines.values())) > 1:
        raise UserError(
            f"Different numbers of lines: {', '.join(f'{name} has {count:,}' for name, count in num_lines.items())}.",
            "Line N of one must translate line N of the other; check that none was cut or filtered.",
        )
    if not any(num_lines.values()):
        raise UserError(
            f"Nothing to score: {next(iter(num_lines))} is empty.", "Check that the command which wrote it succeeded."
        )


@dataclass(frozen=True)
class TestSet:
    """Translations of several systems with references and source, line by line; the first system is the baseline."""

    systems: Mapping[str, Texts]
    references: References
    source: Texts | None = None

    __test__ = False  # pytest takes the name for one of its own

    @property
    def measured_by(self) -> str:
        """The side whose words are the length of a sentence."""
        return "source" if self.source is not None else "reference"


def read_test_set(
    systems: Sequence[Path | str],
    references: Sequence[Path | str],
    source: Path | str | None = None,
    needs_reference: bool = True,
) -> TestSet:
    """Read the files of a test set.

    Args:
        systems: translations; a system has the name of its file or, where two have the same, its path.
        needs_reference: whether a test set without references is refused.

    Raises:
        UserError: no reference, a system that is named twice, or files that don't belong together.
    """
    if not references and needs_reference:
        raise UserError("No reference is named.", "Give the reference translations: -r FILE.")
    paths = [describe(path) for path in systems]
    names = [Path(path).name for path in paths]
    names = paths if len(set(names)) < len(names) else names
    if len(set(names)) < len(names):
        raise UserError(f"{Counter(names).most_common(1)[0][0]} is named twice.", "Name each system once.")
    given = read_aligned([*systems, *references, *([source] if source is not None else [])])
    has_tabs = [2 * sum("\t" in line for line in text) > len(text) for text in given]
    if any(has_tabs[len(systems) : len(systems) + len(references)]) and not any(has_tabs[: len(systems)]):
        warn("the reference has tabs, as dialogues have, and the translations have none: compare with the last turns "
             "alone, such as `awk -F'\\t' '{print $NF}' REFERENCE` writes them.")  # fmt: skip
    texts = iter(given)
    return TestSet({name: next(texts) for name in names}, [next(texts) for _ in references], next(texts, None))


def read_aligned(paths: Sequence[Path | str]) -> list[list[str]]:
    """The lines of files in which line N always belongs to line N of the others; translations first.

    Raises:
        UserError: the numbers of lines differ, there are none, or two are to come from standard input.
    """
    check_standard_input(*paths)
    texts = [list(read_lines(path)) for path in paths]
    check_lengths({describe(path): len(text) for path, text in zip(paths, texts, strict=True)})
    return texts
