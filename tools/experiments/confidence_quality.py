"""Measures the confidence of ``nmt calibrate`` on text that it was not fitted on, beside raw log-probabilities.

    nmt calibrate runs/de-en val.de val.en
    python tools/experiments/confidence_quality.py runs/de-en test.de test.en --picture confidence.png

Rows of the table: the confidence, exp of the mean log-probability of words taken as a probability as it is, and a
logistic regression of that one feature, fitted on the validation text that ``--fit SOURCE TARGET`` names. ECE is the
expected calibration error in ten bins; AUC is the probability that an acceptable translation has a higher value than
another one, where equal values count one half.
"""

import argparse
from collections.abc import Sequence
from math import exp
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from nmt.core.text import read_lines
from nmt.extensions.quality.calibrate import Examples
from nmt.extensions.quality.confidence import Regression, area_under_curve, reliability
from nmt.extensions.quality.examination import calibration_of
from nmt.plotting.style import style, write_figure
from nmt.translation.load import load

SHARES = (1.0, 0.75, 0.5, 0.25)
ONE = "mean_log_probability"


def quality(values: Sequence[float], acceptable: Sequence[bool]) -> np.ndarray:
    """Returns the share of acceptable translations among the 1, 2, … most confident ones."""
    ordered = np.array(acceptable)[np.argsort(-np.array(values), kind="stable")]
    return ordered.cumsum() / np.arange(1, len(ordered) + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("text", type=Path, nargs=2, metavar="FILE", help="source and reference")
    parser.add_argument("--fit", type=Path, nargs=2, metavar="FILE", help="validation text of the regression of one")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    model = load(given.model_dir, "cpu")
    calibration = calibration_of(model)
    pairs = zip(*map(read_lines, given.text), strict=True)
    found = Examples.collect(model, pairs, num_samples=calibration.samples)
    min_chrf = calibration.min_chrf
    acceptable = [score >= min_chrf for score in found.scores]
    values = {
        "confidence": [calibration.probability(row) for row in found.rows],
        "raw log-probability": [exp(row[ONE]) for row in found.rows],
    }
    if given.fit:
        other = Examples.collect(model, zip(*map(read_lines, given.fit), strict=True))
        single = Regression.fit([{ONE: row[ONE]} for row in other.rows], [score >= min_chrf for score in other.scores])
        values["fitted log-probability"] = [single.probability({ONE: row[ONE]}) for row in found.rows]
    print(f"{sum(acceptable)} of {len(acceptable)} translations have a chrF of at least {min_chrf:g}\n")
    heads = " | ".join(f"acceptable in the first {share:.0%}" for share in SHARES)
    print(f"| | ECE | AUC | {heads} |\n| --- |{' --- |' * (2 + len(SHARES))}")
    for name, each in values.items():
        shares = quality(each, acceptable)
        cells = " | ".join(f"{shares[int(share * len(each)) - 1]:.1%}" for share in SHARES)
        print(
            f"| {name} | {reliability(each, acceptable)[0]:.1%} | {area_under_curve(each, acceptable):.3f} | {cells} |"
        )
    for limit in (0.5, 0.7, 0.8, 0.9, 0.95):
        kept = [ok for p, ok in zip(values["confidence"], acceptable, strict=True) if p >= limit]
        print(
            f"--abstain {limit}: {len(kept)} translations stay, {sum(kept) / max(len(kept), 1):.1%} of them acceptable"
        )
    words, right = ([each for row in rows for each in row] for rows in (found.word_rows, found.right))
    print(
        f"\n{sum(right)} of {len(right)} words are in the references\n\n| of words | ECE | AUC |\n| --- | --- | --- |"
    )
    of_words = {"probability of the model": [1 / (1 + exp(-row["log_odds"])) for row in words]}
    if calibration.words is not None:
        of_words["confidence"] = [calibration.words.probability(row) for row in words]
    for name, each in of_words.items():
        print(f"| {name} | {reliability(each, right)[0]:.1%} | {area_under_curve(each, right):.3f} |")
    if given.picture:
        draw(values, acceptable, given.picture)


def draw(values: dict[str, list[float]], acceptable: Sequence[bool], path: Path) -> None:
    with style(values):
        figure = Figure(figsize=(7.5, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color="#767676", linewidth=0.8, linestyle=":")
        for name, each in values.items():
            bins = reliability(each, acceptable)[1]
            left.plot([b.confidence for b in bins], [b.acceptable for b in bins], marker="o", markersize=3, label=name)
            share = quality(each, acceptable)
            covered = np.arange(1, len(share) + 1) / len(share)
            right.plot(covered[19:], share[19:], label=name)
        left.set(title="reliability", xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share of acceptable ones")
        right.set(title="quality by coverage", xlim=(0, 1), xlabel="share that is translated")
        right.legend(fontsize=8)
        write_figure(figure, path)


if __name__ == "__main__":
    main()
