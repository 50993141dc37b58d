"""``nmt rerank``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import Device, ModelDir, Output, command
from nmt.core.console import progress_bar, say
from nmt.core.errors import UserError
from nmt.core.files import check_target
from nmt.core.output import open_output


@dataclass(frozen=True)
class RerankOptions:
    """Options of ``nmt rerank``."""

    model_dir: ModelDir
    n_best: Annotated[
        str, typer.Argument(metavar="N_BEST", help="Output of `nmt translate --n-best N --format jsonl`.")
    ]
    channel: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL_DIR",
            help="A model of the other direction, for p(x|y); the same one, if it has tags for both.",
        ),
    ] = None
    language_model: Annotated[
        Path | None, typer.Option(metavar="MODEL_DIR", help="A language model of the target, for p(y).")
    ] = None
    channel_weight: Annotated[float, typer.Option(metavar="NUMBER", help="Weight of log p(x|y).")] = 0.5
    lm_weight: Annotated[float, typer.Option(metavar="NUMBER", help="Weight of log p(y).")] = 0.2
    word_weight: Annotated[float, typer.Option(metavar="NUMBER", help="Weight of the number of words.")] = 0.5
    tune: Annotated[
        Path | None,
        typer.Option(metavar="REFERENCE", help="Choose the weights by BLEU with these references, and say which."),
    ] = None
    output: Output = "-"


@command(
    "nmt rerank runs/de-en val.jsonl --channel runs/en-de --language-model runs/lm --tune val.en",
    "nmt rerank runs/de-en nbest.jsonl --language-model runs/lm --lm-weight 0.3 -o test.translated.en",
)
def rerank(options: RerankOptions, device: Device = "auto") -> None:
    """Choose the best of n candidates by a noisy channel.

    The score of a candidate y of the source x is log p(y|x) + channel weight * log p(x|y) + LM weight * log p(y) + word
    weight * words. Choose the weights on validation text.
    """
    from nmt.core.text import read_lines
    from nmt.extensions.reranking import rerank as reranking
    from nmt.translation.load import load

    if options.channel is None and options.language_model is None:
        raise UserError("There is nothing to rerank by.", "Give --channel, --language-model, or both.")
    if options.output != "-":
        check_target(Path(options.output), options.n_best, options.tune or "")
    candidates = list(reranking.read_candidates(options.n_best))
    direct = load(options.model_dir, device)
    direct.task.require("translation")
    backward = None if options.channel is None else reranking.load_reverse(direct, options.channel)
    of_target = None if options.language_model is None else load(options.language_model, device)
    if backward is not None and not backward.vocabularies.source.tags:
        own, other = ((each.recipe.data.source, each.recipe.data.target) for each in (direct, backward))
        if own != other[::-1]:
            message = f"{options.channel} translates from {other[0]} to {other[1]}, not from {own[1]} to {own[0]}."
            raise UserError(message, "Give --channel a model of the other direction.")
    if of_target is not None and of_target.task.name != "language_model":
        raise UserError(f"{options.language_model} is no language model.", "Train one with a recipe of that task.")
    total = sum(len(each.texts) for each in candidates) * (3 - (backward, of_target).count(None))
    with progress_bar("scoring candidates", total) as bar:
        found = reranking.features(candidates, direct, backward, of_target, bar.counted)
    weights = reranking.Weights(options.channel_weight, options.lm_weight, options.word_weight)
    if options.tune is not None:
        weights = reranking.tune(candidates, found, list(read_lines(options.tune)))
        say(f"--channel-weight {weights.channel} --lm-weight {weights.language_model} --word-weight {weights.word}")
    with open_output(options.output) as file:
        file.writelines(f"{text}\n" for text in reranking.rerank(candidates, found, weights))
