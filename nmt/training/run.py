"""From a recipe to a trained model directory."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nmt.config import ModelOptions, Recipe
from nmt.console import progress_bar, say, warn
from nmt.data.batching import TrainingBatches
from nmt.data.corpus import ParallelText, open_text
from nmt.data.dialogue import check_separator
from nmt.data.encoded_corpus import EncodedCorpus, encode_corpus
from nmt.data.prefetch import prefetched
from nmt.data.pretrained_embeddings import read_vectors
from nmt.data.vocabulary import Vocabularies, train_vocabularies
from nmt.device import Precision, pick_device, pick_precision, use_tensor_cores
from nmt.errors import UserError
from nmt.evaluation.metrics import LOSS, check_metrics, score_text
from nmt.files import cannot_write, open_output
from nmt.model_directory import ModelDirectory
from nmt.models.build import build_model, resolve
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe import default_output, load_recipe, parse_settings
from nmt.training.checkpointing.checkpoint import CheckpointFolder, step_of
from nmt.training.checkpointing.resume import check_recipe, newest_intact
from nmt.training.checkpointing.state import seed_everything
from nmt.training.distributed import SINGLE_PROCESS, ProcessGroup
from nmt.training.objective import Objective
from nmt.training.out_of_memory import CPU_BATCH_TOKENS, find_batch_tokens
from nmt.training.techniques import make_techniques, resolve_techniques
from nmt.training.techniques.base import Technique
from nmt.training.trainer import Trainer
from nmt.training.validation import ValidationSet, Validator
from nmt.training.warm_start import check_vocabularies, init_from

MIN_UPDATES = 50
"""So many batches an epoch ``training.batch_tokens: auto`` leaves at least: a few huge updates learn little."""

MAX_HELD_OUT = 0.05
"""Largest share of the training pairs that is held out where there is no validation split."""


@dataclass(frozen=True)
class Data:
    """What a run is trained and validated on, all of it encoded."""

    vocabularies: Vocabularies
    train: EncodedCorpus
    train_indices: npt.NDArray[np.int64]
    valid: ValidationSet


def train(
    recipe: str | Path | Recipe,
    output: str | Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
) -> Path:
    """Train a model directory.

    Args:
        recipe: a path, the name of a shipped recipe, or a recipe.
        output: the model directory; made if it doesn't exist. None for runs/NAME, by the name of the recipe.
        settings: ``KEY=VALUE`` settings, as with ``--set``.
        resume: go on from the last checkpoint in ``output``; from the start where there is none.

    Returns:
        The model directory.

    Raises:
        UserError: anything the user can mend; see the message.
        Interrupted: Ctrl-C or SIGTERM, after a checkpoint was saved.
    """
    directory = Path(output) if output is not None else default_output(recipe)
    recipe = complete(load_recipe(recipe, parse_settings(settings)))
    check_metrics([recipe.training.metric], also=[LOSS])
    with (
        ProcessGroup.joined(recipe.device) as ranks,
        ModelDirectory(directory).writing() if ranks.is_main else nullcontext(),
    ):
        return _train(recipe, directory, resume, ranks)


def complete(recipe: Recipe) -> Recipe:
    """The recipe with every option of its components written out.

    Raises:
        UserError: a component that isn't known, an option that is wrong, or parts that don't go together.
    """
    recipe = resolve_techniques(resolve(recipe))
    make_techniques(recipe)
    return recipe


def _train(recipe: Recipe, directory: Path, resume: bool, ranks: ProcessGroup) -> Path:
    """What :func:`train` does, in one of the processes of a run."""
    device = pick_device(ranks.device(recipe.device))
    precision = pick_precision(recipe.training.precision, device)
    use_tensor_cores(device)
    recipe, checkpoint = ranks.broadcast(lambda: _open(recipe, directory, resume))
    seed_everything(recipe.seed)
    techniques = make_techniques(recipe)
    data = prepare_data(recipe, directory if checkpoint else None, ranks, techniques)
    model = build_model(recipe.model, data.vocabularies, num_copies=4)
    if recipe.training.init_from and not checkpoint:
        init_from(recipe.training.init_from, model)
    use_vectors(model, recipe.model, data.vocabularies, is_new=not checkpoint)
    model = model.to(device)
    ranks.seed_per_rank(recipe.seed)
    recipe = _with_batch_tokens(recipe, data, model, precision, techniques, ranks)
    batches = prefetched(_batches(recipe, data, _batch_tokens(recipe), techniques, ranks), device)
    objective = Objective(model, recipe.training, precision, batches, techniques)
    trainer = Trainer(recipe, objective, batches, _validator(recipe, data, precision, ranks), directory, ranks)
    processes = f"{ranks.size} processes, " if ranks.size > 1 else ""
    say(
        f"{model.num_parameters:,} parameters, {len(data.train_indices):,} training pairs in "
        f"{len(trainer.batches)} batches an epoch, {processes}{device.type} {precision}"
    )
    if checkpoint:
        trainer.resume(checkpoint)
        say(f"resumed at step {trainer.progress.step}")
    elif resume:
        say("no checkpoint to resume from: starting at the beginning")
    if ranks.is_main:
        _describe(directory, recipe, data.vocabularies, techniques)
    reason = trainer.run()
    best = trainer.progress
    metric = recipe.training.metric
    found = f"best {score_text(metric, best.best)} at step {best.best_step}; " if best.best is not None else ""
    say(f"done: {reason}; {found}the model is {directory}")
    return directory


def _open(recipe: Recipe, directory: Path, resume: bool) -> tuple[Recipe, Path | None]:
    """Make or check a model directory; the recipe to train with, and the checkpoint to go on from."""
    checkpoint = None
    if resume:
        checkpoint = newest_intact(CheckpointFolder(directory))
    else:
        _refuse_to_overwrite(directory)
    if checkpoint:
        recipe = check_recipe(directory, recipe)
    elif recipe.training.init_from:
        ModelDirectory(recipe.training.init_from).check()
    return recipe, checkpoint


def use_vectors(model: Seq2Seq, options: ModelOptions, vocabularies: Vocabularies, is_new: bool) -> None:
    """Start embeddings from word vectors, and freeze them, where the recipe says so.

    Args:
        is_new: False where the weights come from a checkpoint, so that nothing is to be read.
    """
    sides = {
        "source": (options.vectors.source, model.encoder.embedding, vocabularies.source),
        "target": (options.vectors.target, model.decoder.embedding, vocabularies.target),
    }
    for side, (path, embedding, vocabulary) in sides.items():
        if path is None:
            continue
        if is_new:
            with progress_bar(f"reading {path.name}", None):
                found = read_vectors(path, vocabulary, options.embedding_size)
            embedding.init_from(torch.from_numpy(found.ids), torch.from_numpy(found.values))
            words = f"{len(found.ids):,} of {found.num_words:,} words ({found.coverage:.0%})"
            say(f"{side} embeddings: {path.name} has {words}")
        embedding.weight.requires_grad_(not options.vectors.freeze)


def _refuse_to_overwrite(directory: Path) -> None:
    checkpoints = CheckpointFolder(directory).all()
    remedy = "choose another folder with -o."
    if checkpoints:
        raise UserError(
            f"{directory} holds a training run already (at step {step_of(checkpoints[-1])}).",
            f"Go on with it by --resume, or {remedy}",
        )
    if (directory / "model.safetensors").exists():
        raise UserError(f"{directory} holds a trained model already.", remedy.capitalize())


def prepare_data(
    recipe: Recipe,
    resumed: Path | None = None,
    ranks: ProcessGroup = SINGLE_PROCESS,
    techniques: Mapping[str, Technique] | None = None,
) -> Data:
    """Vocabularies (read, or made from the training text) and encoded corpora of a recipe.

    Args:
        recipe: names the text.
        resumed: the model directory whose vocabularies are to be used again.
        ranks: the processes of the run; one of them does the work.
        techniques: of the recipe; they read the vocabularies, and say what batches are to have beside the ids.
    """
    options = recipe.data
    text = open_text(options, options.train)
    valid_text = open_text(options, options.valid) if options.valid is not None else None
    vocabularies = ranks.broadcast(lambda: _vocabularies(recipe, resumed, text))
    if options.context is not None:
        check_separator(vocabularies.source)
    for technique in (techniques or {}).values():
        technique.setup_data(vocabularies)
    annotations = [found for t in (techniques or {}).values() if (found := t.annotations()) is not None]
    with ranks.local_rank_zero_first(), progress_bar("encoding the training text", None) as bar:

        def on_progress(line: int) -> None:
            ranks.check()
            bar.update(line)

        corpus = encode_corpus(text, vocabularies, options.max_length, on_progress, annotations)
        valid = encode_corpus(valid_text, vocabularies, options.max_length) if valid_text is not None else None
    counts = corpus.counts
    if counts.empty or counts.too_long:
        say(
            f"{text.name}: kept {counts.kept:,} pairs, dropped {counts.empty:,} empty and {counts.too_long:,} "
            f"with more than {options.max_length} pieces"
        )
    indices = np.arange(len(corpus))
    if valid_text is None or valid is None:
        held_out, indices = _hold_out(recipe, len(corpus))
        say(f"no validation split: {len(held_out)} training pairs are held out")
        return Data(vocabularies, corpus, indices, _validation_set(text, corpus, held_out))
    return Data(vocabularies, corpus, indices, _validation_set(valid_text, valid, np.arange(len(valid))))


def _hold_out(recipe: Recipe, num_pairs: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of held-out and of training pairs."""
    size = min(recipe.data.hold_out, int(num_pairs * MAX_HELD_OUT))
    if size < 1:
        raise UserError(
            f"{num_pairs} sentence pairs are too few to hold some out for validation.",
            "Name a validation split with data.valid.",
        )
    chosen = np.random.default_rng(recipe.seed).permutation(num_pairs)
    return np.sort(chosen[:size]), np.sort(chosen[size:])


