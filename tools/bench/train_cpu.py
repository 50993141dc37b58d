"""Training speed of nmt and of other toolkits, in turns on this machine, as a table in Markdown.

    python tools/bench/train_cpu.py bench/transformer_256 --set data.root=FOLDER --turns 3 \\
        --peer "marian=python marian_train.py --steps 60" --peer "eole=eole train -c eole.yaml"

A peer is any command whose output tells its speed, once or now and then; ``--pattern`` finds the number (its first
group that matches), by default in "tokens_per_second: 1234.5" and "1,234 tokens/s". What nmt says is read from
metrics.jsonl. The first figure of each run is left out where there are others, since it holds the start; the rest
make a harmonic mean, which is tokens over time where the figures stand for equal numbers of tokens.

Machines drift, so each turn runs all of them once, and the ratios are those of the medians.
"""

import argparse
import json
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PATTERN = r"tokens_per_second\W*([\d.,]+)|([\d.,]+)\s*tokens/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", type=named_command)
    parser.add_argument("--pattern", default=PATTERN, help="regular expression whose first group is a speed")
    parser.add_argument("--turns", type=int, default=3, metavar="N")
    options = parser.parse_args()
    runs: dict[str, list[float]] = {name: [] for name in (*options.recipes, *(name for name, _ in options.peer))}
    for turn in range(1, options.turns + 1):
        for recipe in options.recipes:
            runs[recipe].append(nmt_speed(recipe, options.settings))
        for name, command in options.peer:
            runs[name].append(peer_speed(name, command, options.pattern))
        print(f"turn {turn} of {options.turns} done", file=sys.stderr, flush=True)
    print(table(runs, options.recipes[0]))


def named_command(text: str) -> tuple[str, str]:
    name, equals, command = text.partition("=")
    if not (name and equals and command):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=COMMAND")
    return name, command


def nmt_speed(recipe: str, settings: Sequence[str]) -> float:
    """Train a recipe in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "model"
        changes = [f"--set={setting}" for setting in settings]
        run([sys.executable, "-m", "nmt", "train", recipe, "-o", str(directory), *changes], recipe)
        lines = map(json.loads, (directory / "metrics.jsonl").read_text("utf-8").splitlines())
        return mean_speed([line["tokens_per_second"] for line in lines if line["event"] == "train"], recipe)


def peer_speed(name: str, command: str, pattern: str) -> float:
    """Run a command and read its speed from what it prints."""
    found = re.finditer(pattern, run(shlex.split(command), name))
    numbers = [next(group for group in match.groups() if group) for match in found]
    return mean_speed([float(number.replace(",", "").rstrip(".")) for number in numbers], name)


def run(command: Sequence[str], name: str) -> str:
    """All that a command prints; where it fails, the end of that is the message."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed with exit code {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout


def mean_speed(figures: Sequence[float], name: str) -> float:
    if not figures:
        sys.exit(f"{name} printed no speed that --pattern finds.")
    return statistics.harmonic_mean(figures[1:] or figures)


def table(runs: dict[str, list[float]], base: str) -> str:
    """Speeds of each turn, their median, and how many times that of a peer the base is."""
    columns = ["target tokens/s", *(f"turn {turn + 1}" for turn in range(len(runs[base]))), "median", f"{base} / this"]
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for name, speeds in runs.items():
        median = statistics.median(speeds)
        ratio = statistics.median(runs[base]) / median
        lines.append(f"| {name} | {' | '.join(f'{s:,.0f}' for s in speeds)} | {median:,.0f} | {ratio:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
