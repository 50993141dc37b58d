"""Two commands at a time in one folder, for ``tools/checks/torture.py``.

What they leave together must be what they leave one after the other in some order, or what one of them leaves by
itself if the other is refused.
"""

import math
import random
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from hostile_files import FileKinds
from hostile_input import Case
from hostile_process import MEGABYTES, SECONDS, run
from kill_runs import comparable

from nmt.extensions.memory.memory import TranslationMemory

TRAIN = "train recipe.yaml -o run -q --set training.max_steps=2"
RESUME = "train recipe.yaml -o model --resume -q --set training.max_steps=6"
PAIRS = tuple(tuple(line.split(" | ")) for line in f"""\
translate model -i few.en -o out | translate model -i few.de -o out
translate model -i few.en -o out --resume | translate model -i few.en -o out --resume
translate model -i few.en -o out.gz | translate model -i few.en -o out.gz --n-best 2 --beam-size 2
translate model -i few.en -o out | align model few.en few.de -o out
translate model -i texts -o out | translate model -i texts -o out
align model few.en few.de -o out | align model few.en few.de -o out --format json
align model few.en few.de -o out.html | score few.de few.de --json
align model few.en few.de -o out.svg --limit 1 | align model few.de few.de -o out.svg --limit 1
align model few.en few.de -o out.pdf | align model few.de few.en -o out.pdf
translate model --score-only few.en few.de -o out | translate model -i few.en -o out
compare few.de few.en -r few.de --samples 20 --html out | align model few.en few.de -o out
learn-vectors corpus/train.en -o out --epochs 1 | learn-vectors corpus/train.de -o out --epochs 1
clean corpus/train.en corpus/train.de -o out | clean corpus/valid.en corpus/valid.de -o out
average model --last 2 -o out | average model --best 2 -o out
export model -o out --to huggingface | export model -o out --to huggingface
export model -o out --to ctranslate2 | export model -o out --to huggingface
export model -o out --to argos | export model -o out --to argos
{TRAIN} | {TRAIN}
{TRAIN} | {TRAIN} --resume
{TRAIN} | {TRAIN} --set seed=2
{RESUME} | {RESUME}
{RESUME} | translate model -i few.en -o out
{RESUME} | average model --last 2 -o out
{RESUME} | export model -o out --to huggingface
average model --last 2 -o out | average model --last 2 -o out
learn-alignment model few.en few.de | learn-alignment model few.de few.de
learn-alignment model few.en few.de | align model few.en few.de -o out
learn-alignment model few.en few.de | calibrate model corpus/train.en corpus/train.de
calibrate model corpus/train.en corpus/train.de | calibrate model corpus/train.en corpus/train.de --min-chrf 1
memory model --import one.csv | memory model --import two.csv
memory model --import one.csv | memory model --export out.csv
memory model --import one.csv | translate model -i few.en -o out --memory
memory model --export out.csv | memory model --export out.csv
""".splitlines())  # fmt: skip
"""Commands that write the same file or folder, or that read what the other one writes."""


class PairKinds(FileKinds):
    """Makes cases of two commands; see :class:`hostile_input.Kinds`."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.after = cache(self._after)

    def together(self, rng: random.Random) -> Case:
        """Two commands that begin at almost the same time."""
        pair = list(rng.choice(PAIRS))
        if rng.random() < 0.5:
            pair.reverse()
        return self._together(*pair, delay=rng.choice((0.0, 0.0, 0.01, 0.05, 0.2, 0.5)))

    def _together(self, first: str, second: str, delay: float) -> Case:
        def check(folder: Path, codes: list[int]) -> list[str]:
            if set(codes) - {0, 2} or codes == [2, 2]:
                return [f"exit codes {codes}"]
            found, orders = state(folder), [(first, second), (second, first)]
            done = tuple(command for command, code in zip((first, second), codes, strict=True) if code == 0)
            allowed = [self.after(commands) for commands in (orders if len(done) == 2 else [*orders, done])]
            if found in allowed:
                return []
            return [
                f"neither order gives {name}"
                for name in sorted(found.keys() | allowed[0].keys())
                if not any(found.get(name) == other.get(name) for other in allowed)
            ] or ["a mixture of both orders"]

        return Case(
            "together", first.split(), described=f"{first} | {second}", others=[second.split()], delay=delay,
            patience=2, check=check,
        )  # fmt: skip

    def _after(self, commands: tuple[str, ...]) -> dict[str, Any]:
        """What commands leave that run one after the other."""
        left = dict[str, Any]()

        def check(folder: Path, codes: list[int]) -> list[str]:
            left.update(state(folder))
            return []

        first, *others = (command.split() for command in commands)
        case = Case("together", first, others=others, delay=math.inf, patience=10, check=check)
        if problems := run(case, self.base, SECONDS, MEGABYTES).problems:
            raise AssertionError(f"{' | '.join(commands)}, one after the other: {problems}")
        return left


def state(folder: Path) -> dict[str, Any]:
    """What the files of a folder say, without clocks, messages, caches and locks."""
    found = dict[str, Any]()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.name.startswith("memory.sqlite"):
            entries = TranslationMemory(path.parent)
            found[f"{path.parent.name}/memory"] = sorted((entry.source, entry.target) for entry in entries)
            entries.close()
        elif not (name.startswith(("std", "cache")) or path.name == ".lock" or path.is_dir()):
            found[name] = comparable(path)
            if zipfile.is_zipfile(path):  # whose entries have times
                found[name] = [(entry.filename, entry.CRC) for entry in zipfile.ZipFile(path).infolist()]
            if name == "out.csv":  # of a memory, whose times differ
                found[name] = [line[: line.rindex(b",")] for line in path.read_bytes().splitlines()]
    return found
