"""COMET (Rei et al. 2020, 2022) as a metric: a neural network that was trained on judgements of people.

The package unbabel-comet computes it. Its models are downloaded by the user, and some ask for the acceptance of a
licence. The environment variables ``NMT_COMET`` and ``NMT_COMETKIWI`` name other models, by their names on the Hugging
Face hub or by the file of a checkpoint.
"""

import logging
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from nmt.core.errors import UserError
from nmt.metrics.remembered import Remembered
from nmt.metrics.table import Metric, References, Texts

Triple = tuple[str, str, str | None]
"""Source, translation and reference; the reference is None for models that need none."""


@cache
def _scorer(name: str, with_reference: bool) -> Remembered[Triple, float]:
    """Returns the function from triples to scores of a model, which is loaded once in a process.

    Raises:
        UserError: the package or the model is missing, or it needs references where the metric has none.
    """
    try:
        import torch
        from comet import download_model, load_from_checkpoint
    except ModuleNotFoundError as error:
        raise UserError(
            f"The package {error.name} is not installed, which COMET needs.",
            "Install unbabel-comet; the guide 'Score and compare systems' has the command.",
        ) from None
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # it reports the devices for each batch
    is_file = name.endswith(".ckpt")
    try:
        path = name if is_file else download_model(name, local_files_only=True)
        model = load_from_checkpoint(path, local_files_only=not is_file)
    except Exception as error:  # the package raises Exception itself
        download = f"Download it: python -c 'from comet import download_model; download_model(\"{name}\")'."
        remedy = "Check the path, and that hparams.yaml is in the folder above." if is_file else download
        raise UserError(f"The COMET model {name!r} can't be loaded: {error}", remedy) from error
    if model.requires_references() and not with_reference:
        raise UserError(f"The COMET model {name!r} needs references.", "Use the metric comet in place of cometkiwi.")
    num_gpus = int(torch.cuda.is_available())

    def compute(triples: list[Triple]) -> list[float]:
        samples = [
            {"src": source, "mt": text} | ({} if reference is None else {"ref": reference})
            for source, text, reference in triples
        ]
        found = model.predict(samples, batch_size=16, gpus=num_gpus, progress_bar=False)
        return [100.0 * float(score) for score in found.scores]

    return Remembered(compute, "COMET", batch_size=512)


class Comet(Metric):
    """100 · the mean score of a COMET model that reads source, translation and reference; the best of several."""

    name = "COMET"
    needs_source = True
    variable: ClassVar[str] = "NMT_COMET"
    default_model: ClassVar[str] = "Unbabel/wmt22-comet-da"

    def __init__(self, tokenize: str | None = None) -> None:
        super().__init__(tokenize)
        self.model = os.environ.get(self.variable) or self.default_model
        self._score = _scorer(self.model, self.needs_reference)  # a missing model is reported before the work

    @property
    def signature(self) -> str:
        path = Path(self.model)
        name = path.absolute().parents[1].name if path.suffix == ".ckpt" else path.name
        return f"model:{name}|scale:100|unbabel-comet:{version('unbabel-comet')}"

    def sentence_scores(self, hypotheses: Texts, references: References, sources: Texts | None = None) -> list[float]:
        columns = references if self.needs_reference else [[None] * len(hypotheses)]
        scores = [self._score(list(zip(sources or (), hypotheses, column, strict=True))) for column in columns]
        return list(map(max, *scores)) if len(scores) > 1 else scores[0]


class CometKiwi(Comet):
    """100 · the mean score of a COMET model that reads source and translation only."""

    name = "CometKiwi"
    needs_reference = False
    variable, default_model = "NMT_COMETKIWI", "Unbabel/wmt22-cometkiwi-da"
