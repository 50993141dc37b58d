"""How well a model does a generated task, length by length, and how long it ponders.

    python tools/experiments/task_accuracy.py runs/copy_ntm --lengths 20 40

For each length so many new pairs are drawn from the task of the model's recipe, and the model translates them by the
recipe's own decoding. A symbol counts as right where it stands in its place; a line where all of it is right. A model
with adaptive computation time also shows the mean ponder steps of the source and target tokens before EOS, with the
target given.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from nmt.core.errors import UserError
from nmt.data.batch import make_batch
from nmt.extensions.algorithmic.tasks import Pair, task_pairs
from nmt.models.layers import length_mask
from nmt.recipe.schema import TaskOptions
from nmt.translation.load import load
from nmt.translation.translator import Translator


def accuracy(found: Sequence[str], pairs: Sequence[Pair]) -> tuple[float, float]:
    """Shares of symbols and of whole lines that are right."""
    right = total = lines = 0
    for line, (_, expected) in zip(found, pairs, strict=True):
        symbols, wanted = line.split(), expected.split()
        # A missing symbol is a wrong one; what is too much makes the line wrong.
        right += sum(a == b for a, b in zip(symbols, wanted, strict=False))
        total += len(wanted)
        lines += symbols == wanted
    return right / total, lines / len(pairs)


@torch.inference_mode()
def ponder_steps(translator: Translator, pairs: Sequence[Pair]) -> dict[str, float]:
    """Mean ponder steps of the tokens of each side without EOS, where the model counts them."""
    ids = [(translator.encode_source(source), translator.encode_target(target)) for source, target in pairs]
    batch = make_batch(ids, translator.vocabularies).to(translator.model.device)
    unrolled = translator.model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
    sides = {
        "source": (unrolled.source_diagnostics, batch.source_length_B),
        "target": (unrolled.diagnostics, batch.target_length_B),
    }
    means = {}
    for side, (figures, length_B) in sides.items():
        if "ponder" in figures:
            mask = length_mask(length_B - 1, figures["ponder"].shape[1])
            means[side] = float(figures["ponder"][mask].mean())
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--lengths", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--num-pairs", type=int, default=100, help="of each length")
    parser.add_argument("--seed", type=int, default=1000)
    given = parser.parse_args()
    try:
        translator = load(given.model_dir, "cpu")
    except UserError as error:
        parser.error(f"{error.message} {error.remedy}")
    task = translator.recipe.data.task
    if task is None:
        parser.error(f"{given.model_dir} was not trained on a task: its recipe has no data.task")
    print("length  symbols   lines  ponder steps")
    for length in given.lengths:
        values = task.model_dump() | {"min_length": length, "max_length": length, "seed": given.seed}
        pairs = list(task_pairs(TaskOptions(**values | {"num_valid": given.num_pairs}), "test"))
        found = [t.text for t in translator.translate(source for source, _ in pairs)]
        symbols, lines = accuracy(found, pairs)
        thought = "  ".join(f"{side} {mean:.2f}" for side, mean in ponder_steps(translator, pairs).items())
        print(f"{length:6}  {symbols:7.2%}  {lines:6.1%}  {thought or '-'}")


if __name__ == "__main__":
    main()
