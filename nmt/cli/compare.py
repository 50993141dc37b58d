"""``nmt compare``."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt.cli.common import AsJson, Plugins, Quiet, app, examples
from nmt.cli.score import Metrics, References, Tokenize, split_names

Source = Annotated[
    str | None,
    typer.Option("--source", "-s", metavar="FILE", help="What was translated; lengths are then those of the source."),
]
Buckets = Annotated[
    str | None,
    typer.Option(
        metavar="N,N,…", help="Longest length of each bucket but the last.", show_default="chosen from the text"
    ),
]
Systems = Annotated[
    list[str],
    typer.Argument(
        metavar="SYSTEM",
        help="Translations of two systems or more, a line each; all are compared with the first.",
        show_default=False,
    ),
]
TrainingText = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Training text of the target side, to tell rare words by.", show_default="REFERENCE"
    ),
]
Test = Annotated[
    Literal["randomisation", "bootstrap"],
    typer.Option(help="Paired approximate randomisation, or paired bootstrap."),
]
Samples = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=40, help="Trials or samples of the test.", show_default="10000 or, for bootstrap, 1000"
    ),
]
Sentences = Annotated[
    int, typer.Option(metavar="N", min=0, help="Sentences shown that got better, and worse, the most.")
]
SentencesBy = Annotated[
    str, typer.Option(metavar="NAME", help="The metric of single sentences that selects these sentences.")
]
Html = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write one self-contained page too.", show_default=False)
]


def limits_of(buckets: str | None) -> list[int] | None:
    """The numbers of ``--buckets``."""
    from nmt.errors import UserError

    if buckets is None:
        return None
    try:
        return [int(number) for number in split_names(buckets)]
    except ValueError:
        raise UserError(f"--buckets: {buckets!r} isn't a list of numbers.", "Write, for example, 10,20,30.") from None


@app.command(
    short_help="Is B better than A? Scores, tests, and where they differ.",
    epilog=examples(
        "nmt compare A.en B.en -r test.en -s test.de --html compare.html",
        "nmt compare A.en B.en C.en -r test.en --train train.en",
        "nmt compare A.en B.en -r test.en --test bootstrap --json",
    ),
)
def compare(
    systems: Systems,
    reference: References = None,
    source: Source = None,
    train: TrainingText = None,
    test: Test = "randomisation",
    samples: Samples = None,
    metrics: Metrics = "bleu,chrf,ter",
    sentences: Sentences = 5,
    sentences_by: SentencesBy = "chrf",
    buckets: Buckets = None,
    tokenize: Tokenize = None,
    html: Html = None,
    as_json: AsJson = False,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Compare translations of the same text: is B better than A, by how much, where, and may it be chance?

    BLEU, chrF and TER with a paired test and the 95 % interval of the difference, scores by length, accuracy of rare
    words, n-grams gained and lost, and the sentences that changed the most. SACREBLEU_SEED sets another seed.
    """
    from nmt.console import say, warn
    from nmt.evaluation.compare import Options, read_test_set
    from nmt.evaluation.compare import compare as run
    from nmt.evaluation.compare_report import print_comparison, to_html, to_json
    from nmt.files import open_output

    options = Options(tuple(split_names(metrics)), test, samples, sentences_by, sentences, tokenize, limits_of(buckets))
    comparison = run(read_test_set(systems, reference or [], source), options, train)
    if html is not None:
        with open_output(html) as file:
            file.write(to_html(comparison))
    if as_json:
        typer.echo(json.dumps(to_json(comparison), ensure_ascii=False))
    else:
        print_comparison(comparison)
    for name, count in comparison.degenerate.items():
        if count.num_degenerate:
            warn(f"{name}: {count.summary()}.")
    if html is not None:
        say(f"wrote {html}")