def _validation_set(text: ParallelText, corpus: EncodedCorpus, indices: npt.NDArray[np.int64]) -> ValidationSet:
    """The text of the chosen pairs, read from the lines they stand on."""
    wanted = corpus.lines[indices]
    positions = set(wanted.tolist())
    kept = [pair for line, pair in enumerate(islice(text, int(wanted[-1]) + 1)) if line in positions]
    return ValidationSet(corpus, indices, [source for source, _ in kept], [target for _, target in kept])


def _vocabularies(recipe: Recipe, resumed: Path | None, text: ParallelText) -> Vocabularies:
    """Those of a run that is resumed; else the recipe's; those of a model to start from; new ones from the text."""
    trained = recipe.training.init_from
    if path := resumed or recipe.vocabulary.path or trained:
        vocabularies = Vocabularies.load(path)
        if trained and path is recipe.vocabulary.path:
            check_vocabularies(trained, vocabularies)
        return vocabularies
    with progress_bar("making the vocabulary", None):
        vocabularies = train_vocabularies(recipe.vocabulary, text, separator=text.context is not None)
    sizes = f"{len(vocabularies.source):,}"
    if not vocabularies.joint:
        sizes += f" + {len(vocabularies.target):,}"
    say(f"made a vocabulary of {sizes} pieces ({recipe.vocabulary.type})")
    return vocabularies


