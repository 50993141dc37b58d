"""A comparison as JSON, on a terminal and as a page; the tables of the last two are the same."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nmt.evaluation.compare import Comparison, LengthScores, PairChanges, SentenceChange
from nmt.evaluation.differences import Span, word_differences
from nmt.evaluation.lexical import NgramChange
from nmt.evaluation.metrics import METRICS
from nmt.evaluation.significance import LEVEL, NUM_SAMPLES, MetricTest, signed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


@dataclass(frozen=True)
class Cell:
    """A figure, a second one below it, how long its bar is (0 to 100), and whether it is the best of its kind."""

    text: str
    note: str = ""
    share: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Row:
    head: str
    cells: list[Cell]


@dataclass(frozen=True)
class FigureTable:
    """``columns`` has the heading of the rows' heads first."""

    title: str
    columns: list[str]
    rows: list[Row]


# tables


def scores_table(comparison: Comparison) -> FigureTable:
    """Systems down, metrics along: score, interval, and the difference from the baseline with its p."""
    tests = comparison.tests.values()
    rows = []
    for name in comparison.test_set.systems:
        cells = []
        for test in tests:
            s = test.systems[name]
            note = "baseline"
            if s.difference is not None:
                sign = "+" if s.difference.value > 0 else ""
                star = "*" if s.difference.is_significant else ""
                note = f"{sign}{signed(s.difference.value, test.decimals)}, p = {s.difference.p_value:.2g}{star}"
            cells.append(Cell(f"{s.score:.{test.decimals}f} ± {s.half_width:.{test.decimals}f}", note))
        rows.append(Row(name, cells))
    columns = ["system", *(test.name if test.higher_is_better else f"{test.name}, less is better" for test in tests)]
    return FigureTable(
        f"Score ± half of its 95 % interval; difference from {comparison.baseline}, * where p < {LEVEL}", columns, rows
    )


def length_tables(comparison: Comparison) -> list[FigureTable]:
    """A table for each metric."""
    return [length_table(comparison.lengths, key) for key in comparison.tests]


def length_table(lengths: list[LengthScores], key: str) -> FigureTable:
    """Buckets down, systems along, for one metric."""
    metric = METRICS[key]
    digits = metric.decimals - 1
    top = max((figure for row in lengths for figure in row.scores[key].values()), default=0) or 1
    systems = list(lengths[0].scores[key]) if lengths else []
    rows = []
    for row in lengths:
        scores = row.scores[key]
        best = _best(metric.higher_is_better, {name: round(score, digits) for name, score in scores.items()})
        cells = [Cell(f"{len(row.bucket.sentences):,}")]
        cells += [
            Cell(f"{s:.{digits}f}", share=round(100 * s / top, 1), best=name in best) for name, s in scores.items()
        ]
        rows.append(Row(row.bucket.label, cells))
    direction = "" if metric.higher_is_better else " (less is better)"
    return FigureTable(f"{metric.name}{direction} by words of a sentence", ["words", "sentences", *systems], rows)


def words_table(comparison: Comparison) -> FigureTable:
    """Frequency classes down, systems along: word accuracy, and F1 below it."""
    systems = list(comparison.test_set.systems)
    rows = []
    for group in comparison.words:
        recalls = {name: round(group.scores[name].recall or 0.0, 3) for name in systems}
        best = _best(True, recalls)
        cells = [Cell(f"{group.num_words:,}")]
        for name in systems:
            s = group.scores[name]
            bar = round(100 * recalls[name], 1)
            cells.append(Cell(_percent(s.recall), f"F1 {_percent(s.f1)}", share=bar, best=name in best))
        rows.append(Row(group.label, cells))
    return FigureTable(
        f"Word accuracy in per cent by frequency in {comparison.counted_in}", ["frequency", "words", *systems], rows
    )


def ngram_table(title: str, changes: list[NgramChange], baseline: str, system: str) -> FigureTable:
    """N-grams down; how often each system has them right, and how often the reference has them."""
    rows = [
        Row(change.words, [Cell(str(change.baseline)), Cell(str(change.system)), Cell(str(change.reference))])
        for change in changes
    ]
    return FigureTable(title, ["n-gram", baseline, system, "reference"], rows)


def _best(higher_is_better: bool, scores: dict[str, float]) -> set[str]:
    """Who has the best score, of figures as they are shown; nobody where all have the same."""
    if len(set(scores.values())) < 2:
        return set()
    best = (max if higher_is_better else min)(scores.values())
    return {name for name, score in scores.items() if score == best}


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


