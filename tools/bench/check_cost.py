"""Measures in turns what the check costs: processor time of translation without it, with it, and with a second pass.

    OMP_NUM_THREADS=1 python tools/bench/check_cost.py runs/de-en test.de --turns 7

The last column is the median over the turns of the time divided by that of translation alone in the same turn, so that
other work on the machine changes little.
"""

import argparse
import itertools
import statistics
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from nmt.translation.load import load
from nmt.translation.translator import Translator

WAYS: dict[str, dict[str, Any]] = {
    "translation alone": {},
    "with the check": {"check": True},
    "with alignment (jsonl)": {"with_alignment": True},
    "with alignment and check": {"with_alignment": True, "check": True},
}


def seconds(model: Translator, lines: list[str], options: dict[str, Any], again: bool) -> float:
    """Returns the processor time of a translation; ``again``: nothing of the search is used again."""
    trace = mock.patch.object(Translator, "_trace", return_value=None)
    start = time.process_time()
    with trace if again else nullcontext():
        list(model.stream(lines, **options))
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--lines", type=int, default=192)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    model, lines = load(given.model_dir, "cpu"), given.text.read_text("utf-8").splitlines()[: given.lines]
    ways = {name: (options, False) for name, options in WAYS.items()}
    ways |= {f"{name}, second pass": (options, True) for name, options in itertools.islice(WAYS.items(), 1, None)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(given.turns + 1):  # the first one is a warm-up
        for name, (options, again) in ways.items():
            found = seconds(model, lines, options, again)
            times[name] += [found] * (turn > 0)
    first = next(iter(times.values()))
    print(f"| {len(lines)} lines | seconds | of translation alone |\n| --- | --- | --- |")
    for name, found in times.items():
        ratio = statistics.median(own / base for own, base in zip(found, first, strict=True))
        print(f"| {name} | {statistics.median(found):.3f} | {ratio:.1%} |")


if __name__ == "__main__":
    main()
