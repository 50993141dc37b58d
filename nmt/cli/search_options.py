"""The options of ``nmt translate`` that say how translations are searched for; each is a key of ``decoding``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

THE_RECIPES = "the recipe's"

BeamSize = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Hypotheses kept; 1 is greedy search.", show_default=THE_RECIPES),
]
BatchSize = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Sentences translated at once.", show_default=THE_RECIPES)
]
LengthPenalty = Annotated[
    Literal["none", "average", "gnmt", "word_reward"] | None,
    typer.Option(help="How log-probabilities of different lengths are compared.", show_default=THE_RECIPES),
]
Alpha = Annotated[
    float | None, typer.Option(metavar="X", min=0, help="Strength of the length penalty.", show_default=THE_RECIPES)
]
CoveragePenalty = Annotated[
    float | None,
    typer.Option(metavar="X", min=0, help="Penalty for source words left out.", show_default=THE_RECIPES),
]
EarlyStopping = Annotated[
    Literal["first", "likely", "exact"] | None,
    typer.Option(
        help="When a sentence is done: with as many hypotheses as the beam; when no better one is likely, or possible.",
        show_default=THE_RECIPES,
    ),
]
MaxLength = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Longest translation in pieces.", show_default=THE_RECIPES)
]
MaxLengthRatio = Annotated[
    float | None,
    typer.Option(
        metavar="X", min=0.1, help="Longest translation in pieces for each of the source.", show_default=THE_RECIPES
    ),
]
NoRepeatNgram = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="No run of so many pieces comes twice.", show_default=THE_RECIPES),
]
BeamGroups = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Diverse beam search with so many groups.", show_default=THE_RECIPES),
]
Diversity = Annotated[
    float | None,
    typer.Option(metavar="X", min=0, help="How much groups avoid each other's words.", show_default=THE_RECIPES),
]
Sample = Annotated[
    bool, typer.Option("--sample", help="Draw translations at random, as many as --beam-size, instead of searching.")
]
Temperature = Annotated[
    float | None,
    typer.Option(metavar="X", min=0.01, help="Below 1 samples keep to likely words.", show_default=THE_RECIPES),
]
TopK = Annotated[
    int | None,
    typer.Option("--top-k", metavar="N", min=1, help="Sample from so many words.", show_default=THE_RECIPES),
]
TopP = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        metavar="X",
        min=0.01,
        max=1,
        help="Sample from the likeliest words with this probability together.",
        show_default=THE_RECIPES,
    ),
]
Seed = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="Of the samples of each line.", show_default=THE_RECIPES)
]
Mbr = Annotated[
    str | None,
    typer.Option(
        metavar="METRIC", help="Take the candidate most like all the others by chrf, bleu …", show_default=THE_RECIPES
    ),
]
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
    typer.Option("--forbid", metavar="PHRASE", help="What no translation may say; may be repeated."),
]
ReplaceUnknown = Annotated[
    bool,
    typer.Option("--replace-unknown", help="Put the source word that is attended to most in place of an unknown word."),
]
Lexicon = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="With --replace-unknown: what source words mean, a tab between; others are copied."
    ),
]
