"""``nmt inspect robustness``."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import AsJson, Device, ModelDir, command, names_in, say_wrote, show_json
from nmt.cli.evaluate import Metrics
from nmt.cli.inspect import Curves
from nmt.core.console import print_table, progress_bar
from nmt.core.errors import UserError


@command(
    "nmt inspect robustness runs/de-en test.de test.en",
    "nmt inspect robustness runs/de-en test.de test.en --metrics bleu,chrf,ter -o robustness.png --json",
    draws=True,
)
def robustness(
    model_dir: ModelDir,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Source text of a test set.")],
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Its translation, line by line.")],
    metrics: Metrics = "bleu,chrf",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the changes.")] = 1,
    output: Curves = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Score a test set with capitals, typing errors and noise.

    Each modifier of data.corpora that needs no word links changes all sentences of the test set: upper case, title
    case, no punctuation at the end, typing errors, noise in place of text, and joined sentences. The references are
    changed, too, except for typing errors.
    """
    from nmt.data.sources import FileText
    from nmt.extensions.augmentation.robustness import AS_IT_IS, draw_scores
    from nmt.extensions.augmentation.robustness import robustness as run
    from nmt.metrics.table import check_metrics, directed_name
    from nmt.plotting.style import suffix_of, write_figure
    from nmt.translation.load import load

    suffix_of(output)  # before the work
    names = names_in(metrics)
    check_metrics(names)
    pairs = list(FileText(source, reference))
    if not pairs:
        raise UserError(f"{source} is empty.", "Name a test set.")
    with progress_bar("translating", None) as bar:
        found = dict(bar.counted(run(load(model_dir, device), pairs, names, seed)))
    shown = {name.replace("_", " "): scores for name, scores in found.items()}
    if as_json:
        show_json({name: {each: score.to_json() for each, score in scores.items()} for name, scores in found.items()})
    else:
        rows = [(name, *(score.figure for score in scores.values())) for name, scores in shown.items()]
        print_table("", ("test set", *map(directed_name, names)), rows)
        for score in found[AS_IT_IS].values():
            typer.echo(score.signature)
    if output is not None:
        write_figure(draw_scores({name: scores[names[0]].score for name, scores in shown.items()}, names[0]), output)
        say_wrote(output)
