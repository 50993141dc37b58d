"""``nmt check-data``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.common import AsJson, Plugins, Quiet, Settings, app, examples

if TYPE_CHECKING:
    from nmt.data.filters.check import DataReport

STYLES = {"serious": "bold red", "warning": "yellow", "note": "cyan"}


@app.command(
    name="check-data",
    short_help="Report problems of parallel text before training.",
    epilog=examples(
        "nmt check-data train.de train.en --test test.de test.en",
        "nmt check-data train.de train.en --vocabulary runs/de-en",
        "nmt check-data multi30k/transformer --set data.root=FOLDER",
    ),
)
def check_data(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Source text, or a recipe.", show_default=False)],
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="Its translation, line by line.", show_default=False),
    ] = None,
    test: Annotated[
        tuple[str, str] | None,
        typer.Option("--test", metavar="SOURCE TARGET", help="Test text, which must not occur in the training text."),
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option("--vocabulary", metavar="PATH", help="A model directory, or a .model or .txt file."),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="data.max_length of the recipe.", show_default="the model's, or 150"),
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Report problems of parallel text, and how to solve them.

    Looks for different numbers of lines, misaligned pairs, encoding errors, repeated pairs, test text in the training
    text, lines in the wrong language, UNK and too many pieces. The test text of a recipe is its validation text. The
    exit code is 1 if a problem is serious.
    """
    from dataclasses import asdict

    from nmt.console import progress_bar
    from nmt.data.filters.check import check_pairs, read_vocabularies, recipe_pairs
    from nmt.data.filters.statistics import file_pairs
    from nmt.errors import UserError
    from nmt.recipe import load_recipe, parse_settings

    if target is None:
        recipe = load_recipe(source, parse_settings(settings or []))
        pairs, held_out = recipe_pairs(recipe)
        vocabulary, max_length = vocabulary or recipe.vocabulary.path, max_length or recipe.data.max_length
    elif settings:
        raise UserError("--set changes a recipe, but two files are named.", "Leave it out, or name a recipe.")
    else:
        pairs, held_out = file_pairs(source, target), None
    vocabularies, length = read_vocabularies(vocabulary) if vocabulary is not None else (None, None)
    with progress_bar("checking", None) as bar:
        report = check_pairs(
            pairs, file_pairs(*test) if test else held_out, vocabularies, max_length or length or 150, bar.advance
        )
    if as_json:
        typer.echo(json.dumps({"sound": report.is_sound, **asdict(report)}, ensure_ascii=False))
    else:
        _show(report)
    if not report.is_sound:
        raise typer.Exit(1)


def _show(report: "DataReport") -> None:
    from rich.console import Console

    from nmt.console import print_table

    rows = [
        [s.name, f"{s.num_words:,}", f"{s.mean_words:.1f}", f"{s.median_words}", f"{s.max_words:,}"]
        for s in report.sides
    ]
    print_table("", [f"{report.num_pairs:,} pairs", "words", "mean", "median", "longest"], rows)
    console = Console(highlight=False)
    console.print(f"{report.median_ratio:.2f} target characters per source character (median)", markup=False)
    for finding in report.findings:
        console.print()
        console.print(f"{finding.severity}: {finding.message}", markup=False, style=STYLES[finding.severity])
        for example in finding.examples:
            console.print(f"    line {example.line:,}: {example.text}", markup=False, soft_wrap=True, style="dim")
        console.print(f"  → {finding.remedy}", markup=False)
    counts = {s: sum(f.severity == s for f in report.findings) for s in STYLES}
    console.print()
    verdict = "No serious problem was found" if report.is_sound else "Solve the serious problems before training"
    console.print(
        f"{verdict}: {counts['serious']} serious, {counts['warning']} warnings, {counts['note']} notes.", markup=False
    )
