"""From a recipe to a trained model directory."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nmt.config import Recipe
from nmt.console import say, warn
from nmt.data.batching import prefetched
from nmt.data.vocabulary import Vocabularies
from nmt.device import pick_device, pick_precision, use_tensor_cores
from nmt.errors import UserError
from nmt.evaluation.metrics import LOSS, check_metrics, score_text
from nmt.files import cannot_write, open_output
from nmt.model_directory import ModelDirectory
from nmt.models.build import resolve
from nmt.recipe import default_output, load_recipe
from nmt.training.checkpointing.checkpoint import CheckpointFolder, step_of
from nmt.training.checkpointing.resume import check_recipe, newest_intact
from nmt.training.checkpointing.state import seed_everything
from nmt.training.data import Data, Pairs, Texts, open_texts, prepare_data
from nmt.training.distributed import ProcessGroup
from nmt.training.events import Sink, ignore
from nmt.training.initial_weights import make_model
from nmt.training.objective import Objective
from nmt.training.out_of_memory import CPU_BATCH_TOKENS, find_batch_tokens
from nmt.training.schedules import resolve_schedule
from nmt.training.sinks import open_sinks
from nmt.training.techniques import make_techniques, resolve_techniques
from nmt.training.techniques.base import Technique
from nmt.training.trainer import Trainer
from nmt.training.validation import Validator


def train(
    recipe: str | Path | Recipe,
    output: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] = {},
    resume: bool = False,
    pairs: Pairs | None = None,
    valid: Pairs | None = None,
    on_event: Sink | None = None,
) -> Path:
    """Train a model directory.

    Args:
        recipe: a path, the name of a shipped recipe, or a recipe.
        output: the model directory; made if it doesn't exist. None for runs/NAME, by the name of the recipe.
        overrides: recipe keys and their values, such as ``{"training.max_epochs": 3}``.
        resume: continue from the last checkpoint in ``output``; from the start where there is none.
        pairs: (source, target) sentences to train on, in place of the text that the recipe names.
        valid: such pairs for validation; without them, but with ``pairs``, some of those are held out.
        on_event: called with each event of the run, see :mod:`nmt.training.events`.

    Returns:
        The model directory.

    Raises:
        UserError: anything that the user can correct; see the message.
        Interrupted: Ctrl-C or SIGTERM, after a checkpoint was saved.
    """
    directory = ModelDirectory(output if output is not None else default_output(recipe))
    recipe = complete(load_recipe(recipe, overrides))
    with ExitStack() as stack:
        ranks = stack.enter_context(ProcessGroup.joined(recipe.device))
        if ranks.is_main:
            stack.enter_context(directory.writing())
        texts = open_texts(recipe.data, pairs, valid)
        return _train(recipe, directory, texts, resume, on_event, ranks)


def complete(recipe: Recipe) -> Recipe:
    """The recipe with every option of its components written out.

    Raises:
        UserError: a component that isn't known, an option that is wrong, or parts that don't go together.
    """
    recipe = resolve_techniques(resolve(recipe))
    recipe = recipe.model_copy(update={"training": resolve_schedule(recipe.training)})
    check_metrics([recipe.training.metric], also=[LOSS])
    make_techniques(recipe)
    return recipe


def _train(
    recipe: Recipe, directory: ModelDirectory, texts: Texts, resume: bool, on_event: Sink | None, ranks: ProcessGroup
) -> Path:
    """What :func:`train` does, in one of the processes of a run."""
    device = pick_device(ranks.device(recipe.device))
    precision = pick_precision(recipe.training.precision, device)
    use_tensor_cores(device)
    recipe, checkpoint = ranks.broadcast(lambda: _open(recipe, directory, resume))
    seed_everything(recipe.seed)
    techniques = make_techniques(recipe)
    data = prepare_data(recipe, techniques, texts, directory.path if checkpoint else None, ranks)
    model = make_model(recipe.model, data.vocabularies, recipe.training.init_from, is_new=not checkpoint).to(device)
    ranks.seed_per_rank(recipe.seed)
    options, decoding = recipe.training, recipe.decoding
    objective = Objective(model, options, precision, techniques)
    recipe, budget = _with_batch_tokens(recipe, data, objective, ranks)
    batches = prefetched(data.batches(budget, recipe.seed, ranks), device)
    size, metric = options.validation_size, options.metric
    validator = Validator(data.valid, data.vocabularies, decoding, metric, size, budget, precision, ranks)
    processes = f"{ranks.size} processes, " if ranks.size > 1 else ""
    say(
        f"{model.num_parameters:,} parameters, {len(data.train_indices):,} training pairs in "
        f"{len(batches)} batches an epoch, {processes}{device.type} {precision}"
    )
    with ExitStack() as stack:
        sinks = open_sinks(directory, options.tensorboard, on_event)
        sink = stack.enter_context(sinks) if ranks.is_main else ignore
        trainer = Trainer(recipe.training, objective, batches, validator, directory.path, sink, recipe.seed, ranks)
        if checkpoint:
            trainer.resume(checkpoint)
        elif resume:
            say("no checkpoint to resume from: starting at the beginning")
        if ranks.is_main:
            _describe(directory, recipe, data.vocabularies, techniques)
        reason = trainer.run()
    best = trainer.progress
    found = f"best {score_text(metric, best.best)} at step {best.best_step}; " if best.best is not None else ""
    say(f"done: {reason}; {found}the model is {directory}")
    return directory.path


def _open(recipe: Recipe, directory: ModelDirectory, resume: bool) -> tuple[Recipe, Path | None]:
    """Check a model directory; the recipe to train with, and the checkpoint to continue from."""
    if not resume:
        _refuse_to_overwrite(directory)
    checkpoint = newest_intact(CheckpointFolder(directory.path)) if resume else None
    if checkpoint:
        recipe = check_recipe(directory.path, recipe)
    elif recipe.training.init_from:
        ModelDirectory(recipe.training.init_from).check()
    return recipe, checkpoint


def _refuse_to_overwrite(directory: ModelDirectory) -> None:
    checkpoints = CheckpointFolder(directory.path).all()
    remedy = "choose another folder with -o."
    if checkpoints:
        raise UserError(
            f"{directory} holds a training run already (at step {step_of(checkpoints[-1])}).",
            f"Continue it by --resume, or {remedy}",
        )
    if directory.weights.exists():
        raise UserError(f"{directory} holds a trained model already.", remedy.capitalize())


def _with_batch_tokens(recipe: Recipe, data: Data, objective: Objective, ranks: ProcessGroup) -> tuple[Recipe, int]:
    """The recipe with a number in place of ``training.batch_tokens: auto``, so that a resumed run has the same."""
    options = recipe.training
    if options.batch_tokens == "auto":
        batches = data.batches(CPU_BATCH_TOKENS, recipe.seed, ranks)
        found = min(ranks.gather(find_batch_tokens(objective, batches, num_moments=3 if options.ema else 2)))
        recipe = recipe.model_copy(update={"training": options.model_copy(update={"batch_tokens": found})})
    else:
        found = options.batch_tokens
    if data.longest > found:
        warn(f"the longest sentence has {data.longest} positions, more than training.batch_tokens ({found}).")
    return recipe, found


def _describe(
    directory: ModelDirectory, recipe: Recipe, vocabularies: Vocabularies, techniques: Mapping[str, Technique]
) -> None:
    """Write what a reader of the weights needs to know."""
    with open_output(directory.recipe) as file:
        file.write(recipe.to_yaml())
    try:
        vocabularies.save(directory.path)
    except OSError as error:
        raise cannot_write(directory.path, error) from None
    for technique in techniques.values():
        technique.save(directory.path)
