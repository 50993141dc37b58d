"""Fits the constants of ``nmt plan`` to runs, and measures its error on texts that they were not fitted on.

    python tools/experiments/plan_quality.py runs/*

The runs that count have two files in ``data.train``, new weights and validations with chrF; others, such as students,
are skipped. Those of a text, whatever the width, are left out in turn, and estimated by the constants that fit the
others.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np
import torch
from nmt.extensions.planning.plan import BATCH_TOKENS, Number, QualityCurve, TextProfile, expected_chrf

from nmt.core.model_directory import ModelDirectory
from nmt.data.sources import FileText
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import FilePair

SLACK = 0.1
"""Penalty on the squared constants, so that few texts don't determine them alone."""


@dataclass(frozen=True)
class Point:
    """A validation of a run."""

    text: str
    profile: TextProfile
    width: int
    num_updates: int
    chrf: float


def points(folder: Path, known: dict[str, TextProfile]) -> list[Point]:
    files, recipe = ModelDirectory(folder), load_recipe(folder / "recipe.yaml")
    if not isinstance(recipe.data.train, FilePair) or recipe.training.finetune_from is not None:
        print(f"{folder} is skipped: data.train is not two files, or another model was its start", file=sys.stderr)
        return []
    text = str(recipe.data.train.target)
    if text not in known:
        known[text] = TextProfile.read(FileText(recipe.data.train.source, recipe.data.train.target))
    events = map(json.loads, files.metrics.read_text("utf-8").splitlines())
    assert isinstance(recipe.training.batch_tokens, int)
    scale = recipe.training.batch_tokens / BATCH_TOKENS
    return [
        Point(text, known[text], recipe.model.embedding_size, round(scale * event["step"]), event["chrf"])
        for event in events
        if event["event"] == "valid" and "chrf" in event
    ]


def fit(given: Sequence[Point]) -> QualityCurve[float]:
    """Returns the curve with the least squared error."""
    features = torch.tensor([p.profile.features for p in given]).T
    log_width = torch.tensor([log(p.width / 128) for p in given])
    log_updates, chrf = torch.tensor([log(p.num_updates) for p in given]), torch.tensor([p.chrf for p in given])
    share = torch.tensor([1 / sum(q.text == p.text for q in given) for p in given])  # of a text, not of a validation
    start = torch.tensor([5.5, 0.0, 0.0, 6.5, 0.0, 0.0, 2.0])
    free = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([free], max_iter=2000, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        error = curve(free.unbind())(features.unbind(), log_width, log_updates) - chrf
        total = (share * error**2).sum() / share.sum() + SLACK * ((free - start) ** 2).sum()
        total.backward()
        return total

    optimizer.step(loss)
    return curve(free.tolist())


def curve(free: Sequence[Number]) -> QualityCurve[Number]:
    """Returns the curve of seven constants, whose ends are in tens so that all are of the same magnitude."""
    return QualityCurve((10 * free[0], 10 * free[1], 10 * free[2]), (free[3], free[4], free[5]), free[6])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="MODEL_DIR")
    known: dict[str, TextProfile] = {}
    given = [point for folder in parser.parse_args().runs for point in points(folder, known)]
    if len({point.text for point in given}) < 2:
        parser.error("the error on a text that is left out needs runs on at least two texts")
    errors: list[float] = []
    at_end: list[float] = []
    print(
        "| text left out | pairs | words | familiar | validations | mean error | at the end: chrF, estimate |\n|"
        + " --- |" * 7
    )
    for text, profile in known.items():
        fitted = fit([p for p in given if p.text != text])
        own = [p for p in given if p.text == text]
        found = [expected_chrf(p.profile, p.width, p.num_updates, fitted) for p in own]
        error = [abs(p.chrf - each) for p, each in zip(own, found, strict=True)]
        errors.append(float(np.mean(error)))
        last = max(range(len(own)), key=lambda at: own[at].num_updates)
        at_end.append(error[last])
        print(
            f"| {text} | {profile.num_pairs:,} | {profile.num_words:.1f} | "
            f"{profile.familiar:.2f}, {profile.familiar_pairs:.2f} | {len(own)} | "
            f"{errors[-1]:.1f} | {own[last].chrf:.1f}, {found[last]:.1f} |"
        )
    fitted = fit(given)
    remaining = np.mean([abs(p.chrf - expected_chrf(p.profile, p.width, p.num_updates, fitted)) for p in given])
    print(f"\nmean error: {np.mean(errors):.1f} on texts left out, {np.mean(at_end):.1f} at the end")
    print(f"{remaining:.1f} on the texts that the constants were fitted on")
    print(fitted)


if __name__ == "__main__":
    main()
