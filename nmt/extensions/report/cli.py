"""``nmt report``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import Device, command, names_in, say_wrote


@dataclass(frozen=True)
class ReportOptions:
    """Options of ``nmt report``."""

    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Page to write.")] = Path("report.html")
    test: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="SOURCE REFERENCE", help="A test set.", show_default="the recipe's validation text"),
    ] = None
    metrics: Annotated[
        str, typer.Option(metavar="NAMES", help="Metrics; the first ranks sentences.", show_default="chrf++, bleu, ter")
    ] = ""
    sentences: Annotated[int, typer.Option(metavar="N", min=0, help="Best and worst sentences to show.")] = 5
    changed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Sentences to translate with changed case and noise; 0 for none.")
    ] = 200


@command(
    "nmt report runs/de-en --test test.de test.en -o report.html",
    "nmt report runs/seed-1 runs/seed-2 runs/seed-3 --test test.de test.en",
)
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Model directories of one system, one per seed.")],
    options: ReportOptions,
    device: Device = "auto",
) -> None:
    """Write a report of training runs for a reviewer.

    The runs translate the test set as their recipes say. The page has scores with signatures and intervals, their
    spread over the runs, the overlap of test set and training text, scores by length and with changed case and noise,
    the search, time, machine, memory and curves of training, and the best and worst sentences. It warns where scores
    look better than they are. It is one file that needs no network.
    """
    from nmt.core.console import progress_bar
    from nmt.core.output import open_output
    from nmt.extensions.report.report import make_report

    names, shown = names_in(options.metrics), (options.sentences, options.changed)
    with open_output(options.output, *(options.test or ())) as file, progress_bar("report", None) as bar:
        file.write(make_report(runs, options.test, names, *shown, device, lambda work: bar.update(0, work)))
    say_wrote(options.output)
