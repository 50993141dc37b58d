"""``nmt translate``."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.cli.common import Device, ModelDir, Output, Quiet, app, examples, is_terminal, on_screen

if TYPE_CHECKING:
    from nmt.decoding.translator import Translation


@app.command(
    short_help="Translate lines of text: N lines in, N lines out.",
    epilog=examples(
        "nmt translate runs/de-en -i test.de -o test.en",
        'echo "Ein Hund schläft." | nmt translate runs/de-en --n-best 3 --scores',
        "nmt translate runs/de-en -i test.de -o test.jsonl --format jsonl",
    ),
)
def translate(
    model_dir: ModelDir,
    input: Annotated[
        str, typer.Option("--input", "-i", metavar="FILE", help="File to read (.gz too); - is standard input.")
    ] = "-",
    output: Output = "-",
    beam_size: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Hypotheses kept; 1 is greedy search.", show_default="the recipe's"),
    ] = None,
    n_best: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Candidates of each line: with tabs between in text, a list in jsonl; at most the beam size.",
        ),
    ] = 1,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Sentences translated at once.", show_default="the recipe's")
    ] = None,
    length_penalty: Annotated[
        Literal["none", "average", "gnmt"] | None,
        typer.Option(help="What a log-probability is divided by.", show_default="the recipe's"),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(metavar="X", min=0, help="Strength of the length penalty.", show_default="the recipe's"),
    ] = None,
    format: Annotated[
        Literal["text", "jsonl"],
        typer.Option(help="text, or a JSON object a line, with scores, tokens, candidates and word alignment."),
    ] = "text",
    scores: Annotated[bool, typer.Option("--scores", help="Put its score and a tab before each candidate.")] = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Translate lines of text: N lines in, N lines out, in the same order.

    An empty line stays empty. A score is a log-probability divided by the length penalty; 0 is best.
    """
    from nmt.console import progress_bar, say, warn
    from nmt.data.text import open_output, read_lines
    from nmt.decoding.translator import load
    from nmt.evaluation.degenerate import DegenerateCount

    translator = load(model_dir, device)
    typed = input == "-" and is_terminal(sys.stdin)
    if typed:
        say("Type a sentence and Enter; Ctrl-D ends.")
    visible = not (typed or on_screen(output))
    degenerate = DegenerateCount()
    with progress_bar("translating", None, visible) as bar, open_output(output) as file:
        translations = translator.stream(
            read_lines(input),
            n_best,
            bar.advance,
            with_alignment=format == "jsonl",
            read_ahead=1 if typed else None,
            beam_size=beam_size,
            batch_size=batch_size,
            length_penalty=length_penalty,
            alpha=alpha,
        )
        for translation in translations:
            file.write(_jsonl(translation) if format == "jsonl" else _text(translation, scores))
            degenerate.add(translation.text, translation.source)
    if summary := degenerate.summary():
        (warn if degenerate.is_serious else say)(f"{summary}.")


def _jsonl(translation: "Translation") -> str:
    from nmt.alignment.formats import json_line

    return json_line(translation.to_json()) + "\n"


def _text(translation: "Translation", scores: bool) -> str:
    shown = [f"{c.score:.4f}\t{c.text}" if scores else c.text for c in translation.n_best]
    return "\t".join(shown) + "\n"
