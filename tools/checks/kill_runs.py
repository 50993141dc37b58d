"""Kill training, translation and data commands at random moments, and compare what they end with.

    python tools/checks/kill_runs.py --kills 1000 --seed 1
    python tools/checks/kill_runs.py --kills 50 --kind "two ranks"

Commands are those that train, also in bfloat16, that translate or clean, also folders of shards, and that align or
average. A command runs in a process of its own, which is killed (``kill -9``) after a random part of the time that the
command takes, and is started again with ``--resume`` where it has that option, until it ends by itself. Then every
file that it has written is compared, byte by byte, with those of a run that was never killed; of logs and states only
the clocks are left out. After each kill, no complete checkpoint may be damaged or lost, a partial translation must be a
beginning of the whole one, and other results must be absent, the old or the new ones. Training samples subwords, reads
both directions, has dropout, an average of the weights and accumulated gradients. Needs Linux.
"""

import argparse
import contextlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fork_server import ForkServer, has_ended, variables_of_ranks
from hostile_input import RECIPE, write_corpus

from nmt.extensions.shards.shards import JOURNAL

TRANSFORMER = {"type": "transformer", "num_layers": 1, "num_heads": 2, "feed_forward_size": 16, "dropout": 0.2}
SETTINGS = {
    "vocabulary": {"type": "unigram", "size": 150},
    "model.encoder": TRANSFORMER,
    "model.decoder": TRANSFORMER,
    "training.techniques": {"subword_sampling": {"alpha": 0.2}, "reverse_pairs": {"fraction": 0.5}},
    "training.max_epochs": 4,
    "training.max_steps": None,
    "training.ema": 0.9,
    "training.accumulate": 2,
    "training.schedule": {"type": "plateau", "patience": 0, "warmup_steps": 5, "min_learning_rate": 1e-30},
    "training.validate_every": 6,
    "training.checkpoint_every": 2,
    "training.keep_best": 2,
    "training.log_every": 1,
    "decoding.max_length": 12,
}
STAGES = [
    {"name": "one", "corpora": {"all": 2, "test": 1}, "until": "test 1"},
    {"name": "two", "corpora": {"test": 3, "all": 1}, "until": "test 2"},
    {"name": "three", "corpora": {"all": 1}},
]
"""Of two corpora."""
CLOCKS = {"seconds", "tokens_per_second", "waiting_for_data", "peak_memory_mb", "elapsed", "waiting_seconds"}
PATIENCE = 60.0
"""Seconds, beside ten times those that the whole command takes, within which processes end by themselves."""


# Comparing


def differences(ours: Path, theirs: Path) -> list[str]:
    """The names of files, in two folders or two files themselves, that don't have the same content.

    Clocks and memory in logs and states, where a log was resumed, and the sums of such files are left out.
    """
    if not theirs.is_dir():
        return [] if comparable(ours) == comparable(theirs) else [ours.name]
    names = {str(path.relative_to(root)) for root in (ours, theirs) for path in root.rglob("*")} - {".lock"}
    wrong = [name for name in sorted(names) if comparable(ours / name) != comparable(theirs / name)]
    return wrong + [f"{path.parent.name}: sums" for path in (ours / "checkpoints").glob("step-*") if damaged(path)]


def comparable(path: Path) -> Any:
    """The content of a file, ``folder`` for a folder, None for what doesn't exist."""
    if path.is_dir():
        return "folder"
    if not path.exists():
        return None
    content = path.read_bytes()
    if path.name == "SHA256SUMS":
        return [line.split()[1:] for line in content.splitlines()]
    if path.name == "README.md":  # without the time, and the digest at the end
        return [line for line in content.splitlines()[:-1] if not line.startswith(b"| Time and memory")]
    if path.name == JOURNAL:  # shards are done in any order
        return sorted(content.splitlines())
    if path.name in ("state.json", "metrics.jsonl"):
        with contextlib.suppress(ValueError):  # not JSON: the file is compared as it is
            values = [json.loads(line) for line in content.splitlines()]
            return [without_clocks(value) for value in values if value.get("event") != "resume"]
    return content


def without_clocks(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: without_clocks(value) for key, value in values.items() if key not in CLOCKS}
    return values


def damaged(checkpoint: Path) -> str:
    from nmt.training.checkpoint import damage

    return damage(checkpoint)


# Commands


