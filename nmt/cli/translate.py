"""``nmt translate``."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.cli.common import Device, ModelDir, Output, Quiet, app, examples, is_terminal, on_screen

if TYPE_CHECKING:
    from nmt.decoding.results import ScoredPair, Translation
    from nmt.decoding.translator import Translator


@app.command(
    short_help="Translate lines of text: N lines in, N lines out.",
    epilog=examples(
        "nmt translate runs/de-en -i test.de -o test.en",
        'echo "Ein Hund schläft." | nmt translate runs/de-en --n-best 3 --scores',
        "nmt translate runs/de-en -i test.de -o test.jsonl --format jsonl",
        "nmt translate runs/de-en --score-only test.de test.en",
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
    score_only: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--score-only",
            metavar="SOURCE TARGET",
            help="Translate nothing: say how probable the lines of TARGET are as translations of those of SOURCE.",
        ),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Translate lines of text: N lines in, N lines out, in the same order.

    An empty line stays empty. A score is a log-probability divided by the length penalty; 0 is best.
    """
    from nmt.console import progress_bar, say
    from nmt.data.text import open_output, read_lines
    from nmt.decoding.translator import load
    from nmt.errors import UserError

    translator = load(model_dir, device)
    if score_only:
        if input != "-":
            raise UserError("--score-only names its input itself.", "Leave --input out.")
        options = {"batch_size": batch_size, "length_penalty": length_penalty, "alpha": alpha}
        _score(translator, score_only, output, format, options)
        return
    typed = input == "-" and is_terminal(sys.stdin)
    if typed:
        say("Type a sentence and Enter; Ctrl-D ends.")
    visible = not (typed or on_screen(output))
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


def _score(
    translator: "Translator", files: tuple[str, str], output: str, format: str, options: Mapping[str, object]
) -> None:
    from nmt.console import progress_bar
    from nmt.data.corpus import FileText
    from nmt.data.text import open_output

    pairs = FileText(*map(Path, files))
    with progress_bar("scoring", None, not on_screen(output)) as bar, open_output(output) as file:
        for pair in translator.score(pairs, bar.advance, **options):
            file.write(_jsonl(pair) if format == "jsonl" else _scored_text(pair))


def _scored_text(pair: "ScoredPair") -> str:
    return f"{'nan' if pair.score is None else format(pair.score, '.4f')}\t{pair.target}\n"


def _jsonl(result: "Translation | ScoredPair") -> str:
    from nmt.alignment.formats import json_line

    return json_line(result.to_json()) + "\n"


def _text(translation: "Translation", scores: bool) -> str:
    shown = [f"{c.score:.4f}\t{c.text}" if scores else c.text for c in translation.n_best]
    return "\t".join(shown) + "\n"
