"""``nmt align``."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmt.cli.common import AttentionStep, Device, Heads, ModelDir, Quiet, app, examples, on_screen

if TYPE_CHECKING:
    from nmt.alignment.links import WordAlignment
    from nmt.console import Bar
    from nmt.decoding.translator import Translator

TextFormat = Literal["pharaoh", "json"]
AlignmentFormat = Literal["pharaoh", "json", "png", "svg", "pdf"]
Symmetrize = Literal["none", "intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
PICTURES = ("png", "svg", "pdf")
MAX_PICTURES = 20


@app.command(
    epilog=examples(
        "nmt align runs/de-en test.de test.en > links.pharaoh",
        "nmt align runs/de-en test.de test.en -o links.png --limit 10",
        "nmt align runs/de-en test.tok.de test.tok.en --tokenized -o links.pharaoh",
        "nmt align runs/de-en test.de test.en --reverse runs/en-de --split-punctuation",
    )
)
def align(
    model_dir: ModelDir,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Source text, a sentence a line.")],
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="Its translation; the model's own if left out.")
    ] = None,
    format: Annotated[
        AlignmentFormat | None,
        typer.Option(
            help="pharaoh: links i-j of source and target word, counted from 0; json: words, links, weights and "
            "score, an object a line; or a picture a sentence pair (pdf: a page).",
            show_default="by the name of the output, else pharaoh",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write; - is standard output. Many pictures are numbered: links-0001.png ….",
        ),
    ] = "-",
    tokenized: Annotated[
        bool, typer.Option("--tokenized", help="The text is tokenised (punctuation apart); links count its tokens.")
    ] = False,
    split_punctuation: Annotated[
        bool, typer.Option("--split-punctuation", help="In raw text, count punctuation marks as words of their own.")
    ] = False,
    reverse: Annotated[
        Path | None,
        typer.Option(metavar="MODEL_DIR", help="A model of the other direction: links are what both agree on."),
    ] = None,
    symmetrize: Annotated[
        Symmetrize,
        typer.Option(help="How the choices of target and of source words are made one; none: of target words alone."),
    ] = "grow-diag",
    lexicon: Annotated[
        bool,
        typer.Option(
            "--lexicon/--no-lexicon", help="Weigh the attention with the lexicon of `nmt learn-alignment`, if any."
        ),
    ] = True,
    heads: Heads = None,
    attention: AttentionStep = None,
    method: Annotated[
        Literal["argmax", "threshold"],
        typer.Option(
            help="argmax: each word links to the one it attends to most, after words have competed; threshold: all "
            "weights from the threshold on."
        ),
    ] = "argmax",
    threshold: Annotated[
        float, typer.Option(metavar="X", min=0, max=1, help="Least weight of a link, with --method threshold.")
    ] = 0.3,
    numbers: Annotated[bool, typer.Option("--numbers", help="Write the weights into the cells of pictures.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Only so many pairs, the first ones.",
            show_default=f"all; the first {MAX_PICTURES} in pictures",
        ),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Word alignments of sentence pairs, from the model's attention."""
    from nmt.alignment.heads import AlignmentHeads
    from nmt.console import progress_bar
    from nmt.decoding.translator import load
    from nmt.errors import UserError

    kind = format or _format_of(output)
    if kind in PICTURES and output == "-":
        raise UserError(f"A {kind} picture needs a file.", f"Give -o links.{kind}.")
    if tokenized and target is None:
        raise UserError("With --tokenized a TARGET is needed: the model's own output isn't tokenised.", "Name one.")
    translator = load(model_dir, device)
    if heads is not None or attention is not None:
        translator.heads = AlignmentHeads.of(translator.model.decoder, heads, attention)
    backward = load(reverse, device) if reverse is not None else None
    if not lexicon:
        translator.lexicon = None
        if backward is not None:
            backward.lexicon = None
    options: dict[str, Any] = {"method": method, "threshold": threshold, "symmetrize": symmetrize}
    pairs = islice(_pairs(translator, source, target), limit or (MAX_PICTURES if kind in PICTURES else None))
    with progress_bar("aligning", limit, not on_screen(output)) as bar:
        found = translator.align(pairs, tokenized, split_punctuation=split_punctuation, reverse=backward, **options)
        alignments = _counted(found, bar)
        if kind == "pharaoh" or kind == "json":
            _write(alignments, kind, output)
        else:
            _draw(alignments, _picture(output, kind), numbers)


def _format_of(output: str) -> AlignmentFormat:
    known: dict[str, AlignmentFormat] = {".json": "json", ".jsonl": "json", ".png": "png", ".svg": "svg", ".pdf": "pdf"}
    return known.get(Path(output).suffix.lower(), "pharaoh")


def _picture(output: str, kind: str) -> Path:
    """The file to draw into: the suffix of a picture follows the format, other names get one."""
    path = Path(output)
    is_picture = path.suffix.lower().removeprefix(".") in PICTURES
    return path.with_suffix(f".{kind}") if is_picture else path.with_name(f"{path.name}.{kind}")


def _pairs(translator: "Translator", source: str, target: str | None) -> Iterator[tuple[str, str]]:
    """Source lines with the given target, or with the model's own translation."""
    if target is None:
        from nmt.data.text import read_lines

        return ((t.source, t.text) for t in translator.stream(read_lines(source)))
    from nmt.data.corpus import FileText

    return iter(FileText(Path(source), Path(target)))


def _counted(alignments: "Iterator[WordAlignment]", bar: "Bar") -> "Iterator[WordAlignment]":
    for alignment in alignments:
        yield alignment
        bar.advance()


def _write(alignments: "Iterator[WordAlignment]", kind: TextFormat, output: str) -> None:
    from nmt.alignment.formats import write_alignments
    from nmt.data.text import open_output

    with open_output(output) as file:
        write_alignments(alignments, kind, file)


def _draw(alignments: "Iterator[WordAlignment]", path: Path, numbers: bool) -> None:
    from nmt.alignment.plots import plot_alignments
    from nmt.console import say

    written = plot_alignments(alignments, path, numbers=numbers)
    say(f"wrote {written[0]}" + (f" to {written[-1].name}" if len(written) > 1 else ""))
