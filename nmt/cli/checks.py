"""Commands that find errors: ``nmt check-data`` and ``nmt clean`` in text, ``nmt verify`` in what a model computes."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nmt.cli.common import (
    AsJson,
    Device,
    ExecutorName,
    ModelDir,
    Ray,
    Settings,
    Workers,
    check_is_folder,
    command,
    shards_and_executor,
    show_json,
)
from nmt.core.console import print_table, progress_bar, say
from nmt.core.errors import UserError

if TYPE_CHECKING:
    from nmt.filters.check import DataReport
    from nmt.inspection.verify import Check

STYLES = {"serious": "bold red", "warning": "yellow", "note": "cyan"}


@command(
    "nmt check-data train.de train.en --test test.de test.en",
    "nmt check-data train.de train.en --vocabulary runs/de-en",
    "nmt check-data multi30k/transformer --set data.root=FOLDER",
)
def check_data(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Source text, or a recipe.")],
    target: Annotated[str | None, typer.Argument(metavar="TARGET", help="Its translation, line by line.")] = None,
    test: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="SOURCE TARGET", help="Test text, which must not occur in the training text."),
    ] = None,
    vocabulary: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A model directory, or a .model or .txt file.")
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="data.max_length of the recipe.", show_default="the model's, or 150"),
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Report problems of parallel text before training.

    Each finding has a remedy. It looks for different numbers of lines, misaligned pairs, encoding errors, repeated
    pairs, test text in the training text, lines in the wrong language, UNK and too many pieces. The test text of a
    recipe is its validation text. The exit code is 1 if a problem is serious.
    """
    from nmt.filters.check import check_pairs, read_vocabularies, recipe_pairs
    from nmt.filters.statistics import file_pairs
    from nmt.recipe.load import load_recipe, parse_settings

    if target is None:
        recipe = load_recipe(source, parse_settings(settings or []))
        pairs, held_out = recipe_pairs(recipe)
        vocabulary, max_length = vocabulary or recipe.vocabulary.path, max_length or recipe.data.max_length
    elif settings:
        raise UserError("--set changes a recipe, but two files are named.", "Remove it, or name a recipe.")
    else:
        pairs, held_out = file_pairs(source, target), None
    vocabularies, length = read_vocabularies(vocabulary) if vocabulary is not None else (None, None)
    with progress_bar("checking", None) as bar:
        held_out = file_pairs(*test) if test else held_out
        report = check_pairs(pairs, held_out, vocabularies, max_length or length or 150, bar.advance)
    if as_json:
        show_json({"sound": report.is_sound, **asdict(report)})
    else:
        _show_report(report)
    if not report.is_sound:
        raise typer.Exit(1)


def _show_report(report: "DataReport") -> None:
    rows = [
        [s.name, f"{s.num_words:,}", f"{s.mean_words:.1f}", f"{s.median_words}", f"{s.max_words:,}"]
        for s in report.sides
    ]
    print_table("", [f"{report.num_pairs:,} pairs", "words", "mean", "median", "longest"], rows)
    console = Console(highlight=False, markup=False)
    console.print(f"{report.median_ratio:.2f} target characters per source character (median)")
    for finding in report.findings:
        console.print()
        console.print(f"{finding.severity}: {finding.message}", style=STYLES[finding.severity])
        for example in finding.examples:
            console.print(f"    line {example.line:,}: {example.text}", soft_wrap=True, style="dim")
        console.print(f"  → {finding.remedy}")
    counts = {s: sum(f.severity == s for f in report.findings) for s in STYLES}
    console.print()
    verdict = "No serious problem was found" if report.is_sound else "Solve the serious problems before training"
    console.print(f"{verdict}: {counts['serious']} serious, {counts['warning']} warnings, {counts['note']} notes.")