@dataclass(frozen=True)
class Command:
    """A command that writes ``out``, a file or a folder.

    Args:
        name: of the kind of command.
        share: of all kills, in parts of those of all commands.
        arguments: ``nmt …``, with ``out`` in place of the path of the output.
        kind: what is checked after a kill.
        num_ranks: processes that train together.
        torchrun: start them by torchrun itself, which takes seconds.
        changes: ``out`` is a copy of the model directory at first, and is changed.
    """

    name: str
    share: int
    arguments: list[str]
    kind: str = "whole"
    num_ranks: int = 1
    torchrun: bool = False
    changes: bool = False


def commands() -> list[Command]:
    """All kinds of commands; paths are relative to the folder of the honest input."""
    train = ["train", "recipe.yaml", "-o", "out", "--resume", "-q"]
    few, shards = ["few.en", "few.de"], ["translate", "model", "-i", "shards.en", "-o", "out", "-q"]
    translate = ["translate", "model", "-i", "many.en", "-o", "out", "--resume", "-q"]
    return [
        Command("train, one rank", 36, train, "train"),
        Command("train, bfloat16", 8, [*train, "--set", "training.precision=bf16"], "train"),
        Command("train, two ranks", 28, train, "train", num_ranks=2),
        Command("train in stages, one rank", 8, ["train", "stages.yaml", *train[2:]], "train"),
        Command("train in stages, two ranks", 8, ["train", "stages.yaml", *train[2:]], "train", num_ranks=2),
        Command("train, torchrun with two ranks", 1, train, "train", num_ranks=2, torchrun=True),
        Command("translate", 8, translate, "translate"),
        Command("translate, n-best JSON", 4, [*translate, "--format", "jsonl", "--n-best", "2"], "translate"),
        Command("translate, sampled", 4, [*translate, "--search", "sample", "--batch-size", "7"], "translate"),
        Command("translate shards", 8, shards, "shards"),
        Command("translate shards, two workers", 4, [*shards, "--workers", "2"], "shards"),
        Command("clean shards", 4, ["clean", "shards.en", "shards.de", "-o", "out", "-q"], "shards"),
        Command("backtranslate", 4, ["backtranslate", *translate[1:], "--noise"]),
        Command("translate --score-only", 3, ["translate", "model", "--score-only", *few, "-o", "out", "-q"]),
        Command("align", 3, ["align", "model", *few, "-o", "out", "-q"]),
        Command("align to a page", 3, ["align", "model", *few, "--format", "html", "-o", "out", "-q"]),
        Command("learn-alignment", 4, ["learn-alignment", "out", *few, "-q"], changes=True),
        Command("average into a new folder", 3, ["average", "model", "--last", "2", "-o", "out"]),
    ]