# sentences


@dataclass(frozen=True)
class ShownSentence:
    """A changed sentence with its figures as text and its translations as spans that agree with the reference."""

    line: int
    source: str | None
    reference: str
    baseline: list[Span]
    system: list[Span]
    baseline_score: str
    system_score: str
    delta: str
    is_better: bool


def _shown(change: SentenceChange, is_better: bool) -> ShownSentence:
    delta = change.system_score - change.baseline_score
    return ShownSentence(
        change.line,
        change.source,
        change.reference,
        word_differences(change.baseline, change.reference),
        word_differences(change.system, change.reference),
        f"{change.baseline_score:.1f}",
        f"{change.system_score:.1f}",
        f"{'+' if delta > 0 else '−'}{abs(delta):.1f}",
        is_better,
    )


def method_sentence(comparison: Comparison) -> str:
    """How the tests were made."""
    options = comparison.options
    count = options.num_samples or NUM_SAMPLES[options.method]
    if options.method == "randomisation":
        test = f"paired approximate randomisation with {count:,} trials; intervals by bootstrap, 1,000 samples"
    else:
        test = f"paired bootstrap resampling with {count:,} samples"
    several = ""
    if len(comparison.changes) > 1:
        several = (
            f" Of {len(comparison.changes)} systems tested against one baseline, one may pass by luck: "
            "each p is for its own pair."
        )
    return (
        f"sacreBLEU's {test}. Detokenised text; the signatures say how each metric treats case and tokens. A "
        f"difference is called significant where p < {LEVEL}. That says only that other sentences of the same kind "
        f"would show it too, not that people would notice it.{several}"
    )


def _warnings(comparison: Comparison) -> list[str]:
    return [f"{name}: {count.summary()}." for name, count in comparison.degenerate.items() if count.num_degenerate]


def _sentence_metric(comparison: Comparison) -> str:
    return METRICS[comparison.options.sentence_metric].name


