"""``nmt score``."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.common import AsJson, Plugins, app, examples

if TYPE_CHECKING:
    from nmt.evaluation.metrics import Score

Metrics = Annotated[str, typer.Option(metavar="NAMES", help="Some of bleu, chrf and ter, with commas between.")]
References = Annotated[
    list[str] | None,
    typer.Option("--reference", "-r", metavar="FILE", help="What they should be, a line each; may be repeated."),
]
Tokenize = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="sacreBLEU's tokenizer for BLEU: zh, ja-mecab, ko-mecab, char …", show_default="13a"
    ),
]


def split_names(names: str) -> list[str]:
    """What stands between commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


@app.command(
    short_help="BLEU, chrF and TER of translations.",
    epilog=examples(
        "nmt score test.translated.en test.en",
        "nmt translate runs/de-en -i test.de | nmt score - test.en",
        "nmt score A.en B.en -r test1.en -r test2.en --confidence",
    ),
)
def score(
    hypothesis: Annotated[
        str,
        typer.Argument(
            metavar="HYPOTHESIS", help="Translations, a line each; - is standard input.", show_default=False
        ),
    ],
    others: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REFERENCE",
            help="What they should be, a line each. With -r: translations of more systems.",
            show_default=False,
        ),
    ] = None,
    reference: References = None,
    metrics: Metrics = "bleu,chrf,ter",
    tokenize: Tokenize = None,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="95 % confidence intervals by sacreBLEU's bootstrap.")
    ] = False,
    resamples: Annotated[int, typer.Option(metavar="N", min=2, help="Samples of the bootstrap.")] = 1000,
    as_json: AsJson = False,
    plugin: Plugins = None,
) -> None:
    """BLEU, chrF and TER of detokenised translations, by sacreBLEU and with its signatures.

    BLEU and chrF mind upper and lower case; TER, as sacreBLEU defines it, does not. For TER, less is better.
    Whether one system is better than another, `nmt compare` tells.
    """
    from nmt.console import warn
    from nmt.errors import UserError
    from nmt.evaluation.degenerate import count_degenerate
    from nmt.evaluation.metrics import check_metrics, score_system
    from nmt.evaluation.texts import labels, read_aligned

    names = split_names(metrics)
    check_metrics(names)
    files = [hypothesis, *(others or [])]
    if not reference:
        if len(files) != 2:
            raise UserError(
                f"{len(files)} file{'s' if len(files) > 1 else ''}, but nothing says which is the reference.",
                "Give HYPOTHESIS REFERENCE, or any number of translations with -r REFERENCE.",
            )
        files, reference = files[:1], files[1:]
    systems = labels(files)
    texts = read_aligned([*files, *reference])
    translations, references = texts[: len(files)], texts[len(files) :]
    found = [score_system(t, references, names, tokenize, resamples if confidence else 0) for t in translations]
    if as_json:
        objects = [{name: s.to_json() for name, s in scores.items()} for scores in found]
        typer.echo(json.dumps(objects[0] if len(files) == 1 else dict(zip(files, objects, strict=True))))
    elif len(files) == 1:
        for s in found[0].values():
            c = s.confidence
            interval = f" (μ = {c.mean:.2f} ± {c.half_width:.2f})" if c else ""
            typer.echo(f"{s.name} = {s.score:.2f}{interval} {s.details}".rstrip() + f"\n    {s.signature}")
    else:
        _show(systems, found)
    for system, text in zip(systems, translations, strict=True):
        if summary := count_degenerate(text, references=references[0]).summary():
            warn(f"{system}: {summary}.")


def _show(systems: list[str], found: "list[dict[str, Score]]") -> None:
    """A table with a row for each system, the signatures below."""
    from nmt.console import print_table
    from nmt.evaluation.metrics import METRICS

    directions = {name: "" if METRICS[name].higher_is_better else " (less is better)" for name in found[0]}
    columns = ["system", *(s.name + directions[name] for name, s in found[0].items())]
    print_table("", columns, [[system, *map(_figure, s.values())] for system, s in zip(systems, found, strict=True)])
    if next(iter(found[0].values())).confidence is not None:
        typer.echo("score (mean of the samples ± half of the 95 % interval)")
    for s in found[0].values():
        typer.echo(f"{s.name}: {s.signature}")


def _figure(score: "Score") -> str:
    c = score.confidence
    return f"{score.score:.2f}" + (f" ({c.mean:.2f} ± {c.half_width:.2f})" if c else "")
