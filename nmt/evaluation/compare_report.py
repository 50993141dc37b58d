"""A comparison as JSON, on a terminal and as a page; the tables of the last two are the same."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmt.console import print_table
from nmt.evaluation.analysis import Span, word_differences
from nmt.evaluation.compare import Comparison, LengthScores, PairChanges, SentenceChange
from nmt.evaluation.metrics import METRICS
from nmt.evaluation.significance import LEVEL, NUM_SAMPLES


class Cell(NamedTuple):
    """A figure, a second one below it, the length of its bar (0 to 100), and whether it is the best of its row."""

    text: str
    note: str = ""
    share: float | None = None
    best: bool = False


class FigureTable(NamedTuple):
    """The first cell of a row is its heading."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]


# tables


def scores_table(comparison: Comparison) -> FigureTable:
    """Systems down, metrics along: score, interval, and the difference from the baseline with its p."""
    rows = [[Cell(name)] for name in comparison.test_set.systems]
    columns = ["system"]
    for test in comparison.tests.values():
        columns.append(test.metric.name + ("" if test.metric.higher_is_better else ", less is better"))
        for row, (name, score) in zip(rows, test.scores.items(), strict=True):
            note, half_width = "baseline", score.confidence.half_width if score.confidence else 0.0
            if (difference := test.differences.get(name)) is not None:
                sign, star = "+" if difference.value > 0 else "", "*" if difference.significant else ""
                note = f"{sign}{test.number(difference.value)}, p = {difference.p_value:.2g}{star}"
            row.append(Cell(f"{test.number(score.score)} ± {test.number(half_width)}", note))
    baseline = comparison.test_set.baseline
    title = f"Score ± half of its 95 % interval; difference from {baseline}, * where p < {LEVEL}"
    return FigureTable(title, columns, rows)


def length_table(lengths: Sequence[LengthScores], key: str) -> FigureTable:
    """Buckets down, systems along, for one metric."""
    metric = METRICS[key]
    systems = list(lengths[0].scores[key]) if lengths else []
    top = max((score for row in lengths for score in row.scores[key].values()), default=0)
    rows = []
    for row in lengths:
        scores = list(row.scores[key].values())
        texts = [f"{score:.{metric.decimals - 1}f}" for score in scores]
        bars = _bars(scores, texts, [""] * len(texts), top, metric.higher_is_better)
        rows.append([Cell(row.bucket.label), Cell(f"{len(row.bucket.sentences):,}"), *bars])
    direction = "" if metric.higher_is_better else " (less is better)"
    return FigureTable(f"{metric.name}{direction} by words of a sentence", ["words", "sentences", *systems], rows)


def words_table(comparison: Comparison) -> FigureTable:
    """Frequency classes down, systems along: word accuracy, and F1 below it."""
    systems = list(comparison.test_set.systems)
    rows = []
    for group in comparison.words:
        found = [group.scores[name] for name in systems]
        texts, notes = [_percent(s.recall) for s in found], [f"F1 {_percent(s.f1)}" for s in found]
        bars = _bars([s.recall or 0.0 for s in found], texts, notes, 1.0, True)
        rows.append([Cell(group.label), Cell(f"{group.num_words:,}"), *bars])
    title = f"Word accuracy in per cent by frequency in {comparison.counted_in}"
    return FigureTable(title, ["frequency", "words", *systems], rows)


def ngram_tables(comparison: Comparison, system: str) -> list[FigureTable]:
    """The n-grams that a system gains, and those that it loses: how often each has them right."""
    changes, columns = comparison.changes[system], ["n-gram", comparison.test_set.baseline, system, "reference"]
    tables = []
    for kind, ngrams in (("gains", changes.gained), ("loses", changes.lost)):
        rows = [[Cell(n.words), *(Cell(str(count)) for count in (n.baseline, n.system, n.reference))] for n in ngrams]
        tables.append(FigureTable(f"N-grams that {system} {kind}", columns, rows))
    return tables


