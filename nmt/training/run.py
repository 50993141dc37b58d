"""From a recipe to a trained model directory."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic.fields import FieldInfo

from nmt.core.console import say, warn
from nmt.core.device import Precision, manage_memory, pick_device, pick_precision, use_tensor_cores
from nmt.core.errors import UserError
from nmt.core.files import explained
from nmt.core.jsonlines import read_object
from nmt.core.model_directory import ModelDirectory
from nmt.core.output import write_output
from nmt.metrics.table import score_text
from nmt.recipe.load import default_output, load_recipe
from nmt.recipe.options import OnResume, Options, groups_in
from nmt.recipe.registry import TABLES, choices_of, hooks, provided
from nmt.recipe.schema import Recipe, TrainingOptions
from nmt.training.checkpoint import CheckpointFolder, read_state, step_of
from nmt.training.data import Data, Pairs, prepare_data
from nmt.training.distributed import ProcessGroup, seed_everything
from nmt.training.events import Sink
from nmt.training.objective import Objective
from nmt.training.resolve import resolve
from nmt.training.sinks import open_sinks
from nmt.training.trainer import Trainer
from nmt.training.validation import Validator
from nmt.training.weights import make_model


@dataclass(frozen=True)
class TrainingRun:
    """The place of a run: its model directory, the processes that train the model, and the device of this process."""

    recipe: Recipe
    """Complete. ``training.batch_tokens`` is a number if the run is continued, and else may be ``auto``."""
    directory: ModelDirectory
    process_group: ProcessGroup
    device: torch.device
    precision: Precision
    checkpoint: Path | None
    """The checkpoint to continue from; None for a new run."""

    @classmethod
    @contextmanager
    def open(cls, recipe: Recipe, directory: ModelDirectory, resume: bool) -> Iterator[Self]:
        """Joins the processes of the run, and keeps others from writing into the directory in this context.

        Raises:
            UserError: the directory holds another run, or can't be written, or there is no such device.
        """
        with ExitStack() as stack:
            process_group = stack.enter_context(ProcessGroup.joined(recipe.device))
            if process_group.is_main:
                stack.enter_context(directory.writing())
            device = pick_device(process_group.device(recipe.device))
            precision = pick_precision(recipe.training.precision, device)
            use_tensor_cores(device)
            manage_memory()
            batch_tokens, checkpoint = process_group.broadcast(lambda: _open(recipe, directory, resume))
            recipe = with_training(recipe, batch_tokens=batch_tokens)
            yield cls(recipe, directory, process_group, device, precision, checkpoint)


def train(
    recipe: str | Path | Recipe,
    output: str | Path | ModelDirectory | None = None,
    *,
    overrides: Mapping[str, Any] = {},
    resume: bool = False,
    pairs: Pairs | None = None,
    valid: Pairs | None = None,
    on_event: Sink | None = None,
    deadline: float | None = None,
) -> Path:
    """Trains the model of a recipe; returns the path of its model directory. See :func:`nmt.train` for the others.

    Args:
        deadline: time of :func:`time.monotonic` at which training ends, in place of ``training.max_minutes``.
    """
    output = default_output(recipe) if output is None else output
    directory = output if isinstance(output, ModelDirectory) else ModelDirectory(output)
    with TrainingRun.open(resolve(recipe, overrides), directory, resume) as run:
        if resume and run.checkpoint is None:
            say("no checkpoint to resume from: starting at the beginning")
        _train(run, pairs, valid, on_event, deadline)
    return directory.path


def _train(
    run: TrainingRun, pairs: Pairs | None, valid: Pairs | None, on_event: Sink | None, deadline: float | None
) -> None:
    """Trains in one of the processes of a run; see :func:`train`."""
    recipe, directory, process_group = run.recipe, run.directory, run.process_group
    seed_everything(recipe.seed)
    if "__main__" in recipe.plugins:
        warn("the model needs components of this program, which others can't load: define them in a module of their "
             "own with COMPONENTS, and import it here.")  # fmt: skip
    data = prepare_data(recipe, pairs, valid, directory.path if run.checkpoint else None, process_group)
    model = make_model(recipe, data.vocabularies, is_new=not run.checkpoint).to(run.device)
    process_group.seed_per_rank(recipe.seed)
    objective = Objective(model, recipe.training, run.precision, data.techniques)
    batch_tokens = _find_batch_tokens(recipe, data, objective, process_group)
    recipe = with_training(recipe, batch_tokens=batch_tokens)  # a resumed run has the same
    batches = data.batches(batch_tokens, recipe.seed, process_group).prefetch(run.device)
    validator = Validator(recipe, data, batch_tokens, run.precision, process_group)
    with ExitStack() as stack:
        sinks = open_sinks(directory, recipe.training.tensorboard, on_event)
        sink = stack.enter_context(sinks) if process_group.is_main else lambda event: None
        trainer = Trainer(recipe, objective, batches, validator, directory.path, sink, process_group)
        processes = f"{process_group.size} processes, " if process_group.size > 1 else ""
        num_trained = sum(each.numel() for each in trainer.trained.values() if each.requires_grad)
        say(
            f"{num_trained:,} parameters, {data.num_pairs:,} training pairs in "
            f"{len(batches)} batches an epoch, {processes}{run.device.type} {run.precision}"
        )
        if 0 < (trainer.schedule.total_steps or 0) < (warmup := trainer.schedule.warmup_steps):
            warn(f"the run ends in the warm-up of {warmup:,} updates: lower training.schedule.warmup_steps.")
        if run.checkpoint:
            trainer.resume(run.checkpoint)
        if deadline is not None:
            trainer.end_in(deadline - time.monotonic())
        if process_group.is_main:
            _describe(directory, recipe, data, {head.short_name for head in model.decoder.heads})
            trainer.checkpoints.remove_after(trainer.progress.step)
        reason = trainer.run()
        if process_group.is_main:
            _complete(directory, recipe, data, trainer)
    progress, metric = trainer.progress, recipe.training.metric
    best = "" if progress.best is None else f"best {score_text(metric, progress.best)} at step {progress.best_step}; "
    say(f"done: {reason}; {best}the model is {directory}")


def with_training(recipe: Recipe, **changes: Any) -> Recipe:
    """Returns a recipe with changes of its part ``training``, which aren't checked."""
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def _open(recipe: Recipe, directory: ModelDirectory, resume: bool) -> tuple[int | Literal["auto"], Path | None]:
    """Checks a model directory; returns ``training.batch_tokens`` and the checkpoint to continue from."""
    checkpoints = CheckpointFolder(directory.path, recipe.training.keep_last, recipe.training.keep_best)
    if not resume and (present := checkpoints.all()):
        raise UserError(
            f"{directory} holds a training run already (at step {step_of(present[-1])}).",
            "Continue it by --resume, or choose another folder with -o.",
        )
    checkpoint = checkpoints.newest_intact() if resume else None
    if checkpoint:
        return _compared(recipe, directory), _before_fall(checkpoints, checkpoint, recipe.training)
    if directory.weights.exists():
        what = "a trained model, but no checkpoint to resume from" if resume else "a trained model already"
        raise UserError(f"{directory} holds {what}.", "Choose another folder with -o.")
    if start := recipe.training.finetune_from:
        ModelDirectory(start).check()
        with suppress(UserError):  # its weights are used wherever they fit
            recipes = resolve(ModelDirectory(start).recipe), recipe
            old, now = (r.model_dump(mode="json", include={"model"}, exclude={"model": {"vectors"}}) for r in recipes)
            if other := "; ".join(c for how, _, c in _changes(Recipe.model_fields, old, now) if how is OnResume.FIXED):
                warn(f"the model differs from that of {start}, whose weights it takes where they fit: {other}.")
    return recipe.training.batch_tokens, None


