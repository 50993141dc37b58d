"""``nmt inspect lengths``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import AsJson, Plugins, Quiet, examples
from nmt.cli.evaluate import Buckets, References, Source, Tokenize, limits_of
from nmt.cli.inspect import inspect_app


@inspect_app.command(
    short_help="Scores by sentence length, as table and picture.",
    epilog=examples(
        "nmt inspect lengths A.en B.en -r test.en -s test.de -o lengths.png",
        "nmt inspect lengths A.en -r test.en --metric chrf --buckets 10,20,30",
    ),
)
def lengths(
    systems: Annotated[
        list[str],
        typer.Argument(metavar="SYSTEM", help="Translations, a line each.", show_default=False),
    ],
    reference: References = None,
    source: Source = None,
    metric: Annotated[str, typer.Option(metavar="NAME", help="The metric: bleu, chrf, ter or a plugin's.")] = "bleu",
    buckets: Buckets = None,
    tokenize: Tokenize = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Draw it: .png, .svg or .pdf.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """BLEU, chrF or TER of the sentences of each length: does a system fall behind where sentences get long?

    Lengths count the words of the source or, without one, of the reference.
    """
    from nmt.console import say
    from nmt.evaluation.compare import length_scores, read_test_set
    from nmt.evaluation.compare_report import length_table, print_figures
    from nmt.evaluation.metrics import check_metrics
    from nmt.plotting.style import suffix_of, write_figure

    if output is not None:
        suffix_of(output)  # before the work
    check_metrics([metric], source is not None)
    test_set = read_test_set(systems, reference or [], source, least=1)
    statistics = test_set.statistics(metric, tokenize)
    rows = length_scores(test_set, [statistics], limits_of(buckets))
    signature = statistics.metric.signature
    if output is not None:
        from nmt.plotting.curves import draw_lengths

        scores = {system: [row.scores[metric][system] for row in rows] for system in statistics.systems}
        num_sentences = {row.bucket.label: len(row.bucket.sentences) for row in rows}
        x_label = f"words of the {test_set.measured_by}"
        y_label = statistics.metric.name + ("" if statistics.metric.higher_is_better else " (less is better)")
        write_figure(draw_lengths(scores, num_sentences, x_label, y_label, signature), output)
    if as_json:
        found = {"metric": metric, "signature": signature, "lengths": [row.to_json() for row in rows]}
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        print_figures(length_table(rows, metric))
        typer.echo(signature)
    if output is not None:
        say(f"wrote {output}")
