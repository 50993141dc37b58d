"""``nmt compare`` and ``nmt inspect lengths``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import AsJson, command, names_in, say_wrote, show_json
from nmt.cli.evaluate import METRICS, Metrics, References, Tokenize
from nmt.cli.inspect import Curves
from nmt.core.console import print_table, progress_bar, warn
from nmt.core.errors import UserError
from nmt.core.files import check_target
from nmt.core.output import STANDARD_STREAM, write_output
from nmt.core.text import check_standard_input

Source = Annotated[
    str | None,
    typer.Option("--source", "-s", metavar="FILE", help="The source text; lengths are then those of its sentences."),
]
Buckets = Annotated[str, typer.Option(metavar="N,N,…", help="Longest length of each bucket but the last.")]
BUCKETS = "5,10,15,20,30,40,60"


def limits_of(buckets: str) -> list[int]:
    """The numbers of ``--buckets``."""
    names = names_in(buckets)
    limits = [int(name) for name in names if name.isdecimal()]
    if not names or [*map(str, sorted({0, *limits})[1:])] != names:
        raise UserError(f"--buckets: {buckets!r} isn't a list of rising numbers.", "Write, for example, 10,20,30.")
    return limits


@dataclass(frozen=True)
class ComparedSystems:
    """Options of ``nmt compare``."""

    reference: References = None
    source: Source = None
    train: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Training text of the target side, in which words are counted.",
            show_default="REFERENCE",
        ),
    ] = None
    samples: Annotated[int, typer.Option(metavar="N", min=40, max=1_000_000, help="Trials of the test.")] = 10_000
    metrics: Metrics = METRICS
    sentences: Annotated[
        int, typer.Option(metavar="N", min=0, help="Sentences shown that got better, or worse, most.")
    ] = 5
    sentences_by: Annotated[str, typer.Option(metavar="NAME", help="The sentence metric that selects them.")] = "chrf"
    buckets: Buckets = BUCKETS
    tokenize: Tokenize = None
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write one self-contained page too.")] = None
    as_json: AsJson = False


@command(
    "nmt compare A.en B.en -r test.en -s test.de --html compare.html",
    "nmt compare A.en B.en C.en -r test.en --train train.en",
    "nmt compare A.en B.en -r test.en --json",
)
def compare(
    options: ComparedSystems,
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="SYSTEM", help="Translations of two systems or more, a line each; all are compared with the first."
        ),
    ],
) -> None:
    """Compare systems: scores, tests, and where they differ.

    The systems translate the same text. The report has scores with a paired test and the 95 % interval of the
    difference, scores by length, accuracy of rare words, n-grams gained and lost, and the sentences that changed the
    most. SACREBLEU_SEED sets another seed.
    """
    from nmt.evaluation.scores import read_test_set
    from nmt.extensions.comparison.compare import compare as run
    from nmt.extensions.comparison.report import print_comparison, to_html

    files = [*systems, *(options.reference or []), options.source or "", options.train or ""]
    check_standard_input(*files)
    if options.html is not None and str(options.html) != STANDARD_STREAM:
        check_target(options.html, *files)  # before the work
    with progress_bar("comparing", None):
        found = run(
            read_test_set(systems, options.reference or [], options.source),
            options.train,
            names_in(options.metrics),
            options.samples,
            options.sentences_by,
            options.sentences,
            options.tokenize,
            limits_of(options.buckets),
        )
    if options.as_json:
        show_json(found)
    else:
        print_comparison(found)
    for warning in found["warnings"]:
        warn(warning)
    if options.html is not None:
        write_output(options.html, to_html(found))
        say_wrote(options.html)


@command(
    "nmt inspect lengths A.en B.en -r test.en -s test.de -o lengths.png",
    "nmt inspect lengths A.en -r test.en --metric chrf --buckets 10,20,30",
    draws=True,
)
def lengths(
    systems: Annotated[list[str], typer.Argument(metavar="SYSTEM", help="Translations, a line each.")],
    reference: References = None,
    source: Source = None,
    metric: Annotated[str, typer.Option(metavar="NAME", help="The metric: bleu, chrf, ter or a plugin's.")] = "bleu",
    buckets: Buckets = BUCKETS,
    tokenize: Tokenize = None,
    output: Curves = None,
    as_json: AsJson = False,
) -> None:
    """Show scores by sentence length, as a table and a picture.

    They show whether a system gets worse on long sentences. Lengths count the words of the source or, without one, of
    the reference.
    """
    from nmt.evaluation.scores import read_test_set
    from nmt.extensions.comparison.compare import scores_by_length
    from nmt.extensions.comparison.report import length_table
    from nmt.metrics.table import METRICS as TABLE
    from nmt.plotting.style import suffix_of, write_figure

    suffix_of(output)  # before the work
    limits, test_set = limits_of(buckets), read_test_set(systems, reference or [], source)
    found = scores_by_length(metric, test_set, limits, tokenize)
    rows, signature = found["rows"], found["signature"]
    if as_json:
        show_json({"metric": metric, "signature": signature, "lengths": rows})
    else:
        print_table(*length_table(rows, metric))
        if signature != TABLE[metric].name:
            typer.echo(signature)
    if output is not None:
        from nmt.extensions.comparison.pictures import draw_lengths

        write_figure(draw_lengths(rows, metric, test_set.measured_by, signature), output)
        say_wrote(output)
