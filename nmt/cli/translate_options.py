"""The options of ``nmt translate`` that are no keys of a recipe."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Input = Annotated[
    str, typer.Option("--input", "-i", metavar="FILE", help="File to read (.gz too); - is standard input.")
]
NBest = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="Candidates of each line: with tabs between in text, a list in jsonl; at most the beam size.",
    ),
]
InputFormat = Annotated[
    Literal["text", "jsonl"],
    typer.Option(
        help="jsonl: an object a line with source and, for its translation, prefix and must_contain: what it "
        "begins with, and a list of phrases that it contains."
    ),
]
Format = Annotated[
    Literal["text", "jsonl"],
    typer.Option(help="text, or a JSON object a line, with scores, tokens, candidates and word alignment."),
]
Scores = Annotated[bool, typer.Option("--scores", help="Put its score and a tab before each candidate.")]
ScoreOnly = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--score-only",
        metavar="SOURCE TARGET",
        help="Translate nothing: say how probable the lines of TARGET are as translations of those of SOURCE.",
    ),
]
Precision = Annotated[
    Literal["fp32", "bf16", "fp16", "auto"],
    typer.Option(help="Precision of matrix products; with bf16 and fp16 a translation can depend on its batch."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a run that was stopped, after the lines in FILE.partial.")
]
Interactive = Annotated[bool, typer.Option("--interactive", help="Ask for a sentence, answer, and ask again.")]
Ensemble = Annotated[
    list[Path] | None,
    typer.Option(
        "--ensemble",
        metavar="MODEL_DIR",
        help="Another model whose probabilities are averaged in; may be repeated. Its vocabulary must be the same.",
    ),
]
Forbid = Annotated[
    list[str] | None,
    typer.Option("--forbid", metavar="PHRASE", help="A phrase that no translation contains; may be repeated."),
]
ReplaceUnknown = Annotated[
    bool,
    typer.Option(
        "--replace-unknown", help="Replace an unknown word by the source word with the highest attention weight."
    ),
]
UnknownLexicon = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --replace-unknown: lines of a source word, a tab and its translation; others are copied.",
    ),
]
LogitsProcessors = Annotated[
    list[str] | None,
    typer.Option(
        "--logits-processor",
        metavar="YAML",
        help="A logits processor with its options, such as 'no_repeat_ngram: {size: 3}'; may be repeated.",
        show_default="from the recipe",
    ),
]