# JSON


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The object of ``nmt compare --json``."""
    test_set = comparison.test_set
    return {
        "baseline": comparison.baseline,
        "sentences": len(test_set),
        "references": len(test_set.references),
        "test": comparison.options.method,
        "signatures": {key: test.signature for key, test in comparison.tests.items()},
        "systems": {name: _system_json(comparison, name) for name in test_set.systems},
        "verdicts": comparison.verdicts,
        "lengths": [row.to_json() for row in comparison.lengths],
        "words": {
            "counted_in": comparison.counted_in,
            "classes": [_rounded(asdict(group)) for group in comparison.words],
        },
        "changes": {name: _rounded(asdict(changes)) for name, changes in comparison.changes.items()},
    }


def _system_json(comparison: Comparison, name: str) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for key, test in comparison.tests.items():
        found = test.systems[name]
        figures[key] = _rounded(asdict(found))
        if found.difference is not None:
            figures[key]["difference"]["significant"] = found.difference.is_significant
    return {"scores": figures, "degenerate": comparison.degenerate[name].to_json()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


# HTML


def to_html(comparison: Comparison) -> str:
    """One page that holds everything and loads nothing."""
    from nmt.report import render

    pairs = [_pair(comparison, name, changes) for name, changes in comparison.changes.items()]
    systems = list(comparison.test_set.systems)
    return render(
        "compare.html.j2",
        title=f"{', '.join(systems[:-1])} and {systems[-1]}, compared",
        baseline=comparison.baseline,
        num_sentences=f"{len(comparison.test_set):,}",
        num_references=len(comparison.test_set.references),
        pairs=pairs,
        warnings=_warnings(comparison),
        scores=scores_table(comparison),
        lengths=length_tables(comparison),
        measured_by=comparison.test_set.measured_by,
        words=words_table(comparison),
        counted_in=comparison.counted_in,
        sentence_metric=_sentence_metric(comparison),
        method=method_sentence(comparison),
        signatures=[(test.name, test.signature) for test in comparison.tests.values()],
    )


def _pair(comparison: Comparison, name: str, changes: PairChanges) -> dict[str, Any]:
    baseline = comparison.baseline
    first: MetricTest = next(iter(comparison.tests.values()))
    difference = first.systems[name].difference
    return {
        "baseline": baseline,
        "system": name,
        "verdicts": comparison.verdicts[name],
        "is_significant": difference is not None and difference.is_significant,
        "num_better": f"{changes.num_better:,}",
        "num_worse": f"{changes.num_worse:,}",
        "num_same": f"{changes.num_same:,}",
        "better": [_shown(change, True) for change in changes.better],
        "worse": [_shown(change, False) for change in changes.worse],
        "gained": ngram_table(f"N-grams that {name} gains", changes.gained, baseline, name),
        "lost": ngram_table(f"N-grams that {name} loses", changes.lost, baseline, name),
    }


# terminal


def print_comparison(comparison: Comparison) -> None:
    """For a person: coloured on a terminal, plain in a pipe, 80 columns wide in both."""
    from rich.console import Console

    console = Console(highlight=False)
    for name, verdicts in comparison.verdicts.items():
        if len(comparison.verdicts) > 1:
            console.print(f"{name} against {comparison.baseline}", markup=False, style="bold")
        for number, verdict in enumerate(verdicts):
            console.print(verdict, markup=False, style="bold" if not number else "")
    _print_table(console, scores_table(comparison))
    _print_table(console, length_tables(comparison)[0])
    _print_table(console, words_table(comparison))
    for name, changes in comparison.changes.items():
        _print_changes(console, comparison, name, changes)
    console.print()
    console.print(method_sentence(comparison), markup=False, style="dim")
    for test in comparison.tests.values():
        console.print(f"{test.name}: {test.signature}", markup=False, style="dim", soft_wrap=True)


def print_table(table: FigureTable) -> None:
    """One table on standard output."""
    from rich.console import Console

    _print_table(Console(highlight=False), table)


def _print_table(console: "Console", table: FigureTable) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not table.rows:
        return
    # A pipe gets the same columns without lines.
    shown = Table(title=table.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    if console.is_terminal:
        shown.box = box.SIMPLE_HEAD
    for index, column in enumerate(table.columns):
        shown.add_column(Text(column), justify="right" if index else "left", overflow="fold")
    for row in table.rows:
        cells = []
        for cell in row.cells:
            text = Text(f"{cell.text}{' ★' if cell.best else ''}", style="bold" if cell.best else "")
            cells.append(text.append(f"\n{cell.note}", style="not bold dim") if cell.note else text)
        shown.add_row(Text(row.head), *cells)
    console.print()
    console.print(shown)


def _print_changes(console: "Console", comparison: Comparison, name: str, changes: PairChanges) -> None:
    baseline = comparison.baseline
    metric = _sentence_metric(comparison)
    console.print()
    console.print(
        f"{name} against {baseline}: {changes.num_better:,} sentences got better, {changes.num_worse:,} worse, "
        f"{changes.num_same:,} stayed the same ({metric})",
        markup=False,
        style="bold",
    )
    _print_table(console, ngram_table(f"N-grams that {name} gains", changes.gained, baseline, name))
    _print_table(console, ngram_table(f"N-grams that {name} loses", changes.lost, baseline, name))
    how = "underlined" if console.is_terminal else "in [brackets]"
    for title, sentences in (("Got better", changes.better), ("Got worse", changes.worse)):
        if not sentences:
            continue
        console.print()
        console.print(f"{title} the most (what isn't in the reference is {how})", markup=False, style="bold")
        for change in sentences:
            _print_sentence(console, _shown(change, title == "Got better"), metric, (baseline, name))


def _print_sentence(console: "Console", sentence: ShownSentence, metric: str, names: tuple[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold", max_width=20, style="dim")
    grid.add_column(overflow="fold")
    if sentence.source is not None:
        grid.add_row(Text("source"), Text(sentence.source))
    grid.add_row(Text("reference"), Text(sentence.reference))
    for name, spans in zip(names, (sentence.baseline, sentence.system), strict=True):
        grid.add_row(Text(name), _marked(spans, console.is_terminal))
    console.print()
    figures = f"{metric} {sentence.baseline_score} → {sentence.system_score} ({sentence.delta})"
    console.print(f"line {sentence.line}: {figures}", markup=False, style="green" if sentence.is_better else "red")
    console.print(grid)


def _marked(spans: Iterable[Span], styled: bool) -> "Text":
    from rich.text import Text

    text = Text()
    for span in spans:
        if span.same:
            text.append(span.text)
        else:
            text.append(span.text if styled else f"[{span.text}]", style="underline red")
    return text
