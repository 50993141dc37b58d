"""The model card of a model directory: ``README.md`` with languages, data, scores and use (Mitchell et al. 2019).

It begins with the metadata that the Hugging Face Hub reads, and ends with a line that contains a checksum of all lines
before: a card whose checksum is right is nmt's own and is replaced at the end of each run; any other is the user's and
stays.
"""

import hashlib
import re

from nmt.core.files import explained
from nmt.core.model_directory import ModelDirectory
from nmt.core.output import write_output
from nmt.data.sources import ParallelText
from nmt.extensions.cards.machine import FILE, describe_machine
from nmt.metrics.table import LOSS, METRICS
from nmt.plotting.history import read_history
from nmt.plotting.templates import render
from nmt.recipe.schema import Recipe
from nmt.training.data import Data, Texts
from nmt.training.trainer import Trainer
from nmt.translation.languages import name_of

SEAL = "<!-- Written by nmt, which replaces this file as long as it has not been edited: {digest} -->\n"


def write_card(files: ModelDirectory, recipe: Recipe, data: Data, texts: Texts, trainer: Trainer) -> None:
    """Writes the machine and the card of a completed run, unless the card was edited or not written by nmt.

    Raises:
        UserError: the file can't be read or written.
    """
    machine = describe_machine(trainer.model.device)
    write_output(files.file(FILE), f"{machine}\n")
    with explained(files.card):
        if files.card.exists():
            body, newline, last = files.card.read_bytes().removesuffix(b"\n").rpartition(b"\n")
            if last + b"\n" != SEAL.format(digest=_digest(body + newline)).encode():
                return  # another program has written it, or a person has edited it
    modules = [module for module, distribution in recipe.plugins.items() if not distribution]
    text = render(
        "card.md.j2",
        __file__,
        modules=modules,
        plugin_options="".join(f" --plugin {module}" for module in modules),
        recipe=recipe,
        data=data,
        task=data.task,
        title=data.task.title(name_of(recipe.data.source), name_of(recipe.data.target)),
        trainer=trainer,
        machine=machine,
        run=read_history(files.path).summary(),
        vocabulary_size=len(data.vocabularies.target),
        train=", ".join(map(_data_name, texts[0])),
        num_train=data.num_pairs,
        score=_score(recipe, data, texts, trainer.progress.best),
    )
    write_output(files.card, text + SEAL.format(digest=_digest(text.encode())))


def _score(recipe: Recipe, data: Data, texts: Texts, best: float | None) -> tuple[str, str, str, str] | None:
    """Returns data, metric, score and signature of the best validation; None if there was none."""
    if best is None:
        return None
    name, size = recipe.training.metric, len(data.valid.indices)
    shown, signature, decimals = "loss", "mean -log p of a token, in nats", 3
    if name != LOSS:
        metric, size = METRICS[name](), min(size, recipe.training.validation_size)
        shown, decimals = metric.name, metric.decimals
        one, source = data.valid.references[:1], data.valid.sources[:1]
        signature = f"`{metric.corpus_score(one, [one], source).signature}`"  # known once something is scored
    valid = _data_name(texts[1]) if texts[1] is not None else "held-out training data"
    return f"{valid}: {size:,} sentence pairs", shown, f"{best:.{decimals}f}", signature


def _data_name(text: ParallelText) -> str:
    """Returns the name of a text without absolute folders."""
    return re.sub(r"(?<!\S)/\S*/", "", text.name)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
