"""The results of a comparison on a terminal and as a page, with the same tables."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from nmt.core.console import CONTROLS, Screen, print_table
from nmt.core.text import UNSPACED
from nmt.data.vocabulary.words import MARKS
from nmt.extensions.comparison.significance import LEVEL
from nmt.metrics.table import METRICS, directed_name
from nmt.plotting.templates import render

# Scripts without spaces differ character by character.
_WORD = re.compile(rf"[{UNSPACED}][{MARKS}]*|[\w{MARKS}]+(?:['’\-][\w{MARKS}]+)*|[^\w\s]")
METHOD = (
    "Paired approximate randomisation; intervals by bootstrap. A difference is called significant where p < "
    f"{LEVEL}: other sentences of the same kind would show it, too. Each p is for its own pair; of many systems one "
    "may pass by luck."
)


class FigureTable(NamedTuple):
    """The first cell of a row is its heading; a cell may have two lines."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def scores_table(found: dict[str, Any]) -> FigureTable:
    """Systems down, metrics along: score, interval, and the difference from the baseline with its p."""
    rows = []
    for name, system in found["systems"].items():
        row = [name]
        for key, score in system["scores"].items():
            digits = f"z.{METRICS[key].decimals}f"  # z: zero has no sign
            cell = f"{score['score']:{digits}} ± {score['confidence']['half_width']:{digits}}"
            if difference := score["difference"]:
                cell += f"\n{difference['value']:+{digits}}, p = {difference['p_value']:.2g}"
            row.append(cell.replace("-", "−"))
        rows.append(row)
    title = f"Score ± half of its 95 % interval; below, the difference from {found['baseline']}"
    return FigureTable(title, ["system", *map(directed_name, found["signatures"])], rows)


def length_table(lengths: Sequence[dict[str, Any]], key: str) -> FigureTable:
    """Buckets down, systems along, for one metric."""
    digits = f"z.{max(METRICS[key].decimals - 1, 0)}f"
    rows = [
        [row["label"], f"{row['sentences']:,}", *(format(score, digits) for score in row["scores"][key].values())]
        for row in lengths
    ]
    columns = ["words", "sentences", *lengths[0]["scores"][key]]
    return FigureTable(f"{directed_name(key)} by words of a sentence", columns, rows)


def words_table(found: dict[str, Any]) -> FigureTable:
    """Frequency classes down, systems along: word accuracy, and F1 below it."""
    rows = []
    for group in found["words"]["classes"]:
        figures = [f"{100 * score['recall']:.1f}\nF1 {100 * score['f1']:.1f}" for score in group["scores"].values()]
        rows.append([group["label"], f"{group['num_words']:,}", *figures])
    title = f"Word accuracy in per cent by frequency in {found['words']['counted_in']}"
    return FigureTable(title, ["frequency", "words", *found["systems"]], rows)


def ngram_tables(found: dict[str, Any], system: str) -> list[FigureTable]:
    """The n-grams that a system gains, and those that it loses: how often each has them right."""
    columns = ["n-gram", found["baseline"], system, "reference"]
    return [
        FigureTable(f"N-grams {kind} by {system}", columns, [list(map(str, ngram.values())) for ngram in ngrams])
        for kind in ("gained", "lost")
        if (ngrams := found["changes"][system][kind])
    ]


def counts_text(c: dict[str, Any]) -> str:
    """Returns the numbers of changed sentences. ``c``: the changes of a system."""
    return f"{c['num_better']:,} sentences better, {c['num_worse']:,} worse, {c['num_same']:,} the same ({c['metric']})"


def change_text(changes: dict[str, Any], sentence: dict[str, Any]) -> str:
    """The scores of a changed sentence."""
    scores = f"{sentence['baseline_score']:.4g} → {sentence['system_score']:.4g}"
    return f"line {sentence['line']}: {changes['metric']} {scores}"


def word_differences(text: str, other: str) -> list[tuple[str, bool]]:
    """A text cut where it begins and ends to agree with another one; joined, the parts are the text.

    A part is False where the other text has something else, or nothing, in its place. Words and punctuation marks are
    compared, cased; white space is not.
    """
    words = list(_WORD.finditer(text))
    matcher = SequenceMatcher(None, [match[0] for match in words], _WORD.findall(other), autojunk=False)
    parts, end = [], 0
    for kind, first, last, _, _ in matcher.get_opcodes():
        if kind in ("replace", "delete"):
            start, stop = words[first].start(), words[last - 1].end()
            parts += [(text[end:start], True), (text[start:stop], False)]
            end = stop
    return [(part, same) for part, same in (*parts, (text[end:], True)) if part]


def to_html(found: dict[str, Any]) -> str:
    """One page that holds everything and loads nothing; the template calls the functions of this module."""
    tables = (scores_table, length_table, words_table, ngram_tables)
    texts = (counts_text, change_text, word_differences)
    functions = {function.__name__: function for function in (*tables, *texts)}
    return render("compare.html.j2", __file__, found=found, metrics=METRICS, method=METHOD, **functions)


def print_comparison(found: dict[str, Any]) -> None:
    """For a person: coloured on a terminal, plain in a pipe, 80 columns wide in both."""
    console, baseline = Screen(), found["baseline"]
    for name, verdicts in found["verdicts"].items():
        if len(found["verdicts"]) > 1:
            console.print(f"{name} against {baseline}", style="bold")
        console.print("\n".join(verdicts))
    lengths = length_table(found["lengths"], next(iter(found["signatures"])))
    for table in (scores_table(found), lengths, words_table(found)):
        print_table(*table)
    for name, changes in found["changes"].items():
        console.print(f"\n{name} against {baseline}: {counts_text(changes)}", style="bold")
        for table in ngram_tables(found, name):
            print_table(*table)
        for kind, style in (("better", "green"), ("worse", "red")):
            if changes[kind]:
                console.print(f"\nGot {kind} the most (words outside of the reference are in [brackets])", style="bold")
            for sentence in changes[kind]:
                console.print(f"\n{change_text(changes, sentence)}", style=style)
                console.print(_sentence(sentence, baseline, name))
    console.print(f"\n{METHOD}", style="dim")
    for key, signature in found["signatures"].items():
        console.print(f"{METRICS[key].name}: {signature}", style="dim", soft_wrap=True)


def _sentence(sentence: dict[str, Any], baseline: str, system: str) -> Table:
    """Source, reference and both translations below each other."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold", max_width=20, style="dim")
    grid.add_column(overflow="fold")
    for side in ("source", "reference"):
        if sentence[side] is not None:
            grid.add_row(side, sentence[side])
    for name, text in ((baseline, sentence["baseline"]), (system, sentence["system"])):
        parts = word_differences(text.translate(CONTROLS), sentence["reference"])
        marked = [part if same else (f"[{part}]", "red") for part, same in parts]
        grid.add_row(name, Text.assemble(*marked))
    return grid
