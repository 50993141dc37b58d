"""``nmt check-data`` and ``nmt clean``, which find errors in text."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmt.cli.common import AsJson, NewFolder, Settings, command, show_json
from nmt.core.compression import uncompressed
from nmt.core.console import Screen, print_table, progress_bar, say
from nmt.core.errors import UserError
from nmt.extensions.shards.cli import FolderOptions, Workers

if TYPE_CHECKING:
    from nmt.autotrain.texts import Texts
    from nmt.extensions.cleaning.check import DataReport

STYLES = {"serious": "bold red", "warning": "yellow", "note": "cyan"}


@command(
    "nmt check-data train.de train.en --test test.de test.en",
    "nmt check-data texts.csv --vocabulary runs/de-en",
    "nmt check-data multi30k/transformer --set data.root=FOLDER",
)
def check_data(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Source text, a file of both, or a recipe.")],
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

    SOURCE alone is a recipe, or what `nmt train` reads: a table, .tmx, .xlf, .po or a folder. Each finding has a
    remedy. It looks for different numbers of lines, misaligned pairs, encoding errors, repeated pairs, test text in the
    training text, lines in the wrong language, UNK and too many pieces. The test text of a recipe is its validation
    text. The exit code is 1 if a problem is serious.
    """
    from nmt.autotrain.texts import TABLES
    from nmt.data.sources import check_repeatable
    from nmt.extensions.cleaning.check import check_pairs, read_vocabularies, recipe_pairs
    from nmt.extensions.cleaning.statistics import PairSource, file_pairs
    from nmt.recipe.load import load_recipe, parse_settings, shipped_recipes

    text = Path(source)
    is_text = text.exists() and text.suffix not in (".yaml", ".yml") and source not in shipped_recipes()
    if target is None and (is_text or uncompressed(text).suffix.lower() in TABLES):
        texts = _read(text, settings)
        pairs, seen = PairSource(texts.names, lambda: texts.train), texts.valid + texts.test
        held_out = PairSource(texts.names, lambda: seen) if seen else None
    elif target is None:
        recipe = load_recipe(source, parse_settings(settings or []))
        pairs, held_out = recipe_pairs(recipe)
        vocabulary, max_length = vocabulary or recipe.vocabulary.path, max_length or recipe.data.max_length
    elif settings:
        raise UserError("--set changes a recipe, but two files are named.", "Remove it, or name a recipe.")
    else:
        check_repeatable(Path(source), Path(target), *map(Path, test or ()))
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


def _read(path: Path, settings: list[str] | None) -> "Texts":
    """Reads text of both languages as ``nmt train`` does; ``settings`` name its columns."""
    from nmt.autotrain.prepared import Request
    from nmt.autotrain.texts import read_texts
    from nmt.recipe.load import parse_settings

    return read_texts([path], Request([path], overrides=parse_settings(settings or [])).wanted)


def _show_report(report: "DataReport") -> None:
    rows = [
        [s.name, f"{s.num_words:,}", f"{s.mean_words:.1f}", f"{s.median_words}", f"{s.max_words:,}"]
        for s in report.sides
    ]
    print_table("", [f"{report.num_pairs:,} pairs", "words", "mean", "median", "longest"], rows)
    console = Screen()
    console.print(f"{report.median_ratio:.2f} target characters per source character (median)")
    for finding in report.findings:
        console.print(f"\n{finding.severity}: {finding.message}", style=STYLES[finding.severity])
        for example in finding.examples:
            console.print(f"    line {example.line:,}: {example.text}", soft_wrap=True, style="dim")
        console.print(f"  → {finding.remedy}")
    counts = {s: sum(f.severity == s for f in report.findings) for s in STYLES}
    verdict = "No serious problem was found" if report.is_sound else "Solve the serious problems before training"
    console.print(f"\n{verdict}: {counts['serious']} serious, {counts['warning']} warnings, {counts['note']} notes.")


