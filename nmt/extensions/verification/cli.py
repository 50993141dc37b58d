"""``nmt verify``."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import Device, ModelDir, command
from nmt.core.console import Screen, print_table, progress_bar
from nmt.core.errors import UserError

NUM_EXAMPLES = 3
"""Differences of a check that are shown."""


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
    from nmt.extensions.verification.verify import verify as run

    pairs = _pairs(model_dir, source, target, limit)
    sources, targets = [source for _, source, _ in pairs], [own for *_, own in pairs] if target else None
    with progress_bar("checking", None) as bar:
        checks = list(bar.counted(run(model_dir, sources, targets, device)))
    rows = [(c.name, f"{c.num_lines}", f"{c.num_ties}", f"{len(c.differences)}", c.verdict) for c in checks]
    print_table("", ("what is changed", "lines", "ties", "different", ""), rows)
    screen = Screen()
    for check in checks:
        for line, usual, other in check.differences[:NUM_EXAMPLES]:
            text = f"{check.name}, line {pairs[line - 1][0]}:\n  usual: {usual}\n  now:   {other}"
            screen.print(text, soft_wrap=True)
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


def _pairs(model_dir: Path, source: str | None, target: str | None, limit: int) -> list[tuple[int, str, str]]:
    """Numbers of lines, and the lines with their translations; those without words are left out."""
    from nmt.core.text import read_lines
    from nmt.data.sources import FileText
    from nmt.extensions.interchange.check import read_samples

    if source is not None and target is not None:
        found = list(islice(FileText(Path(source), Path(target)), limit))
    elif source is not None:
        found = [(line, "") for line in islice(read_lines(source), limit)]
    else:
        found = [(line, "") for line in read_samples(model_dir)[:limit]]
        if not found and (model_dir / "recipe.yaml").exists():
            raise UserError(f"{model_dir} has no samples to translate.", "Name a file with source sentences.")
    return [(number, *pair) for number, pair in enumerate(found, start=1) if pair[0].strip()]
