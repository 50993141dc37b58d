"""``nmt memory`` and ``nmt learn-corrections``."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import ModelDir, Settings, command, stopped_by_signal
from nmt.core.console import print_table, say


@command(
    "nmt memory runs/de-en",
    "nmt memory runs/de-en --import corrections.tmx",
    "nmt memory runs/de-en --export corrections.csv",
)
def memory(
    model_dir: ModelDir,
    import_: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Add the entries of a .tmx or .csv file.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all entries to a .tmx or .csv file.")
    ] = None,
) -> None:
    """Import, export or count corrected translations.

    The translation memory is in the model directory. `nmt serve` and `nmt translate --memory` translate by its exact
    matches, and `nmt learn-corrections` fine-tunes with it. A CSV file begins with the codes of both languages.
    """
    from nmt.extensions.memory.files import read_memory, write_memory
    from nmt.extensions.memory.memory import TranslationMemory
    from nmt.recipe.load import load_recipe

    found = TranslationMemory(model_dir)
    options = load_recipe(model_dir / "recipe.yaml").data
    if import_ is not None:
        added = found.add(read_memory(import_, options.source, options.target))
        say(f"entries of {import_} that were added or changed: {added:,}")
    if export is not None:
        say(f"entries written to {export}: {write_memory(found, export, options.source, options.target):,}")
    say(f"entries in {found.path}: {len(found):,}")


@command(
    "nmt learn-corrections runs/de-en",
    "nmt learn-corrections runs/de-en --share 0.3 --set training.max_steps=1000",
)
def learn_corrections(
    model_dir: ModelDir,
    share: Annotated[
        float,
        typer.Option(
            metavar="NUMBER", min=0.01, max=0.99, help="Part of the text that is corrections; the rest is old text."
        ),
    ] = 0.5,
    settings: Settings = None,
) -> None:
    """Fine-tune a model with its corrections.

    The corrections of the translation memory are mixed into the training text. The result replaces the model
    only if it is significantly better on corrections that were held out and not significantly worse on the validation
    text, by chrF as `nmt compare` tests it. Otherwise the model stays as it was. The same command resumes a run that
    was stopped.
    """
    from nmt.extensions.memory.corrections import learn_corrections as learn
    from nmt.recipe.load import parse_settings

    with stopped_by_signal("the same command resumes it"):
        outcome = learn(model_dir, parse_settings(settings or []), share)
    if outcome is None:
        say("the model had been replaced before the run was stopped")
        return
    rows = []
    for text, tests in (("corrections held out", outcome.corrections), ("validation text", outcome.validation)):
        for test in tests.values():
            before, after = (test.scores[name].score for name in ("before", "after"))
            p_value = test.differences["after"].p_value
            rows.append([text, test.metric.name, f"{before:.2f}", f"{after:.2f}", f"{p_value:.2g}"])
    print_table("Before and after", ["text", "metric", "before", "after", "p"], rows)
    if outcome.is_better:
        say(f"the model is better: {model_dir} has its weights; model.before.safetensors has the old ones")
        say("if `nmt calibrate` was run for the model, run it again")
    else:
        say("the model stays as it was: the result is not significantly better on corrections, or worse on other text")
