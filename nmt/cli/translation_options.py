"""Options of ``nmt translate``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

NBest = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="Candidates of each line, at most the beam size: separated by tabs in text, a list in jsonl.",
    ),
]
Document = Annotated[
    str | None, typer.Argument(metavar="FILE", help="Text or a document to translate, as --input.", show_default=False)
]
InputFormat = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="text: lines; jsonl: an object per line with source and optionally prefix, with which the translation "
        "begins, and must_contain, a list of phrases in it; otherwise the ending of a document format: html, po, docx "
        "and so on.",
        show_default="by the ending of FILE; else text",
    ),
]
Format = Annotated[
    Literal["text", "jsonl"],
    typer.Option(help="text, or a JSON object per line with scores, tokens, candidates and word alignment."),
]
Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="With --format jsonl: a field problems names the numbers, URLs, tags and placeholders that a translation "
        "has lost or added, source words that no word covers, words that the model does not support, loops, copies and "
        "letters of another script.",
    ),
]
Repair = Annotated[
    bool,
    typer.Option(
        "--repair",
        help="Check translations, search again where there are problems, and keep the candidate with the fewest; jsonl "
        "has the fields problems and repaired.",
    ),
]
Confidence = Annotated[
    bool,
    typer.Option(
        "--confidence",
        help="With --format jsonl: fields confidence and word_confidences, the probabilities that the translation and "
        "each word are acceptable. `nmt calibrate` must have been run.",
    ),
]
Abstain = Annotated[
    float | None,
    typer.Option(
        metavar="P",
        min=0,
        max=1,
        help="Leave a translation empty if its confidence is below P; jsonl has it in n_best still, and "
        "abstained: true.",
    ),
]
FromMemory = Annotated[
    bool,
    typer.Option(
        "--memory",
        help="Translate lines by exact matches of the translation memory (`nmt memory`); jsonl has a field memory.",
    ),
]
Scores = Annotated[bool, typer.Option("--scores", help="Write its score and a tab before each candidate.")]
ScoreOnly = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--score-only",
        metavar="SOURCE TARGET",
        help="Instead of translating, score the lines of TARGET as translations of those of SOURCE.",
    ),
]
Precision = Annotated[
    Literal["fp32", "bf16", "fp16", "auto"],
    typer.Option(help="Precision of matrix products; with bf16 and fp16 a translation can depend on its batch."),
]
PrecisionOfEngine = Annotated[
    Literal["fp32", "bf16", "fp16", "auto", "int8"],
    typer.Option(
        help="Precision of matrix products; with bf16 and fp16 a translation can depend on its batch. int8 needs "
        "--engine ctranslate2."
    ),
]
Engine = Annotated[
    Literal["torch", "ctranslate2"],
    typer.Option(help="Library for the search; ctranslate2 is faster on a CPU and supports Transformers only."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Resume a stopped run after the lines in FILE.partial.")]
Interactive = Annotated[bool, typer.Option("--interactive", help="Ask for sentences and answer each.")]
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