class Killer:
    """Runs commands and kills them.

    Args:
        base: the folder of the honest input: corpus/, recipe.yaml, many.en, few.en, few.de.
        seed: of the moments of the kills.
    """

    def __init__(self, base: Path, seed: int) -> None:
        self.server, self.base, self.random = ForkServer(), base, random.Random(seed)
        self.kills, self.compared = Counter[str](), Counter[str]()
        self.problems: list[str] = []
        self._wholes: dict[str, tuple[Path, float]] = {}

    def whole(self, command: Command) -> tuple[Path, float]:
        """What a command writes that nothing kills, and the seconds that it takes."""
        if command.name not in self._wholes:
            out = self._folder(command, f"whole-{len(self._wholes)}")
            started = time.monotonic()
            for pid in self._start(command, out):
                if self._wait(command, pid) != 0:
                    sys.exit(f"{command.name} fails without a kill:\n{(out.parent / 'messages').read_text()}")
            self._wholes[command.name] = out, time.monotonic() - started
        return self._wholes[command.name]

    def once(self, command: Command, max_kills: int) -> None:
        """Run a command to its end, with at most so many kills, and compare what it has written."""
        (theirs, seconds), out = self.whole(command), self._folder(command, "killed")
        newest, kills, codes = -1, 0, [-signal.SIGKILL]
        while any(codes):
            pids = self._start(command, out)
            deadline = time.monotonic() + self.random.random() * seconds
            while kills < max_kills and time.monotonic() < deadline and not all(map(has_ended, pids)):
                time.sleep(0.001)
            if kills < max_kills:
                self._kill(command, pids, out)
            codes = [self._wait(command, pid) for pid in pids]
            # a rank that has lost the other ends with 2; by torchrun's signal where it waits for the other to come
            others = {2, 0, 143, -signal.SIGTERM} if command.num_ranks > 1 else set()
            killed = {-signal.SIGKILL, 1} if command.torchrun else {-signal.SIGKILL}  # 1: torchrun lost a process
            if any(codes) and not (kills < max_kills and killed & {*codes} and killed | others >= {*codes}):
                self._problem(command, f"exit codes {codes}: {(out.parent / 'messages').read_text()[-2000:]}")
                break
            if any(codes):
                kills += 1
                newest = self._check(command, out, theirs, newest)
                if out.is_dir() and not command.changes and command.kind == "whole":  # a second run would refuse it
                    break
        for wrong in differences(out, theirs):
            self._problem(command, f"{wrong} differs at the end, after {kills} kills")
        if not command.torchrun and "Traceback" in (out.parent / "messages").read_text():
            self._problem(command, f"a traceback: {(out.parent / 'messages').read_text()[-2000:]}")
        self.kills[command.name] += kills
        self.compared[command.name] += 1

    def _kill(self, command: Command, pids: list[int], out: Path) -> None:
        """Kill some of the processes of a command, or all of them."""
        if command.torchrun:
            pids = processes_of(out)  # torchrun and those that it has started
        doomed = pids if len(pids) < 2 or self.random.random() < 0.5 else [self.random.choice(pids)]
        self._killed = True
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _check(self, command: Command, out: Path, theirs: Path, newest: int) -> int:
        """Look at what a kill has left; the newest checkpoint."""
        if command.kind == "train":
            steps = [int(path.name.removeprefix("step-")) for path in out.glob("checkpoints/step-*")]
            for path in out.glob("checkpoints/step-*"):
                if wrong := damaged(path):
                    self._problem(command, f"{path.name} is damaged after a kill: {wrong}")
            if max(steps, default=-1) < newest:
                self._problem(command, f"the checkpoint of step {newest} is lost")
            return max(steps, default=-1)
        partial = [out.with_name("out.partial")] if command.kind == "translate" else out.glob("*.partial")
        for path in (path for path in partial if not path.is_dir()):
            complete = b"".join(line for line in lines_of(path) if line.endswith(b"\n"))
            whole = theirs if command.kind == "translate" else theirs / path.stem
            if not whole.read_bytes().startswith(complete):
                self._problem(command, f"{path.name} is not a beginning of the whole translation")
        before = self.base / "model" if command.changes else None
        for path in (path for path in (out, *out.rglob("*")) if path.is_file() and not unfinished(path)):
            others = [root / path.relative_to(out) for root in (theirs, before) if root is not None]
            if comparable(path) not in [comparable(other) for other in others]:
                self._problem(command, f"{path.name} is neither the old nor the new one")
        return newest

    def _folder(self, command: Command, name: str) -> Path:
        """An empty folder for a run; where its output is to be."""
        folder = self.base.parent / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if command.changes:
            shutil.copytree(self.base / "model", folder / "out")
        return folder / "out"

    def _start(self, command: Command, out: Path) -> list[int]:
        self._out, self._killed, messages = out, False, out.parent / "messages"
        paths = {path.name: str(path) for path in self.base.iterdir()} | {"out": str(out)}
        arguments = [paths.get(argument, argument) for argument in command.arguments]
        cache = {"NMT_CACHE": str(out.parent / "cache")}
        if command.torchrun:
            return self._torchrun(arguments, messages, cache)
        ranks = variables_of_ranks(command.num_ranks) if command.num_ranks > 1 else [{}]
        return [self.server.start(messages, arguments, **cache, **variables) for variables in ranks]

    def _torchrun(self, arguments: list[str], messages: Path, environment: dict[str, str]) -> list[int]:
        line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "nmt"]
        with messages.open("ab") as file:
            self._agent = subprocess.Popen([*line, *arguments], stderr=file, env=os.environ | environment)
        return [self._agent.pid]

    def _wait(self, command: Command, pid: int) -> int:
        """The exit code of a process; one that doesn't end is killed, which is a problem."""
        patience = PATIENCE + 10 * self._wholes[command.name][1] if command.name in self._wholes else 3600.0
        deadline = time.monotonic() + patience
        torchrun_acts = time.monotonic() + 10
        while not has_ended(pid) or (command.torchrun and len(processes_of(self._out)) > 0):
            if time.monotonic() > deadline:
                self._problem(command, f"hasn't ended within {patience:.0f} s")
                for process in {pid, *processes_of(self._out)}:
                    os.kill(process, signal.SIGKILL)
                deadline += patience
            if command.num_ranks > 1 and not command.torchrun and self._killed and time.monotonic() > torchrun_acts:
                os.kill(pid, signal.SIGTERM)  # as torchrun does when a process has ended; it isn't there to do so
                torchrun_acts = math.inf
            time.sleep(0.002)
        return self._agent.wait() if command.torchrun else self.server.wait(pid)

    def _problem(self, command: Command, text: str) -> None:
        self.problems.append(f"{command.name}: {text}")
        print(f"DIFFERENT {self.problems[-1]}", flush=True)