def _batches(
    recipe: Recipe, data: Data, batch_tokens: int, techniques: Mapping[str, Technique], ranks: ProcessGroup
) -> TrainingBatches:
    share, readings = (ranks.rank, ranks.size), [technique.read_epoch for technique in techniques.values()]
    return TrainingBatches(
        data.train, data.train_indices, data.vocabularies, batch_tokens, recipe.seed, share, readings
    )


def _with_batch_tokens(
    recipe: Recipe,
    data: Data,
    model: Seq2Seq,
    precision: Precision,
    techniques: Mapping[str, Technique],
    ranks: ProcessGroup,
) -> Recipe:
    """The recipe with a number in place of ``training.batch_tokens: auto``, so that a resumed run has the same."""
    options = recipe.training
    if options.batch_tokens == "auto":
        batches = _batches(recipe, data, CPU_BATCH_TOKENS, techniques, ranks)
        objective = Objective(model, options, precision, batches, techniques)
        num_moments = 3 if options.ema else 2
        limit = max(CPU_BATCH_TOKENS, batches.num_positions // MIN_UPDATES)
        found = min(ranks.gather(find_batch_tokens(objective, batches.longest, num_moments, limit)))
        recipe = recipe.model_copy(update={"training": options.model_copy(update={"batch_tokens": found})})
    longest = int(max(data.train.source.lengths.max(), data.train.target.lengths.max())) + 1
    if longest > _batch_tokens(recipe):
        warn(
            f"the longest sentence has {longest} positions, more than training.batch_tokens ({_batch_tokens(recipe)})."
        )
    return recipe


def _batch_tokens(recipe: Recipe) -> int:
    assert recipe.training.batch_tokens != "auto"
    return recipe.training.batch_tokens


def _validator(recipe: Recipe, data: Data, precision: Precision, ranks: ProcessGroup) -> Validator:
    size, budget = recipe.training.validation_size, _batch_tokens(recipe)
    metric = recipe.training.metric
    return Validator(data.valid, data.vocabularies, recipe.decoding, metric, size, budget, precision, ranks)


def _describe(directory: Path, recipe: Recipe, vocabularies: Vocabularies, techniques: Mapping[str, Technique]) -> None:
    """What a reader of the weights needs to know."""
    with open_output(directory / "recipe.yaml") as file:
        file.write(recipe.to_yaml())
    try:
        vocabularies.save(directory)
    except OSError as error:
        raise cannot_write(directory, error) from None
    for technique in techniques.values():
        technique.save(directory)
