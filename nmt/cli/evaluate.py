"""``nmt score`` and ``nmt compare``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.cli.common import AsJson, Plugins, Quiet, app, examples

if TYPE_CHECKING:
    from nmt.evaluation.metrics import Score

Metrics = Annotated[
    str, typer.Option(metavar="NAMES", help="Metrics with commas between: bleu, chrf, ter or those of plugins.")
]
References = Annotated[
    list[str] | None,
    typer.Option("--reference", "-r", metavar="FILE", help="Reference translations, a line each; may be repeated."),
]
Source = Annotated[
    str | None,
    typer.Option("--source", "-s", metavar="FILE", help="The source text; lengths are then those of its sentences."),
]
Tokenize = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="sacreBLEU's tokenizer for BLEU: zh, ja-mecab, ko-mecab, char …", show_default="13a"
    ),
]
Buckets = Annotated[str, typer.Option(metavar="N,N,…", help="Longest length of each bucket but the last.")]
BUCKETS = "5,10,15,20,30,40,60"


def split_names(names: str) -> list[str]:
    """The names of a list with commas between."""
    return [name.strip() for name in names.split(",") if name.strip()]


def limits_of(buckets: str) -> list[int]:
    """The numbers of ``--buckets``."""
    from nmt.errors import UserError

    numbers = split_names(buckets)
    limits = [int(number) for number in numbers if number.isdecimal()]
    if not numbers or len(limits) < len(numbers) or limits != sorted({0, *limits})[1:]:
        raise UserError(f"--buckets: {buckets!r} isn't a list of rising numbers.", "Write, for example, 10,20,30.")
    return limits


@app.command(
    short_help="BLEU, chrF, TER and other metrics of translations.",
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
            help="Reference translations, a line each. With -r: translations of more systems.",
            show_default=False,
        ),
    ] = None,
    reference: References = None,
    source: Annotated[
        str | None, typer.Option("--source", "-s", metavar="FILE", help="The source text, for metrics that need it.")
    ] = None,
    metrics: Metrics = "bleu,chrf,ter",
    tokenize: Tokenize = None,
    confidence: Annotated[bool, typer.Option("--confidence", help="95 % confidence intervals by bootstrap.")] = False,
    resamples: Annotated[int, typer.Option(metavar="N", min=2, help="Samples of the bootstrap.")] = 1000,
    as_json: AsJson = False,
    plugin: Plugins = None,
) -> None:
    """BLEU, chrF and TER of detokenised translations, by sacreBLEU and with its signatures; and metrics of plugins.

    BLEU and chrF are case-sensitive; TER, as sacreBLEU defines it, is not. For TER, less is better.
    `nmt compare` tests whether one system is better than another.
    """
    from nmt.console import warn
    from nmt.errors import UserError
    from nmt.evaluation.compare import read_test_set
    from nmt.evaluation.degenerate import count_degenerate
    from nmt.evaluation.metrics import check_metrics, score_corpus

    names = split_names(metrics)
    check_metrics(names, source is not None)
    files = [hypothesis, *(others or [])]
    if not reference:
        if len(files) != 2:
            raise UserError(
                f"{len(files)} file{'s' if len(files) > 1 else ''}, but nothing says which is the reference.",
                "Give HYPOTHESIS REFERENCE, or any number of translations with -r REFERENCE.",
            )
        files, reference = files[:1], files[1:]
    test_set = read_test_set(files, reference, source)
    references, sources = test_set.references, test_set.source
    num_resamples = resamples if confidence else 0
    found = {
        system: score_corpus(texts, references, names, tokenize, num_resamples, sources)
        for system, texts in test_set.systems.items()
    }
    if as_json:
        objects = [{name: s.to_json() for name, s in scores.items()} for scores in found.values()]
        typer.echo(json.dumps(objects[0] if len(files) == 1 else dict(zip(files, objects, strict=True))))
    else:
        _show(found)
    for system, texts in test_set.systems.items():
        if summary := count_degenerate(texts, sources, references[0]).summary():
            warn(f"{system}: {summary}.")


def _show(found: "dict[str, dict[str, Score]]") -> None:
    """One system in lines; several as a table with a row each and the signatures below."""
    from nmt.console import print_table
    from nmt.evaluation.metrics import directed_name

    first, *others = found.values()
    if not others:
        for s in first.values():
            typer.echo(f"{s.line}\n    {s.signature}")
        return
    rows = [[system, *(s.figure for s in scores.values())] for system, scores in found.items()]
    print_table("", ["system", *map(directed_name, first)], rows)
    if any(s.confidence for s in first.values()):
        typer.echo("score (μ = mean of the samples ± half of the 95 % interval)")
    for s in first.values():
        typer.echo(f"{s.name}: {s.signature}")


@app.command(
    short_help="Is B better than A? Scores, tests, and where they differ.",
    epilog=examples(
        "nmt compare A.en B.en -r test.en -s test.de --html compare.html",
        "nmt compare A.en B.en C.en -r test.en --train train.en",
        "nmt compare A.en B.en -r test.en --test bootstrap --json",
    ),
)
def compare(
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="SYSTEM",
            help="Translations of two systems or more, a line each; all are compared with the first.",
            show_default=False,
        ),
    ],
    reference: References = None,
    source: Source = None,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Training text of the target side, in which words are counted.",
            show_default="REFERENCE",
        ),
    ] = None,
    test: Annotated[
        Literal["randomisation", "bootstrap"], typer.Option(help="Paired approximate randomisation or bootstrap.")
    ] = "randomisation",
    samples: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=40, help="Trials or samples of the test.", show_default="10000 or, for bootstrap, 1000"
        ),
    ] = None,
    metrics: Metrics = "bleu,chrf,ter",
    sentences: Annotated[
        int, typer.Option(metavar="N", min=0, help="Sentences shown that got better, and worse, the most.")
    ] = 5,
    sentences_by: Annotated[
        str, typer.Option(metavar="NAME", help="The metric of single sentences that selects these sentences.")
    ] = "chrf",
    buckets: Buckets = BUCKETS,
    tokenize: Tokenize = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one self-contained page too.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Compare translations of the same text: is B better than A, by how much, where, and may it be chance?

    Scores with a paired test and the 95 % interval of the difference, scores by length, accuracy of rare words,
    n-grams gained and lost, and the sentences that changed the most. SACREBLEU_SEED sets another seed.
    """
    from nmt.console import say, warn
    from nmt.evaluation.compare import Options, read_test_set
    from nmt.evaluation.compare import compare as run
    from nmt.evaluation.compare_report import print_comparison, to_html
    from nmt.files import open_output

    options = Options(tuple(split_names(metrics)), test, samples, sentences_by, sentences, tokenize, limits_of(buckets))
    found = run(read_test_set(systems, reference or [], source), options, train)
    if html is not None:
        with open_output(html) as file:
            file.write(to_html(found))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        print_comparison(found)
    for warning in found["warnings"]:
        warn(warning)
    if html is not None:
        say(f"wrote {html}")