def unfinished(path: Path) -> bool:
    """Whether a file is a lock, partial, or what a killed process has left under a temporary name."""
    return any(part == ".lock" or part.startswith(".nmt-") or part.endswith(".partial") for part in path.parts)


def lines_of(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            yield from file


def processes_of(out: Path) -> list[int]:
    """The processes that have a path among their arguments; not those that have ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(out).encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def make_base(base: Path) -> None:
    """The honest input but for the model directory."""
    write_corpus(base / "corpus", train=40, valid=8, test=40)
    recipe = json.loads(json.dumps(RECIPE))
    recipe["data"]["root"] = str(base / "corpus")
    for key, value in SETTINGS.items():
        *groups, last = key.split(".")
        inner = recipe
        for group in groups:
            inner = inner[group]
        inner[last] = value
    (base / "recipe.yaml").write_text(json.dumps(recipe), "utf-8")
    files = {
        name: {side: str(base / "corpus" / f"{split}.{recipe['data'][side]}") for side in ("source", "target")}
        for name, split in (("all", "train"), ("test", "test"))
    }
    recipe["data"] |= {"corpora": [{"name": name, **sides} for name, sides in files.items()], "stages": STAGES}
    (base / "stages.yaml").write_text(json.dumps(recipe), "utf-8")
    for language in ("en", "de"):
        text = (base / "corpus" / f"test.{language}").read_text("utf-8").splitlines(keepends=True)
        (base / f"few.{language}").write_text("".join(text[:12]), "utf-8")
        (base / f"many.{language}").write_text("".join(text), "utf-8")
        (base / f"shards.{language}").mkdir()
        for number in range(4):
            shard = "".join(text[number * len(text) // 4 : (number + 1) * len(text) // 4])
            (base / f"shards.{language}" / f"part-{number}").write_text(shard, "utf-8")


def run(base: Path, num_kills: int, seed: int, only: str | None, minutes: float = math.inf) -> Killer:
    """Kill commands so many times, or as often as there is time for; what was found."""
    make_base(base)
    killer, known = Killer(base, seed), commands()
    shutil.copytree(killer.whole(known[0])[0], base / "model")
    chosen = [command for command in known if only is None or only in command.name]
    shares, started = sum(command.share for command in chosen), time.monotonic()
    while (done := killer.kills.total()) < num_kills and time.monotonic() < started + 60 * minutes:
        # the command that is furthest behind its share
        command = min(chosen, key=lambda c: (killer.kills[c.name] + 1) / c.share)
        killer.once(command, min(num_kills - done, max(1, num_kills * command.share // shares)))
        if killer.kills.total() // 10 > done // 10:
            print(f"{killer.kills.total():,} kills in {time.monotonic() - started:.0f} s", flush=True)
    for command in chosen:  # few kills leave some commands without a comparison
        if not killer.compared[command.name] and num_kills >= len(known):
            killer.once(command, 1)
    killer.server.close()
    return killer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the moments of the kills")
    parser.add_argument("--kind", metavar="TEXT", help="only commands with this in their name, such as 'two ranks'")
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="X", help="stop earlier, after so long")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        (base := Path(name) / "base").mkdir()
        killer = run(base, options.kills, options.seed, options.kind, options.minutes)
    print(f"{'killed':<32}{'kills':>8}{'compared':>10}{'different':>11}")
    for command in commands():
        wrong = sum(problem.startswith(f"{command.name}: ") for problem in killer.problems)
        print(f"{command.name:<32}{killer.kills[command.name]:>8,}{killer.compared[command.name]:>10,}{wrong:>11,}")
    wrong = len(killer.problems)
    print(f"{'all':<32}{killer.kills.total():>8,}{killer.compared.total():>10,}{wrong:>11,}")
    sys.exit(bool(killer.problems))


if __name__ == "__main__":
    main()
