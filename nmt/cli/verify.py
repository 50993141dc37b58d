"""``nmt verify``."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.common import Device, ModelDir, Plugins, Quiet, app, examples

if TYPE_CHECKING:
    from nmt.inspection.verify import Check

NUM_EXAMPLES = 3


@app.command(
    short_help="Check that batches, order, caches and precision don't change a model's answers.",
    epilog=examples("nmt verify runs/de-en", "nmt verify runs/de-en test.de test.en --limit 200"),
)
def verify(
    model_dir: ModelDir,
    source: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE", help="Sentences to translate.", show_default="those in MODEL_DIR/samples"),
    ] = None,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET", help="Their translations, to force the model through.", show_default="its own"
        ),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Only so many lines, the first ones.")] = 100,
    device: Device = "auto",
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Check on your own model and text that the way of computing doesn't change the answers.

    Batch size, order of the input, caches and the score of the search must give the same, but for ties: exit code 1
    if they don't. bfloat16 and the export to CTranslate2 round or search differently: the table says how often
    it shows.
    """
    from rich.console import Console

    from nmt.console import print_table, progress_bar
    from nmt.inspection.verify import verify as run

    pairs = _pairs(model_dir, source, target, limit)
    checks = []
    with progress_bar("checking", None) as bar:
        for check in run(
            model_dir, [pair[0] for pair in pairs], [pair[1] for pair in pairs] if target else None, device
        ):
            checks.append(check)
            bar.advance()
    rows = [(c.name, f"{c.num_lines}", f"{c.num_ties}", f"{len(c.differences)}", _verdict(c)) for c in checks]
    print_table("", ("what is changed", "lines", "ties", "different", ""), rows)
    screen = Console(highlight=False)
    for check in checks:
        for difference in check.differences[:NUM_EXAMPLES]:
            text = f"{check.name}, line {difference.line}:\n  usual: {difference.expected}\n  now:   {difference.found}"
            screen.print(text, markup=False, soft_wrap=True)
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


def _verdict(check: "Check") -> str:
    if check.is_exact:
        return "as it must be" if check.holds else "WRONG"
    return f"{len(check.differences) / check.num_lines:.0%} change"


def _pairs(model_dir: Path, source: str | None, target: str | None, limit: int) -> list[tuple[str, str]]:
    """Lines with their translations; those without words are left out."""
    from nmt.data.corpus import FileText
    from nmt.data.text import read_lines
    from nmt.errors import UserError
    from nmt.training.logging import read_samples

    if source is not None and target is not None:
        found = list(islice(FileText(Path(source), Path(target)), limit))
    elif source is not None:
        found = [(line, "") for line in islice(read_lines(source), limit)]
    else:
        found = [(line, "") for line in read_samples(model_dir)[:limit]]
        if not found and (model_dir / "recipe.yaml").exists():
            raise UserError(f"{model_dir} has no samples to translate.", "Name a file with source sentences.")
    return [pair for pair in found if pair[0].strip()]
