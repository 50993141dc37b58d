"""``nmt calibrate``."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import Device, ModelDir, command
from nmt.core.console import print_table, progress_bar, say
from nmt.core.errors import UserError


@command("nmt calibrate runs/de-en val.de val.en")
def calibrate(
    model_dir: ModelDir,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Validation text, a sentence a line.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Its translation by humans.")],
    min_chrf: Annotated[
        float,
        typer.Option(
            metavar="NUMBER", min=0, max=100, help="A translation is acceptable from this sentence chrF upwards."
        ),
    ] = 50.0,
    reverse: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL_DIR",
            help="A model of the other direction, or the same one if tags choose its language: how probable it finds "
            "the source is a further feature. Translation with confidence needs it, too, and takes longer.",
        ),
    ] = None,
    reverse_tag: Annotated[
        str | None,
        typer.Option(
            metavar="TAG",
            help="Tag by which that model translates into the language of SOURCE, if it has more than two tags.",
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Fit the confidence of a model on validation text.

    `nmt translate --confidence` and `--abstain` use it. The text is translated, and two logistic regressions are fitted
    that tell from the probabilities of the words, the alignment and the lengths whether a translation is acceptable,
    and whether a word is (the reference has it in the same order). They are written to calibration.json in the model
    directory. Give text that the model was not trained on. The table compares the confidence in translations with the
    share of acceptable ones by cross-validation.
    """
    from nmt.core.model_directory import ModelDirectory
    from nmt.data.sources import FileText
    from nmt.extensions.quality.calibrate import Examples
    from nmt.extensions.quality.calibrate import calibrate as fit
    from nmt.extensions.quality.reverse import ReverseModel
    from nmt.translation.load import load

    translator = load(model_dir, device)
    if reverse_tag is not None and reverse is None:
        raise UserError("--reverse-tag is for --reverse.", "Give --reverse, too.")
    backward = None if reverse is None else ReverseModel.load(translator, reverse.resolve(), reverse_tag)
    pairs = list(FileText(source, target))
    with progress_bar("translating", len(pairs)) as bar:
        examples = Examples.collect(translator, pairs, bar.advance, backward)
    found = fit(examples, ModelDirectory(model_dir), min_chrf, backward)
    print_table(
        "Confidence",
        ["translations", "mean confidence", "acceptable"],
        [[f"{each.count:,}", f"{each.confidence:.1%}", f"{each.acceptable:.1%}"] for each in found.bins],
    )
    say(
        f"{found.acceptable:.1%} of {found.num_examples:,} translations have a chrF of at least {min_chrf:g}; the "
        f"expected calibration error is {found.error:.1%}, and the area under the ROC curve {found.area:.3f}"
    )
    if found.word_error is not None:
        say(
            f"{found.right:.1%} of their {found.num_words:,} words are in the references; the expected calibration "
            f"error of words is {found.word_error:.1%}"
        )