def _before_fall(checkpoints: CheckpointFolder, newest: Path, training: TrainingOptions) -> Path:
    """Returns the checkpoint from which the learning rate began to fall, if there is more time than it fell for.

    Once the run goes on, those after it are deleted, because it computes its later updates anew.
    """
    before, max_minutes = checkpoints.before_fall(), training.max_minutes
    if not before or not max_minutes or max_minutes <= (read_state(newest).get("max_minutes") or max_minutes):
        return newest
    if training.max_steps:
        warn("for more minutes, give --set training.max_steps=null --set training.schedule.lengths={}, too: the recipe "
             f"ends at step {training.max_steps:,}.")  # fmt: skip
        return newest
    say(f"training.max_minutes was raised: going on from step {step_of(before[-1])}, where the learning rate was high")
    return before[-1]


def _compared(recipe: Recipe, directory: ModelDirectory) -> int | Literal["auto"]:
    """Compares a recipe with that of the run to resume; reports or refuses differences.

    Returns:
        ``training.batch_tokens``, with ``auto`` replaced by the number that the run has found.
    """
    try:
        before = load_recipe(directory.recipe)
    except UserError as error:
        warn(f"the recipe that the run was started with can't be read, so nothing is compared: {error.message}")
        return recipe.training.batch_tokens
    with suppress(UserError):  # of a plugin that isn't given any more
        before = resolve(before)  # with the options that nmt has got since
    if (batch_tokens := recipe.training.batch_tokens) == "auto":
        batch_tokens = before.training.batch_tokens
    changes: dict[OnResume, list[str]] = {rule: [] for rule in OnResume}
    start, own = recipe.training.finetune_from, before.training.finetune_from
    if start and own and start.resolve() == own.resolve():  # a folder has several names
        start = own
    now = with_training(recipe, batch_tokens=batch_tokens, finetune_from=start).model_dump(mode="json")
    # With other values, pairs would be held out that were trained on.
    dividing = ("seed", "data.valid", "data.hold_out") if recipe.data.valid is None else ()
    for rule, key, change in _changes(Recipe.model_fields, before.model_dump(mode="json"), now):
        changes[OnResume.FIXED if key in dividing else rule].append(change)
    if changes[OnResume.FIXED]:
        raise UserError(
            f"{directory} holds a run that can't be resumed with this recipe: {'; '.join(changes[OnResume.FIXED])}.",
            f"Give --resume the recipe of the run ({directory.recipe}), or train anew in another folder (-o).",
        )
    if changes[OnResume.FREE]:
        say(f"resuming with other settings: {'; '.join(changes[OnResume.FREE])}")
    return batch_tokens