@dataclass(frozen=True)
class CleanOptions:
    """Options of ``nmt clean``."""

    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Source text, or a file of both.")]
    output: NewFolder
    target: Annotated[Path | None, typer.Argument(metavar="TARGET", help="Its translation, line by line.")] = None
    filters: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML file of filters with their limits.", show_default="see the manual"),
    ] = None
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE,TARGET", help="Test text whose pairs must not remain; may be repeated."),
    ] = None
    max_length: Annotated[int, typer.Option(metavar="N", min=1, help="Words of the longest side that remains.")] = 150
    workers: Workers = None
    settings: Settings = None
    as_json: AsJson = False


@command(
    "nmt clean train.de train.en -o clean --test test.de,test.en",
    "nmt clean texts.tmx -o clean",
    "nmt clean train.de.zst train.en.zst -o clean --filters filters.yaml",
    "nmt clean shards.de shards.en -o clean --workers 4",
)
def clean(options: CleanOptions, folders: FolderOptions) -> None:
    """Remove bad pairs of lines, and repair encodings.

    Removes, among others, pairs that are empty, copied, misaligned, truncated, repeated or in another language. FOLDER
    gets the remaining text under the names of the files, removed.jsonl with the removed pairs and the reasons,
    repaired.jsonl, the report.html with examples, and filters.yaml with the settings, which --filters reads. Nothing is
    overwritten. The same command continues a run that was stopped.

    SOURCE alone is a table, .tmx, .xlf or .po, as `nmt train` reads them, whose columns --set data.source= and
    data.target= name. FOLDER then gets two files, such as texts.de and texts.en.

    SOURCE and TARGET may be folders of files with the same names apart from the language. FOLDER then gets a folder for
    each pair of files, in which pairs of the files before are removed, too.
    """
    from nmt.core.text import count_lines
    from nmt.extensions.cleaning.clean import CleanSettings
    from nmt.extensions.cleaning.clean import clean as run

    tests = []
    for both in options.test or ():
        if both.count(",") != 1:
            raise UserError(f"--test {both} doesn't name two files.", "Write --test SOURCE,TARGET.")
        tests.append((Path(both.partition(",")[0]), Path(both.partition(",")[2])))
    if options.settings and options.target is not None:
        raise UserError("--set names the columns of a table, but two files are given.", "Remove it.")
    settings, files, pairs, num_lines = CleanSettings.read(options.filters), [options.source], None, None
    if options.target is None:
        from nmt.extensions.cleaning.languages import check_languages
        from nmt.extensions.cleaning.statistics import PairSource

        texts = _read(options.source, options.settings)
        source, target = (f"{uncompressed(options.source).stem}.{language}" for language in check_languages(texts))
        pairs = PairSource((source, target), lambda: texts.train)
    elif folders.is_for(options.source, workers=options.workers):
        from nmt.extensions.cleaning.shards import clean_shards

        found, workers_of = folders.open((options.source, options.target), options.output, options.workers, "cpu", 1)
        total = clean_shards(found, options.output, settings, tests, options.max_length, workers_of)
        (show_json if options.as_json else _show_cleaned)(total)
        return
    else:
        files, num_lines = [options.source, options.target], count_lines(options.source)
    with progress_bar("cleaning", None if num_lines is None else 3 * num_lines) as bar:
        report = run(files, options.output, settings, tests, options.max_length, bar.advance, pairs=pairs)
    if options.as_json:
        show_json(asdict(report))
        return
    _show_cleaned(report.counts())
    say(f"wrote {options.output}; report.html has examples")


def _show_cleaned(counts: dict[str, Any]) -> None:
    total, removed = counts["pairs"], counts["removed"]
    rows = [(name, f"{r['pairs']:,}", f"{r['pairs'] / total:.2%}", f"{r['alone']:,}") for name, r in removed.items()]
    print_table("", ("removed by", "pairs", "", "by it alone"), rows)
    typer.echo(f"{counts['kept']:,} of {total:,} pairs are kept, {counts['repaired']:,} of them repaired.")
