"""Training speed of nmt and of other toolkits, in turns on this machine, as a table in Markdown.

    python tools/bench/train_cpu.py bench/transformer_256 --set data.root=FOLDER --turns 3 \\
        --peer "marian=python marian_train.py --steps 60" --peer "eole=eole train -c eole.yaml"

A peer is any command whose output tells its speed, once or now and then; ``--pattern`` finds the number (its first
group that matches), by default in "tokens_per_second: 1234.5" and "1,234 target tokens/s". What nmt says is read from
metrics.jsonl. The first figure of each run is left out where there are others, since it holds the start; the rest
make a harmonic mean, which is tokens over time where the figures stand for equal numbers of tokens.

Machines drift, so each turn runs all of them once, and the ratios are those of the medians.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from turns import in_turns, mean_speed, named_command, peer_speed, run, table

PATTERN = r"tokens_per_second\W*([\d.,]+)|([\d.,]+)\s*(?:target )?tokens/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", type=named_command)
    parser.add_argument("--pattern", default=PATTERN, help="regular expression whose first group is a speed")
    parser.add_argument("--turns", type=int, default=3, metavar="N")
    options = parser.parse_args()
    measures = {recipe: partial(nmt_speed, recipe, options.settings) for recipe in options.recipes}
    measures |= {name: partial(peer_speed, name, command, options.pattern) for name, command in options.peer}
    print(table(in_turns(measures, options.turns), options.recipes[0], "target tokens/s"))


def nmt_speed(recipe: str, settings: Sequence[str]) -> float:
    """Train a recipe in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "model"
        changes = [f"--set={setting}" for setting in settings]
        run([sys.executable, "-m", "nmt", "train", recipe, "-o", str(directory), *changes], recipe)
        lines = map(json.loads, (directory / "metrics.jsonl").read_text("utf-8").splitlines())
        return mean_speed([line["tokens_per_second"] for line in lines if line["event"] == "train"], recipe)


if __name__ == "__main__":
    main()