def _bars(
    figures: Sequence[float], texts: Sequence[str], notes: Sequence[str], top: float, higher_is_better: bool
) -> list[Cell]:
    """Cells with bars; the best, of figures as they are shown, is marked where they differ."""
    best = texts[figures.index((max if higher_is_better else min)(figures))]
    differ = len(set(texts)) > 1
    return [
        Cell(text, note, round(100 * figure / (top or 1), 1), differ and text == best)
        for figure, text, note in zip(figures, texts, notes, strict=True)
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


# sentences


def sentence_metric(comparison: Comparison) -> str:
    """The name of the metric that ranks sentences."""
    return METRICS[comparison.options.sentence_metric].name


def change_text(comparison: Comparison, change: SentenceChange) -> str:
    """The scores of a changed sentence."""
    metric, delta = METRICS[comparison.options.sentence_metric], change.system_score - change.baseline_score
    old, new, size = (f"{x:.{metric.decimals - 1}f}" for x in (change.baseline_score, change.system_score, abs(delta)))
    return f"{metric.name} {old} → {new} ({'+' if delta > 0 else '−'}{size})"


def method_text(comparison: Comparison) -> str:
    """How the tests were made, in sentences."""
    options, several = comparison.options, ""
    count = options.num_samples or NUM_SAMPLES[options.method]
    test = f"Paired bootstrap resampling with {count:,} samples."
    if options.method == "randomisation":
        test = f"Paired approximate randomisation with {count:,} trials; intervals by bootstrap, 1,000 samples."
    if len(comparison.changes) > 1:
        several = (
            f" Of {len(comparison.changes)} systems tested against one baseline, one may pass by luck: "
            "each p is for its own pair."
        )
    return (
        f"{test} Detokenised text; the signatures say how each metric treats case and tokens. A difference is called "
        f"significant where p < {LEVEL}. That says only that other sentences of the same kind would show it too, not "
        f"that people would notice it.{several}"
    )


# JSON


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The object of ``nmt compare --json``."""
    test_set = comparison.test_set
    systems = {}
    for name in test_set.systems:
        scores = {}
        for key, test in comparison.tests.items():
            difference = test.differences.get(name)
            shown = difference and _rounded(asdict(difference)) | {"significant": difference.significant}
            scores[key] = test.scores[name].to_json() | {"difference": shown}
        systems[name] = {"scores": scores, "degenerate": comparison.degenerate[name].to_json()}
    words = [_rounded(asdict(group)) for group in comparison.words]
    return {
        "baseline": test_set.baseline,
        "sentences": len(test_set),
        "references": len(test_set.references),
        "test": comparison.options.method,
        "signatures": {key: test.signature for key, test in comparison.tests.items()},
        "systems": systems,
        "verdicts": comparison.verdicts,
        "lengths": [row.to_json() for row in comparison.lengths],
        "words": {"counted_in": comparison.counted_in, "classes": words},
        "changes": {name: _rounded(asdict(changes)) for name, changes in comparison.changes.items()},
    }


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

    *systems, last = comparison.test_set.systems
    return render(
        "compare.html.j2",
        title=f"{', '.join(systems)} and {last}, compared",
        comparison=comparison,
        test_set=comparison.test_set,
        scores=scores_table(comparison),
        lengths=[length_table(comparison.lengths, key) for key in comparison.tests],
        words=words_table(comparison),
        ngrams={name: ngram_tables(comparison, name) for name in comparison.changes},
        sentence_metric=sentence_metric(comparison),
        change_text=change_text,
        word_differences=word_differences,
        method=method_text(comparison),
    )


# terminal


def print_figures(table: FigureTable) -> None:
    """A table on standard output, after an empty line; nothing where it has no rows."""
    rows = []
    for row in table.rows:
        cells = [Text(f"{c.text}{' ★' if c.best else ''}", style="bold" if c.best else "") for c in row]
        rows.append([t.append(f"\n{c.note}", "not bold dim") if c.note else t for c, t in zip(row, cells, strict=True)])
    if rows:
        print()
        print_table(table.title, table.columns, rows)


def print_comparison(comparison: Comparison) -> None:
    """For a person: coloured on a terminal, plain in a pipe, 80 columns wide in both."""
    console = Console(highlight=False, markup=False)
    baseline = comparison.test_set.baseline
    for name, (first, *others) in comparison.verdicts.items():
        if len(comparison.verdicts) > 1:
            console.print(f"{name} against {baseline}", style="bold")
        console.print(first, style="bold")
        for verdict in others:
            console.print(verdict)
    print_figures(scores_table(comparison))
    print_figures(length_table(comparison.lengths, next(iter(comparison.tests))))
    print_figures(words_table(comparison))
    for name, changes in comparison.changes.items():
        _print_changes(console, comparison, name, changes)
    console.print(f"\n{method_text(comparison)}", style="dim")
    for test in comparison.tests.values():
        console.print(f"{test.metric.name}: {test.signature}", style="dim", soft_wrap=True)


def _print_changes(console: Console, comparison: Comparison, name: str, changes: PairChanges) -> None:
    baseline = comparison.test_set.baseline
    console.print(
        f"\n{name} against {baseline}: {changes.num_better:,} sentences got better, {changes.num_worse:,} worse, "
        f"{changes.num_same:,} stayed the same ({sentence_metric(comparison)})",
        style="bold",
    )
    for table in ngram_tables(comparison, name):
        print_figures(table)
    how = "underlined" if console.is_terminal else "in [brackets]"
    for kind, style, sentences in (("better", "green", changes.better), ("worse", "red", changes.worse)):
        if sentences:
            console.print(f"\nGot {kind} the most (what isn't in the reference is {how})", style="bold")
        for change in sentences:
            console.print(f"\nline {change.line}: {change_text(comparison, change)}", style=style)
            grid = Table.grid(padding=(0, 2, 0, 0))
            grid.add_column(overflow="fold", max_width=20, style="dim")
            grid.add_column(overflow="fold")
            if change.source is not None:
                grid.add_row("source", Text(change.source))
            grid.add_row("reference", Text(change.reference))
            for system, text in ((baseline, change.baseline), (name, change.system)):
                spans = word_differences(text, change.reference)
                grid.add_row(Text(system), Text.assemble(*(_marked(span, console.is_terminal) for span in spans)))
            console.print(grid)


def _marked(span: Span, styled: bool) -> Text:
    """A span, marked where it differs."""
    if span.same:
        return Text(span.text)
    return Text(span.text if styled else f"[{span.text}]", style="underline red")
