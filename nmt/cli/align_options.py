"""The options of ``nmt align``: what is aligned, how links are chosen, and how they are shown."""

from pathlib import Path
from typing import Annotated, Literal

import typer

TextFormat = Literal["pharaoh", "json"]
AlignmentFormat = Literal["pharaoh", "json", "png", "svg", "pdf", "html"]
PICTURES = ("png", "svg", "pdf")
MAX_PICTURES = 20
MAX_IN_PAGE = 1000

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="Source text, a sentence a line.")]
Target = Annotated[str | None, typer.Argument(metavar="TARGET", help="Its translation; the model's own if left out.")]
Format = Annotated[
    AlignmentFormat | None,
    typer.Option(
        help="pharaoh: links i-j of source and target word, counted from 0; json: words, links, weights and "
        "score, an object a line; a picture a sentence pair (pdf: a page); or html: one page to look around in.",
        show_default="by the name of the output, else pharaoh",
    ),
]
PictureOutput = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File to write; - is standard output. Many pictures are numbered: links-0001.png ….",
    ),
]
Tokenized = Annotated[
    bool, typer.Option("--tokenized", help="The text is tokenised (punctuation apart); links count its tokens.")
]
SplitPunctuation = Annotated[
    bool, typer.Option("--split-punctuation", help="In raw text, count punctuation marks as words of their own.")
]
Reverse = Annotated[
    Path | None,
    typer.Option(metavar="MODEL_DIR", help="A model of the other direction: links are what both agree on."),
]
Symmetrize = Annotated[
    Literal["none", "intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"],
    typer.Option(
        metavar="HOW",
        help="How the choices of target and of source words are made one: intersection, union, grow-diag, "
        "grow-diag-final or grow-diag-final-and; none: those of target words alone.",
    ),
]
WithLexicon = Annotated[
    bool,
    typer.Option(
        "--lexicon/--no-lexicon", help="Weigh the attention with the lexicon of `nmt learn-alignment`, if any."
    ),
]
Method = Annotated[
    Literal["argmax", "threshold"],
    typer.Option(
        help="argmax: each word links to the one it attends to most, after words have competed; threshold: all "
        "weights from the threshold on."
    ),
]
Threshold = Annotated[
    float, typer.Option(metavar="X", min=0.001, max=1, help="Least weight of a link, with --method threshold.")
]
Grid = Annotated[
    bool,
    typer.Option(
        "--grid",
        help="In pictures, every attention head by itself: a row a layer; framed those that links are from.",
    ),
]
Numbers = Annotated[bool, typer.Option("--numbers", help="Write the weights into the cells of pictures.")]
Gold = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="True links to show in pictures and pages: i-j sure, i?j possible."),
]
Candidates = Annotated[
    int, typer.Option(metavar="N", min=1, help="In a page without a TARGET: candidates of each sentence.")
]
Limit = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Only so many pairs, the first ones.",
        show_default=f"all; the first {MAX_PICTURES} in pictures, {MAX_IN_PAGE:,} in a page",
    ),
]
