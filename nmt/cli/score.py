"""``nmt score``."""

import json
from typing import Annotated

import typer

from nmt.cli.common import AsJson, app, examples


@app.command(
    short_help="BLEU, chrF and TER of translations.",
    epilog=examples(
        "nmt score test.translated.en test.en", "nmt translate runs/de-en -i test.de | nmt score - test.en"
    ),
)
def score(
    hypothesis: Annotated[
        str, typer.Argument(metavar="HYPOTHESIS", help="Translations, a line each; - is standard input.")
    ],
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="What they should be, a line each.")],
    metrics: Annotated[
        str, typer.Option(metavar="NAMES", help="Some of bleu, chrf and ter, with commas between.")
    ] = "bleu,chrf,ter",
    as_json: AsJson = False,
) -> None:
    """BLEU, chrF and TER of detokenised translations, by sacreBLEU and with its signatures.

    BLEU and chrF mind upper and lower case; TER, as sacreBLEU defines it, does not. For TER, less is better.
    """
    from nmt.evaluation.scores import score_files

    found = score_files(hypothesis, reference, [name.strip() for name in metrics.split(",") if name.strip()])
    if as_json:
        shown = {name: {"score": round(s.score, 4), "signature": s.signature} for name, s in found.items()}
        typer.echo(json.dumps(shown))
    else:
        for s in found.values():
            typer.echo(f"{s.details}\n    {s.signature}")
