"""``nmt aer``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import AsJson, app, examples


@app.command(
    epilog=examples("nmt aer links.pharaoh gold.pharaoh", "nmt aer links.pharaoh gold.sure --possible gold.possible")
)
def aer(
    links: Annotated[Path, typer.Argument(metavar="LINKS", help="Pharaoh links, a line a sentence pair.")],
    gold: Annotated[Path, typer.Argument(metavar="GOLD", help="True links: i-j is sure, i?j possible.")],
    possible: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Possible links in a file of their own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Alignment error rate, precision and recall (Och & Ney 2003)."""
    from dataclasses import asdict

    from nmt.alignment.aer import index_warning, score_files
    from nmt.console import warn

    found = score_files(links, gold, possible)
    warning = index_warning(links, gold, possible)
    if warning is not None:
        warn(warning)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        typer.echo(f"AER {found.aer:.4f}  precision {found.precision:.4f}  recall {found.recall:.4f}")
        counts = f"{found.num_links} links, {found.num_sure} sure, {found.num_possible} possible"
        typer.echo(f"    {counts}, {found.num_sentences} pairs")
