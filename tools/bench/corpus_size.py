"""Does training take more memory, or longer to start, with more sentence pairs?

    python tools/bench/corpus_size.py 100000 10000000

For each size, sentence pairs of four to twelve random words are written to a temporary folder, and a small LSTM is
trained on them for a few updates twice, by processes of their own: the first run makes the vocabulary and encodes the
text, the second finds both. Reports the seconds of the first run, the seconds until the first update of the second one
and the longest that it takes to read a pool, and the most memory of its process, with and without the pages of mapped
files, which the system can take back at any time.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nmt.core.console import print_table

NUM_WORDS = 4_000


def write_text(folder: Path, num_pairs: int) -> None:
    """Pairs in which each word stands for one of the other language."""
    draw = random.Random(1)
    for name, number in (("train", num_pairs), ("valid", 200)):
        with (folder / f"{name}.de").open("w") as source, (folder / f"{name}.en").open("w") as target:
            for _ in range(number):
                words = draw.choices(range(NUM_WORDS), k=draw.randint(4, 12))
                source.write(" ".join(f"a{word}" for word in words) + "\n")
                target.write(" ".join(f"b{word}" for word in words) + "\n")


def train(folder: Path, steps: int) -> None:
    """A run in this process, which prints its figures as JSON; it uses the vocabulary of the run before."""
    import nmt
    from nmt.data.batching import TrainingBatches

    run = folder / "first"
    recipe = {
        "data": {"root": str(folder), "source": "de", "target": "en", "valid": "valid"},
        "vocabulary": {"path": str(run)} if run.exists() else {"type": "word", "size": NUM_WORDS + 10},
        "model": {
            "embedding_size": 32,
            "encoder": {"type": "recurrent", "cell": "lstm", "hidden_size": 32},
            "decoder": {"type": "recurrent", "cell": "lstm", "hidden_size": 32},
        },
        "training": {
            "max_steps": steps,
            "validate_every": steps,
            "log_every": 1,
            "validation_size": 1,
            "precision": "fp32",
        },
    }
    started, first, pools = time.perf_counter(), [], []
    read = TrainingBatches._read

    def timed(self: TrainingBatches, rows: object) -> None:
        begin = time.perf_counter()
        read(self, rows)  # type: ignore[arg-type]
        pools.append(time.perf_counter() - begin)

    TrainingBatches._read = timed  # type: ignore[method-assign]
    output = folder / "second" if run.exists() else run
    nmt.train(
        nmt.Recipe.model_validate(recipe), output, on_event=lambda event: first.append(time.perf_counter() - started)
    )
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    anonymous = int(status["RssAnon"].split()[0]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"start": first[0], "most": most, "anonymous": anonymous, "pool": max(pools)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="*", help="numbers of sentence pairs")
    parser.add_argument("--steps", type=int, default=20, help="updates of a run")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        train(arguments.folder, arguments.steps)
        return
    rows = []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_text(Path(folder), size)
            command = [sys.executable, __file__, "--folder", folder, "--steps", str(arguments.steps)]
            figures = []
            for _ in range(2):
                begin = time.perf_counter()
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                figures.append(json.loads(done.stdout.splitlines()[-1]) | {"all": time.perf_counter() - begin})
            rows.append(
                (
                    f"{size:,}",
                    f"{figures[0]['all']:.0f}",
                    *(f"{figures[1][key]:.{digits}f}" for key, digits in (("start", 1), ("pool", 2))),
                    *(f"{figures[1][key]:,.0f}" for key in ("most", "anonymous")),
                )
            )
    header = ("pairs", "first run, s", "second: first update, s", "a pool, s", "peak memory, MB", "without files, MB")
    print_table("Size of the corpus", header, rows)


if __name__ == "__main__":
    main()
