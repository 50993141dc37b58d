"""``nmt calibrate``."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import Device, ModelDir, command
from nmt.core.console import print_table, progress_bar, say


@command("nmt calibrate runs/de-en val.de val.en")
def calibrate(
    model_dir: ModelDir,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Validation text, a sentence a line.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Its translation by humans.")],
    min_chrf: Annotated[
        float,
        typer.Option(metavar="NUMBER", min=0, max=100, help="Sentence chrF from which a translation is acceptable."),
    ] = 50.0,
    samples: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=100,
            help="Random translations by the model that each translation is compared with: how much they agree is the "
            "best single feature. 6 are enough; translation with confidence then takes two to three times as long.",
        ),
    ] = 0,
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
    from nmt.translation.load import load

    translator = load(model_dir, device)
    current = translator.task.reader.current  # of a dialogue
    pairs = [(line, current(reference)) for line, reference in FileText(source, target)]
    with progress_bar("translating", len(pairs)) as bar:
        examples = Examples.collect(translator, pairs, bar.advance, samples)
    found = fit(examples, ModelDirectory(model_dir), min_chrf)
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
