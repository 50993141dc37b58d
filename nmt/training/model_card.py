"""The model card of a model directory: ``README.md`` with languages, data, scores and use (Mitchell et al. 2019).

It begins with the metadata that the Hugging Face Hub reads, and ends with a line that contains a checksum of all lines
before: a card whose checksum is right is nmt's own and is replaced at the end of each run; any other is the user's and
stays.
"""

import hashlib
import json
import re

from nmt.config import Recipe
from nmt.data.corpus import ParallelText
from nmt.data.languages import name_of
from nmt.evaluation.metrics import LOSS, METRICS
from nmt.files import explained, open_output
from nmt.model_directory import ModelDirectory
from nmt.training.checkpointing.state import Progress
from nmt.training.data import Data, Texts
from nmt.training.trainer import Trainer

SEAL = "<!-- Written by nmt, which replaces this file as long as it has not been edited: {digest} -->\n"

CARD = """\
---
language: {languages}
license: unknown
library_name: nmt
pipeline_tag: {task}
tags: [{task}, {decoder}]
---

# {title}

{description}

| | |
| --- | --- |
| Languages | {title} (`{source}`, `{target}`) |
| Model | encoder `{encoder}`, decoder `{decoder}`, {num_parameters:,} parameters |
| Vocabulary | {vocabulary} |
| Training data | {train}: {num_train:,} sentence pairs |
| Training | {updates:,} updates ({epochs} epochs); `recipe.yaml` has all settings |
| Licence | unknown: state it here and as `license` in the first lines; those of the training data count, too |

## Scores

{scores}

Test scores are not known to the training run: measure them with `nmt score`, and add them here.

## Use

```sh
pip install nmt
{use}```
"""
USE = """\
nmt translate MODEL_DIR < text.{source}
nmt serve MODEL_DIR
```

```python
import nmt

print(nmt.load("MODEL_DIR").translate(["…"])[0].text)
"""
USE_OF_LANGUAGE_MODEL = "nmt score --perplexity MODEL_DIR text.{target}\n"
SCORE = """\
| data | metric | score | signature |
| --- | --- | --- | --- |
| {data}: {size:,} sentence pairs | {metric} | {score} | {signature} |

The model was selected by this score (update {step:,}), so it is higher than that of unseen text."""


def write_card(files: ModelDirectory, recipe: Recipe, data: Data, texts: Texts, trainer: Trainer) -> None:
    """Write the card of a run that has ended, unless there is one that nmt has not written or that was edited.

    Args:
        files: the model directory.
        recipe: of the run.
        data: what it was trained and validated on.
        texts: where the data comes from.
        trainer: of the run.

    Raises:
        UserError: the file can't be read or written.
    """
    with explained(files.card):
        if files.card.exists() and not _is_own(files.card.read_bytes()):
            return
    source, target = recipe.data.source, recipe.data.target
    title, task, use = f"{name_of(source)} to {name_of(target)}", "translation", USE
    if recipe.model.is_language_model:
        title, task, use = f"Language model of {name_of(target)}", "text-generation", USE_OF_LANGUAGE_MODEL
    text = CARD.format(
        languages=json.dumps([*dict.fromkeys((source, target))]),
        source=source,
        target=target,
        title=title,
        task=task,
        use=use.format(source=source, target=target),
        description=recipe.description,
        encoder=recipe.model.encoder["type"],
        decoder=recipe.model.decoder["type"],
        num_parameters=trainer.model.num_parameters,
        vocabulary=f"{recipe.vocabulary.type}, {len(data.vocabularies.target):,} entries",
        train=_data_name(texts[0]),
        num_train=len(data.train_indices),
        updates=trainer.progress.step,
        epochs=trainer.batches.epoch,
        scores=_scores(recipe, data, texts, trainer.progress),
    )
    with open_output(files.card) as file:
        file.write(text + SEAL.format(digest=_digest(text.encode())))


def _scores(recipe: Recipe, data: Data, texts: Texts, progress: Progress) -> str:
    if progress.best is None:
        return "The model was not validated."
    name, size = recipe.training.metric, len(data.valid.indices)
    shown, signature, decimals = "loss", "mean -log p of a token, in nats", 3
    if name != LOSS:
        metric, size = METRICS[name](), min(size, recipe.training.validation_size)
        shown, decimals = metric.name, metric.decimals
        one, source = data.valid.references[:1], data.valid.sources[:1]
        signature = f"`{metric.corpus_score(one, [one], source).signature}`"  # known once something is scored
    return SCORE.format(
        data=_data_name(texts[1]) if texts[1] is not None else "held-out training data",
        size=size,
        metric=shown,
        score=f"{progress.best:.{decimals}f}",
        signature=signature.replace("|", "\\|"),
        step=progress.best_step,
    )


def _data_name(text: ParallelText) -> str:
    """The name of a text, without folders of the machine that trained."""
    return re.sub(r"(?<!\S)/\S*/", "", text.name)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _is_own(content: bytes) -> bool:
    """Whether nmt has written a card and nobody has edited it since."""
    body, newline, last = content.removesuffix(b"\n").rpartition(b"\n")
    return last + b"\n" == SEAL.format(digest=_digest(body + newline)).encode()
