"""``nmt train TEXT… --minutes M``: from text files to a model, its scores and its picture in a number of minutes."""

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nmt.autotrain.choice import FALLING
from nmt.autotrain.prepared import Request, moved, prepare, text_of
from nmt.autotrain.texts import Pairs, Texts
from nmt.core.console import print_table, quoted, say, warn
from nmt.core.errors import UserError
from nmt.core.files import remove_folder
from nmt.core.model_directory import ModelDirectory
from nmt.core.output import write_output
from nmt.evaluation.scores import score_corpus
from nmt.metrics.table import Score
from nmt.plotting.curves import draw_runs
from nmt.plotting.history import read_history
from nmt.plotting.style import write_figure
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import Recipe
from nmt.training.checkpoint import CheckpointFolder, read_state
from nmt.training.events import Sink
from nmt.training.run import train, with_training
from nmt.translation.load import load
from nmt.translation.translator import Translator

UNFINISHED = ".text-unfinished"
"""Name of the mark of a run that has written text and no recipe."""
NUM_RESAMPLES, NUM_SHOWN, HELD_OUT = 300, 5, ("valid", "test")
UNTRAINED, MAX_LOSS = 20.0, 1.0
"""chrF below which a model doesn't translate, and the loss of chrF on its former text that a warning needs."""


def autotrain(request: Request, output: Path | None = None, resume: bool = False, on_event: Sink | None = None) -> Path:
    """Trains a model on a text or continues a run of this function, tests it on held-out text and draws its curve.

    Writes into ``output`` a model directory, ``text/`` (the text for training, validation and test, and the
    vocabulary), ``test.translated.LANGUAGE`` and ``curve.png``. All choices are in its ``recipe.yaml``, which trains
    the same weights again.

    Args:
        output: the folder; None for :attr:`Request.default_output`.
        resume: the run in ``output`` goes on; with more minutes from where its learning rate was still high.

    Raises:
        UserError: the text can't be used, or ``output`` holds a run, or none to continue.
    """
    directory = ModelDirectory(output or request.default_output)
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UserError("Text is trained on in one process.", "Start one, or the recipe.yaml of a run with torchrun.")
    if resume:
        return _resume(directory, request, on_event)
    output, is_new = directory.path, not directory.path.exists()
    text, unfinished = output / "text", output / UNFINISHED
    request.check_folder(text)
    with directory.writing():
        if directory.recipe.exists():
            raise UserError(f"{output} holds a run already.", "Continue it by --resume, or name another folder by -o.")
        if os.path.lexists(text) and not unfinished.exists() and not (text.is_dir() and not any(text.iterdir())):
            raise UserError(f"{text} exists, and would be written.", "Name another folder with -o.")
        unfinished.touch()
        remove_folder(text)
        try:
            prepared = prepare(request, text)
            recipe = prepared.choose()
            before = _scores_before(request.start, prepared.texts, request.former) if request.start else []
            train(recipe, directory, on_event=on_event, deadline=request.deadline)
        except BaseException:
            if not directory.recipe.exists():  # nothing was trained yet
                remove_folder(text)
                unfinished.unlink(missing_ok=True)
                if is_new:
                    shutil.rmtree(output, ignore_errors=True)
            raise
        unfinished.unlink()
    report(output, prepared.texts, before, request.former)
    return output


def _resume(directory: ModelDirectory, request: Request, on_event: Sink | None) -> Path:
    output, minutes = directory.path, request.minutes
    root, has_recipe = (output / "text").absolute(), directory.recipe.exists()
    if not has_recipe or not root.is_dir():
        own = f"If it is one of a recipe, name {directory.recipe} in place of text. If not, put its folder {root} back."
        new = "Name the text, without --resume, or the folder of a run by -o."
        raise UserError(f"{output} holds no run of text to resume.", own if has_recipe else new)
    recipe = load_recipe(directory.recipe)
    start = recipe.training.finetune_from
    if request.start and (not start or start.resolve() != request.start.resolve()):
        raise UserError(f"{output} wasn't fine-tuned from {request.start}.", "Leave out --from.")
    if request.texts or request.keep_all:
        say(f"going on with the text in {output / 'text'}, whose pairs were chosen when the run began")
    if Path(str(recipe.data.root)).resolve() != root.resolve():
        recipe = moved(recipe, root)
        with directory.writing():
            write_output(directory.recipe, recipe.to_yaml())
        say(f"the run was moved: its text is in {root}")
    newest = next(map(read_state, reversed(CheckpointFolder(output).all())), {})
    if minutes is not None and minutes != (recipe.training.max_minutes or newest.get("max_minutes")):  # it may be over
        recipe = _longer(newest, recipe, minutes)
    texts, before, general = text_of(output, HELD_OUT), list[dict[str, Score]](), Texts()
    if start:
        with suppress(UserError):  # nothing else needs the model, which may be gone
            former = text_of(start, HELD_OUT)
            before, general = _scores_before(start, texts, former), former
    train(recipe, directory, overrides=request.overrides, resume=True, on_event=on_event)
    (output / UNFINISHED).unlink(missing_ok=True)
    report(output, texts, before, general)
    return output