@command(
    "nmt clean train.de train.en -o clean --test test.de,test.en",
    "nmt clean train.de.zst train.en.zst -o clean --filters filters.yaml",
    "nmt clean shards.de shards.en -o clean --workers 4",
)
def clean(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Source text.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Its translation, line by line.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write; must be new.")],
    filters: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML file of filters with their limits.", show_default="see the manual"),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE,TARGET", help="Test text whose pairs must not remain; may be repeated."),
    ] = None,
    max_length: Annotated[int, typer.Option(metavar="N", min=1, help="Words of the longest side that remains.")] = 150,
    workers: Workers = None,
    ray: Ray = None,
    executor: ExecutorName = None,
    as_json: AsJson = False,
) -> None:
    """Remove bad pairs of lines, and repair encodings.

    Removes, among others, pairs that are empty, copied, misaligned, truncated, repeated or in another language. FOLDER
    gets the remaining text under the names of the files, removed.jsonl with the removed pairs and the reasons,
    repaired.jsonl, the report.html with examples, and filters.yaml with the settings, which --filters reads. Nothing is
    overwritten. The same command continues a run that was stopped.

    SOURCE and TARGET may be folders of files with the same names apart from the language. FOLDER then gets a folder for
    each pair of files, in which pairs of the files before are removed, too.
    """
    from nmt.core.text import count_lines
    from nmt.filters.clean import CleanSettings
    from nmt.filters.clean import clean as run

    tests = []
    for files in test or ():
        if files.count(",") != 1:
            raise UserError(f"--test {files} doesn't name two files.", "Write --test SOURCE,TARGET.")
        tests.append((Path(files.partition(",")[0]), Path(files.partition(",")[2])))
    settings = CleanSettings.read(filters)
    if check_is_folder(source, workers=workers, ray=ray, executor=executor):
        from nmt.filters.shards import clean_shards

        found, workers_of = shards_and_executor(
            (source, target), str(output), workers=workers, ray=ray, name=executor, device="cpu", cores_each=1
        )
        total = clean_shards(found, output, settings, tests, max_length, workers_of)
        if as_json:
            show_json(total)
        else:
            _show_cleaned(total, total["removed"])
        return
    num_lines = count_lines(source)
    with progress_bar("cleaning", None if num_lines is None else 3 * num_lines) as bar:
        report = run((source, target), output, settings, tests, max_length, bar.advance)
    if as_json:
        show_json(asdict(report))
        return
    removed = {each.filter: {"pairs": each.num_pairs, "alone": each.alone} for each in report.removals}
    _show_cleaned({"pairs": report.num_pairs, "kept": report.num_kept, "repaired": report.num_repaired}, removed)
    say(f"wrote {output}; report.html has examples")


def _show_cleaned(counts: dict[str, int], removed: dict[str, dict[str, int]]) -> None:
    total = counts["pairs"]
    rows = [(name, f"{r['pairs']:,}", f"{r['pairs'] / total:.2%}", f"{r['alone']:,}") for name, r in removed.items()]
    print_table("", ("removed by", "pairs", "", "by it alone"), rows)
    typer.echo(f"{counts['kept']:,} of {total:,} pairs are kept, {counts['repaired']:,} of them repaired.")


NUM_EXAMPLES = 3


@command("nmt verify runs/de-en", "nmt verify runs/de-en test.de test.en --limit 200")
def verify(
    model_dir: ModelDir,
    source: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE", help="Sentences to translate.", show_default="those in MODEL_DIR/samples"),
    ] = None,
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="Their translations, which are scored.", show_default="its own"),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Use only the first N lines.")] = 100,
    device: Device = "auto",
) -> None:
    """Check that batches and caches change no translation.

    With a model and text of your own: batch size, input order, caches and the scores of search must not change results,
    except for ties; the exit code is 1 if they do. bfloat16 and the exports to CTranslate2 and ONNX round or search
    differently: the table has the share of translations that this changes.
    """
    from nmt.inspection.verify import verify as run

    pairs = _pairs(model_dir, source, target, limit)
    sources, targets = [pair[0] for pair in pairs], [pair[1] for pair in pairs] if target else None
    with progress_bar("checking", None) as bar:
        checks = list(bar.counted(run(model_dir, sources, targets, device)))
    rows = [(c.name, f"{c.num_lines}", f"{c.num_ties}", f"{len(c.differences)}", _verdict(c)) for c in checks]
    print_table("", ("what is changed", "lines", "ties", "different", ""), rows)
    screen = Console(highlight=False, markup=False)
    for check in checks:
        for difference in check.differences[:NUM_EXAMPLES]:
            text = f"{check.name}, line {difference.line}:\n  usual: {difference.expected}\n  now:   {difference.found}"
            screen.print(text, soft_wrap=True)
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


def _verdict(check: "Check") -> str:
    if check.is_exact:
        return "passed" if check.holds else "FAILED"
    return f"{len(check.differences) / check.num_lines:.0%} change"


def _pairs(model_dir: Path, source: str | None, target: str | None, limit: int) -> list[tuple[str, str]]:
    """Lines with their translations; those without words are left out."""
    from nmt.core.text import read_lines
    from nmt.data.sources import FileText
    from nmt.training.sinks import read_samples

    if source is not None and target is not None:
        found = list(islice(FileText(Path(source), Path(target)), limit))
    elif source is not None:
        found = [(line, "") for line in islice(read_lines(source), limit)]
    else:
        found = [(line, "") for line in read_samples(model_dir)[:limit]]
        if not found and (model_dir / "recipe.yaml").exists():
            raise UserError(f"{model_dir} has no samples to translate.", "Name a file with source sentences.")
    return [pair for pair in found if pair[0].strip()]
