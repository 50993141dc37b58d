"""Translate a folder of shards with workers, and the same lines in one file by the plain command.

    python tools/bench/shards.py quickstart/model --lines 1000000

The lines are the English ones of the embedded corpus, over and over, each time in another order, in shards of 50,000
lines (or 20 shards, if there are fewer lines). For each number of threads there are two commands: the plain one, and as
many workers as threads. The table has the time, lines per second, processor time, the peak memory of the largest
process, and the time beyond that of the plain command; all outputs must be the same bytes.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nmt.quickstart.embedded_corpus import splits

LINES_OF_SHARD = 50_000


def write_lines(folder: Path, count: int) -> list[Path]:
    """Shards of lines, and one file with all of them, ``all.en``."""
    (folder / "shards").mkdir()
    lines, rng = [pair.source for pair in splits()["train"]], random.Random(1)
    size = min(LINES_OF_SHARD, -(-count // 20))
    copies = [line for _ in range(-(-count // len(lines))) for line in rng.sample(lines, len(lines))][:count]
    parts = [copies[start : start + size] for start in range(0, count, size)]
    paths = [folder / "shards" / f"part-{number:03}.en" for number in range(len(parts))]
    for path, part in zip([*paths, folder / "all.en"], [*parts, copies], strict=True):
        path.write_text("".join(f"{line}\n" for line in part), "utf-8")
    return paths


def measure(arguments: list[str], threads: int) -> tuple[float, float, float]:
    """Run ``nmt``: seconds, seconds of processors, and MiB of the largest process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "nmt", "--quiet", *arguments], env=os.environ | {"OMP_NUM_THREADS": str(threads)}
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"nmt {' '.join(arguments)} failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model directory that translates English")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads, and of workers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shards = write_lines(folder, options.lines)
        print(
            "| command | threads | time, s | lines/s | processor time, s | largest process, MiB | time beyond plain |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for threads in options.threads:
            translated = [folder / f"all.{threads}", folder / f"shards.{threads}"]
            plain = ["translate", options.model, "--beam-size", "1"]
            commands = {
                "-i all.en": [*plain, "-i", str(folder / "all.en"), "-o", str(translated[0])],
                f"-i shards --workers {threads}": [
                    *[*plain, "-i", str(folder / "shards"), "-o", str(translated[1])],
                    *["--workers", str(threads)],
                ],
            }
            found = {name: measure(command, threads) for name, command in commands.items()}
            first = next(iter(found.values()))[0]
            for name, (seconds, busy, memory) in found.items():
                figures = f"{seconds:.1f} | {options.lines / seconds:,.0f} | {busy:.1f} | {memory:,.0f}"
                print(f"| {name} | {threads} | {figures} | {seconds / first - 1:+.1%} |", flush=True)
            joined = b"".join((translated[1] / shard.name).read_bytes() for shard in shards)
            if joined != translated[0].read_bytes():
                sys.exit("the outputs are different")


if __name__ == "__main__":
    main()
