"""Does it help to know what was said before? The systems of recipes/chat, both directions, with significance.

    python tools/corpora/chat_corpus.py train.json dev.json -o chat
    python tools/experiments/compare_dialogues.py chat runs/chat

trains what isn't in runs/chat yet, translates what agents (English) and customers (German) say in the test split, and
prints a table for each direction: BLEU with its 95 % interval, the difference to the model without context, and how
likely that is by chance (paired bootstrap resampling, Koehn 2004, by sacreBLEU). What was stopped goes on. The
hierarchical model is trained a second time without the context, and scored a second time with the contexts of the lines
dealt out anew: a model that uses its context gets worse by that. Settings such as --set training.max_epochs=5 hold for
all trainings. --direction en-de does half of it, so that two processes, each on a core of its own, can share the work.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runs import exit_codes, train, translate
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest, Result

from nmt.core.text import read_lines
from nmt.data.dialogue import TAB, current_turn, split_turns
from nmt.recipe.load import load_recipe

SYSTEMS: dict[str, tuple[str, list[str]]] = {
    "no_context": ("chat/no_context", []),
    "flat": ("chat/flat", []),
    "hierarchical_alone": ("chat/hierarchical", ["data.history_turns=0", "training.batch_tokens=1024"]),
    "hierarchical": ("chat/hierarchical", []),
}
"""Recipe and settings of each. The hierarchical model that reads the current turn alone tells what its attention does
without a context; its batches have as many sentences as those with one."""
DIRECTIONS = {"en-de": "agent", "de-en": "customer"}
"""Who writes the source."""
SHUFFLED = "hierarchical, context shuffled"


def shuffle_contexts(lines: Sequence[str], context: int, seed: int = 1) -> list[str]:
    """Each line with the context of another one that has as many turns before the current one; their order is kept."""
    rows: dict[int, list[int]] = defaultdict(list)
    turns = [split_turns(line, context) for line in lines]
    for row, some in enumerate(turns):
        rows[len(some)].append(row)
    shuffled = list(lines)
    rng = random.Random(seed)
    for alike in rows.values():
        rng.shuffle(alike)
        for row, other in zip(alike, alike[1:] + alike[:1], strict=True):
            shuffled[row] = TAB.join([*turns[other][:-1], turns[row][-1]])
    return shuffled


def compare(outputs: dict[str, list[str]], references: list[str], samples: int) -> tuple[list[Result], str]:
    """BLEU of each system with its interval, and p of its difference to the first one; and the signature."""
    metrics: dict[str, Any] = {"BLEU": BLEU(references=[references])}
    test = PairedTest(list(outputs.items()), metrics, references=None, test_type="bs", n_samples=samples)
    signatures, results = test()
    base, *others = outputs.values()
    for result, output in zip(results["BLEU"][1:], others, strict=True):
        if output == base:  # which the bootstrap takes for a sure difference, because it is the same in all samples
            result.p_value = 1.0
    return results["BLEU"], str(signatures["BLEU"])


def table(names: Sequence[str], results: Sequence[Result]) -> str:
    """Markdown, a row a system; p of the first is empty."""
    first = results[0].score
    rows = [f"| system | BLEU | 95 % interval | difference to {names[0]} | p |", "| --- | --- | --- | --- | --- |"]
    for name, result in zip(names, results, strict=True):
        interval = f"{result.mean - result.ci:.1f} – {result.mean + result.ci:.1f}"
        apart = "" if result.p_value is None else f"{result.score - first:+.2f}"
        p = "" if result.p_value is None else f"{result.p_value:.3f}"
        rows.append(f"| {name} | {result.score:.2f} | {interval} | {apart} | {p} |")
    return "\n".join(rows)


def report(arguments: argparse.Namespace) -> None:
    """Train, translate, and print the tables."""
    arguments.runs.mkdir(parents=True, exist_ok=True)
    for direction in arguments.direction or DIRECTIONS:
        (source, target), speaker = direction.split("-"), DIRECTIONS[direction]
        stem = arguments.folder / f"test.{speaker}"
        lines = list(read_lines(f"{stem}.{source}"))
        references = [current_turn(line) for line in read_lines(f"{stem}.{target}")]
        outputs: dict[str, list[str]] = {}
        languages = [f"data.source={source}", f"data.target={target}"]
        settings = [f"data.root={arguments.folder}", *languages, *arguments.settings]
        for system, (recipe, own) in SYSTEMS.items():
            run = arguments.runs / f"{system}.{direction}"
            train(recipe, run, [*settings, *own])
            outputs[system] = translate(run, lines, run / f"test.{speaker}.{target}")
        run = arguments.runs / f"hierarchical.{direction}"
        shuffled = shuffle_contexts(lines, load_recipe(run / "recipe.yaml").data.history_turns or 0)
        outputs[SHUFFLED] = translate(run, shuffled, run / f"test.{speaker}.shuffled.{target}")
        print(f"\n{source} → {target}, what the {speaker} says: {len(lines):,} turns\n")
        for names in (list(SYSTEMS), ["hierarchical", SHUFFLED, "hierarchical_alone", "flat"]):
            results, signature = compare({name: outputs[name] for name in names}, references, arguments.samples)
            print(f"{table(names, results)}\n")
        print(signature)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what tools/corpora/chat_corpus.py wrote")
    parser.add_argument("runs", type=Path, help="folder for the model directories")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--direction", action="append", choices=list(DIRECTIONS), help="this one alone")
    parser.add_argument("--samples", type=int, default=1000, help="resamplings of the bootstrap (1000)")
    with exit_codes():
        report(parser.parse_args())


if __name__ == "__main__":
    main()
