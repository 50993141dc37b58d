"""Speeds of commands, in turns, as a table in Markdown: what the benchmarks of this folder share."""

import argparse
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence


def in_turns(measures: Mapping[str, Callable[[], float]], num_turns: int) -> dict[str, list[float]]:
    """Run each measure once a turn; the speeds by name."""
    speeds: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(1, num_turns + 1):
        for name, measure in measures.items():
            speeds[name].append(measure())
        print(f"turn {turn} of {num_turns} done", file=sys.stderr, flush=True)
    return speeds


def named_command(text: str) -> tuple[str, str]:
    name, equals, command = text.partition("=")
    if not (name and equals and command):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=COMMAND")
    return name, command


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


def table(runs: Mapping[str, Sequence[float]], base: str, unit: str) -> str:
    """Speeds of each turn, their median, and how many times that of a peer the base is."""
    columns = [unit, *(f"turn {turn + 1}" for turn in range(len(runs[base]))), "median", f"{base} / this"]
    digits = 0 if min(map(min, runs.values())) >= 1000 else 1
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for name, speeds in runs.items():
        median = statistics.median(speeds)
        ratio = statistics.median(runs[base]) / median
        lines.append(
            f"| {name} | {' | '.join(f'{s:,.{digits}f}' for s in speeds)} | {median:,.{digits}f} | {ratio:.2f} |"
        )
    return "\n".join(lines)