def _changes(
    fields: Mapping[str, FieldInfo],
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    prefix: str = "",
    rule: OnResume = OnResume.FREE,
) -> Iterator[tuple[OnResume, str, str]]:
    """Yields the differences between two groups of options: the rule for resuming, the key, and a text."""
    for key in dict.fromkeys((*now, *before)) if before.get("type") == now.get("type") else ["type"]:
        old, new, field = before.get(key), now.get(key), fields.get(key, FieldInfo())
        own = next((mark for mark in field.metadata if isinstance(mark, OnResume)), rule)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _changes(_fields_inside(field, new), old, new, f"{prefix}{key}.", own)
        elif old != new:
            yield own, prefix + key, f"{prefix}{key} is {new!r}, was {old!r}"


def _fields_inside(field: FieldInfo, value: Mapping[str, Any]) -> Mapping[str, FieldInfo]:
    """Returns the fields of the group of options that a recipe has as the value of a field."""
    groups = groups_in(field.annotation)
    for choice in choices_of(field):
        table = TABLES[choice.kind]
        if choice.many:
            return {
                name: FieldInfo(annotation=getattr(component, "Options", Options)) for name, component in table.items()
            }
        groups = [getattr(table.get(str(value.get("type"))), "Options", Options)]
    return groups[0].model_fields if groups else {}


def _find_batch_tokens(recipe: Recipe, data: Data, objective: Objective, process_group: ProcessGroup) -> int:
    """Returns ``training.batch_tokens`` as a number."""
    if (batch_tokens := recipe.training.batch_tokens) == "auto":
        find = provided("batch size", "training.batch_tokens: auto")
        make_batches = partial(data.batches, seed=recipe.seed, process_group=process_group)
        batch_tokens = int(min(process_group.gather(find(objective, make_batches, 3 if recipe.training.ema else 2))))
    if (longest := max(part.corpus.counts.longest for part in data.train) + 1) > batch_tokens:
        warn(f"the longest sentence has {longest} positions, more than training.batch_tokens ({batch_tokens}).")
    return batch_tokens


def _describe(directory: ModelDirectory, recipe: Recipe, data: Data, heads: set[str]) -> None:
    """Writes the files that are needed to read the weights, and their word alignment, which fine-tuning leaves in the
    heads where it was."""
    write_output(directory.recipe, recipe.to_yaml())
    if (start := recipe.training.finetune_from) and not directory.alignment.exists():
        with suppress(OSError, ValueError, TypeError, KeyError):  # there is no such file, or a damaged one
            before = ModelDirectory(start).alignment
            if heads >= {*read_object(before)["heads"]}:
                write_output(directory.alignment, before.read_text("utf-8"))
    with explained(directory.path):
        data.vocabularies.save(directory.path)
    for hook in hooks("data_prepared"):
        hook(directory, data)
    for technique in data.techniques.values():
        technique.save(directory.path)


def _complete(directory: ModelDirectory, recipe: Recipe, data: Data, trainer: Trainer) -> None:
    """Writes what is known once training has ended."""
    if trainer.ends_by_time:  # so that the recipe trains the same weights at any speed
        step = trainer.progress.step
        lengths = trainer.schedule.lengths or {step: step + 1}  # an estimate that changes no rate
        schedule = dict(recipe.training.schedule) | {"lengths": lengths}
        repeatable = with_training(recipe, schedule=schedule, max_minutes=None, max_steps=step)
        write_output(directory.recipe, repeatable.to_yaml())
    for hook in hooks("training_ended"):
        hook(directory, recipe, data, data.texts, trainer)
