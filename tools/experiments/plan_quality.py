"""Fits the constants of ``nmt plan`` to runs, and measures its error on texts that they were not fitted on.

    python tools/experiments/plan_quality.py runs/*

The runs are those of ``nmt train TEXTS --minutes M`` that have ended. The runs of a text are left out in turn, and
estimated by the constants that fit the others; texts whose folders' names are the same up to the first digit (``da5``
and ``da20``) are one text.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nmt.autotrain.choice import Model
from nmt.autotrain.prepared import RECURRENT, TRANSFORMERS, text_of
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import read_lines
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.planning.quality import MUON, QualityCurve, TextProfile, expected_chrf
from nmt.metrics.table import METRICS
from nmt.recipe.load import load_recipe

SLACK = 4.0
"""Weight of the distance of the constants from those in use, in units of their tenth part, so that few texts don't
determine them alone."""
UNTAUGHT = 0.75
"""Updates that one of a run is worth whose attention wasn't taught by learned links."""


@dataclass(frozen=True)
class Run:
    """A run that has ended."""

    name: str
    profile: TextProfile
    model: Model
    num_updates: int
    chrf: float

    @property
    def text(self) -> str:
        return re.sub(r"\d.*$", "", self.name)

    def expected(self, curve: "QualityCurve") -> "torch.Tensor | float":
        return expected_chrf(self.profile, self.model.worth * self.num_updates, curve=curve)


def read(folder: Path) -> Run | None:
    """Returns a run; None if it isn't one that counts."""
    recipe = load_recipe(ModelDirectory(folder).recipe)
    root = Path(recipe.data.root or "")
    translated = folder / f"test.translated.{recipe.data.target}"
    if not translated.exists() or recipe.training.finetune_from is not None:
        print(f"{folder} is skipped: it hasn't ended, or another model was its start", file=sys.stderr)
        return None
    texts = text_of(folder)
    references = [target for _, target in texts.test]
    chrf = METRICS["chrf"]().corpus_score([*read_lines(translated)], [references]).score
    events = [json.loads(line) for line in read_lines(ModelDirectory(folder).metrics)]
    kind, width = recipe.model.encoder["type"], recipe.model.embedding_size
    model = next(model for model in RECURRENT + TRANSFORMERS if (model.kind, model.width) == (kind, width))
    profile = TextProfile.read(texts, Vocabularies.load(root))
    num_updates = round(events[-1]["step"] * (1 if recipe.training.techniques else UNTAUGHT))
    return Run(Path(recipe.data.root or "").parent.name, profile, model, num_updates, chrf)


def fit(runs: Sequence[Run]) -> QualityCurve:
    """Returns the curve with the least absolute error, near the constants in use."""
    start = torch.tensor([float(value) for value in MUON])
    scale = start.abs().clamp(min=0.5) / 10
    change = torch.zeros(len(start), requires_grad=True)
    optimizer = torch.optim.LBFGS([change], max_iter=2000, line_search_fn="strong_wolfe")
    share = torch.tensor([1 / sum(other.text == run.text for other in runs) for run in runs])
    chrf = torch.tensor([run.chrf for run in runs])

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        curve = QualityCurve(*(start + scale * change).unbind())
        error = torch.stack([torch.as_tensor(run.expected(curve)) for run in runs]) - chrf
        total = (share * (1 + error**2).sqrt()).sum() + SLACK / 100 * (change**2).sum()
        total.backward()
        return total

    optimizer.step(loss)
    return QualityCurve(*(start + scale * change).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="MODEL_DIR")
    runs = [run for folder in parser.parse_args().runs if (run := read(folder)) is not None]
    if len({run.text for run in runs}) < 2:
        parser.error("the error on a text that is left out needs runs on at least two texts")
    whole, errors = fit(runs), []
    print(
        "| run | pairs | pieces | length | lexical chrF | model, updates | chrF | in use | left out | fitted |\n|"
        + " --- |" * 10
    )
    for run in runs:
        left_out = fit([other for other in runs if other.text != run.text])
        in_use, without, fitted = (float(run.expected(curve)) for curve in (MUON, left_out, whole))
        errors.append([abs(each - run.chrf) for each in (in_use, without, fitted)])
        kind, profile = "T" if run.model.kind == "transformer" else "GRU", run.profile
        figures = " | ".join(f"{figure:.1f}" for figure in (run.chrf, in_use, without, fitted))
        print(
            f"| {run.name} | {profile.num_pairs:,} | {profile.num_tokens:.1f} | {profile.length:.1f} | "
            f"{profile.lexical:.1f} | {kind}{run.model.width}, {run.num_updates:,} | {figures} |"
        )
    for name, column in zip(("in use", "left out", "fitted"), np.array(errors).T, strict=True):
        limit, most = np.quantile(column, 0.9), column.max()
        print(f"{name}: mean {column.mean():.1f}, nine in ten below {limit:.1f}, {most:.1f} at most")
    print(whole)


if __name__ == "__main__":
    main()