def _longer(newest: Mapping[str, Any], recipe: Recipe, minutes: float) -> Recipe:
    """Returns the recipe of a run with another number of minutes; raises UserError if the run has had as many."""
    before = newest["progress"]["seconds"] / 60 if newest else 0.0
    if minutes <= before:
        raise UserError(f"The run has had {before:.1f} minutes.", "Give more: --minutes counts these, too.")
    options, schedule = recipe.training, dict(recipe.training.schedule)
    if is_open := options.max_minutes is None and schedule["type"] == "plateau":  # the run had no minutes before
        schedule = FALLING | {"warmup_steps": schedule["warmup_steps"]}
    lengths: dict[str, Any] = {"lengths": {}} if schedule["type"] == "cosine" else {}
    former = options.max_minutes or before or minutes
    every = options.validate_every and max(1, round(options.validate_every * minutes / former))
    return with_training(
        recipe, max_minutes=minutes, max_steps=None, schedule=schedule | lengths, validate_every=every,
        patience=None if is_open else options.patience, expected_score=None,  # which was for the former minutes
    )  # fmt: skip


def _scores(model: Translator, texts: Texts) -> tuple[list[str], dict[str, Score]]:
    """Translates the test set, or the validation set without one; returns translations and scores."""
    pairs: Pairs = texts.test or texts.valid
    translations = [t.text for t in model.translate([source for source, _ in pairs])]
    resamples = NUM_RESAMPLES if len(pairs) > 1 else 0
    return translations, score_corpus(translations, [[target for _, target in pairs]], num_resamples=resamples)


def _scores_before(start: Path, texts: Texts, former: Texts) -> list[dict[str, Score]]:
    """Returns the scores of a model to fine-tune, on the text to come and on its former text."""
    model = load(start)
    return [_scores(model, given)[1] for given in (texts, former) if given.test or given.valid]


def report(output: Path, texts: Texts, before: Sequence[dict[str, Score]], general: Texts) -> None:
    """Scores a model on held-out text, and shows translations, its curve and the next commands.

    Args:
        before: the scores of the model that was fine-tuned, on this text and on ``general``, its own test.
    """
    assert texts.languages is not None
    pairs = texts.test or texts.valid
    model = load(output)
    translations, scores = _scores(model, texts)
    write_output(output / f"test.translated.{texts.languages[1]}", (f"{text}\n" for text in translations))
    for at in range(0, len(pairs), max(1, len(pairs) // NUM_SHOWN))[:NUM_SHOWN]:
        say(f"\nsource:      {pairs[at][0]}\ntranslation: {translations[at]}\nreference:   {pairs[at][1]}")
    _print_scores(f"{len(pairs):,} {'held-out' if texts.test else 'validation'} sentences", scores, before[:1])
    if general.test:
        after = _scores(model, general)[1]
        _print_scores("the test of the model that was fine-tuned", after, before[1:])
        if after["chrf"].score < before[1]["chrf"].score - MAX_LOSS:
            warn("the model has become worse on its former text. To avoid it, mix in some of that text: see "
                 "docs/how-to/fine-tune.md.")  # fmt: skip
    if scores["chrf"].score < UNTRAINED:
        warn("this model has hardly learned to translate. Give it more minutes: nmt train --resume --minutes M "
             f"-o {quoted(output)} . Or give it more text.")  # fmt: skip
    write_figure(draw_runs({output.name: read_history(output)}, "minutes", "chrf"), output / "curve.png")
    (source, target), folder = texts.languages, quoted(output)
    say(f"""
The curve of training is {output / "curve.png"}. Next:
  nmt translate {folder} -i FILE.{source} -o FILE.{target}
  nmt align {folder} {folder}/text/valid.{source} --limit 3 -o alignment.png
  nmt serve {folder}""")


def _print_scores(title: str, scores: Mapping[str, Score], before: Sequence[Mapping[str, Score]]) -> None:
    rows = []
    for name, score in scores.items():
        spread = f" ± {score.confidence['half_width']:.1f}" if score.confidence else ""
        rows.append([score.name, *(f"{earlier[name].score:.1f}" for earlier in before), f"{score.score:.1f}{spread}"])
    print_table(f"{title}, ± half of the 95 % interval", ["metric", *("before" for _ in before), "score"], rows)
