"""Algorithmic tasks as parallel text, on which memories (Graves et al. 2014) and ACT (Graves 2016) are evaluated.

A symbol is a word, so use word vocabularies. Pairs are drawn independently; each split has its own seed.

    copy                g a c                      ->  g a c
    repeat_copy         g a x3                     ->  g a g a g a
    associative_recall  | g a c | b a a | d c g ? b a a  ->  d c g    (the item after the one that is asked for)
    priority_sort       g 17 a 80 c 4              ->  a g c          (the highest priority first)
    parity              1 0 1 1                    ->  1              (1 if the number of ones is odd)
    addition            5 7 + 8 4                  ->  1 4 1          (the highest digit first)
    halves              g a c | g c a              ->  different      (or same; two symbols are exchanged)
    chain               bd ab da a x2              ->  d              (two arrows from a: a -> b -> d, in random order)
"""

import string
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from pydantic import Field

from nmt.data.sources import ParallelText, digest
from nmt.recipe import options as groups
from nmt.recipe.schema import TaskOptions

Pair = tuple[str, str]
ITEM_LENGTH = 3  # symbols of an item in associative_recall, as in Graves et al. 2014, section 4.3


def task_pairs(options: TaskOptions, split: str = "train") -> Iterator[Pair]:
    """Generate the pairs of a split: ``num_pairs`` for ``train``, ``num_valid`` for any other name.

    Lengths are distributed uniformly from ``min_length`` to ``max_length``.
    """
    rng = np.random.default_rng((options.seed, zlib.crc32(split.encode())))
    draw = TASKS[options.type]
    for _ in range(options.num_pairs if split == "train" else options.num_valid):
        length = int(rng.integers(options.min_length, options.max_length + 1))
        yield draw(rng, length, options)


def _symbols(rng: np.random.Generator, length: int, options: TaskOptions) -> str:
    return " ".join(rng.choice(list(string.ascii_lowercase[: options.num_symbols]), length))


def _copy(rng: np.random.Generator, length: int, options: TaskOptions) -> Pair:
    sequence = _symbols(rng, length, options)
    return sequence, sequence


def _repeat_copy(rng: np.random.Generator, length: int, options: TaskOptions) -> Pair:
    sequence = _symbols(rng, length, options)
    repeats = int(rng.integers(1, options.max_repeats + 1))
    return f"{sequence} x{repeats}", " ".join([sequence] * repeats)


def _associative_recall(rng: np.random.Generator, length: int, options: TaskOptions) -> Pair:
    """Lists ``length`` different items; the last one is never asked for, as no item follows it."""
    base = options.num_symbols
    numbers = rng.choice(base**ITEM_LENGTH, length, replace=False)
    digits = [[number // base**place % base for place in range(ITEM_LENGTH)] for number in numbers.tolist()]
    items = [" ".join(string.ascii_lowercase[digit] for digit in item) for item in digits]
    asked = int(rng.integers(length - 1))
    return f"| {' | '.join(items)} ? {items[asked]}", items[asked + 1]


def _priority_sort(rng: np.random.Generator, length: int, options: TaskOptions) -> Pair:
    """Symbols, each with a different priority below 100 (Graves et al. 2014, section 4.5; all are sorted)."""
    symbols = _symbols(rng, length, options).split()
    priorities = rng.permutation(100)[:length].tolist()
    by_priority = sorted(zip(priorities, symbols, strict=True), reverse=True)
    source = " ".join(f"{symbol} {priority}" for symbol, priority in zip(symbols, priorities, strict=True))
    return source, " ".join(symbol for _, symbol in by_priority)


def _parity(rng: np.random.Generator, length: int, options: TaskOptions) -> Pair:
    bits = rng.integers(0, 2, length)
    return " ".join(map(str, bits)), str(bits.sum() % 2)


def _addition(rng: np.random.Generator, length: int, options: TaskOptions) -> Pair:
    """Two numbers of ``length`` digits each, leading zeros allowed; the sum has one digit more."""
    digits = rng.integers(0, 10, (2, length))
    first, second = ("".join(map(str, row)) for row in digits)
    total = str(int(first) + int(second)).zfill(length + 1)
    return f"{' '.join(first)} + {' '.join(second)}", " ".join(total)


def _halves(rng: np.random.Generator, length: int, options: TaskOptions) -> Pair:
    """A sequence and, as often as not, the same again; otherwise two different symbols are exchanged.

    Both halves always have the same symbols equally often, so their order alone tells the label.
    """
    first = _symbols(rng, length, options).split()
    while len(set(first)) == 1:
        first = _symbols(rng, length, options).split()
    second, is_same = list(first), bool(rng.integers(2))
    while second == first and not is_same:
        i, j = rng.integers(length, size=2)
        second[i], second[j] = second[j], second[i]
    return f"{' '.join(first)} | {' '.join(second)}", "same" if is_same else "different"


def _chain(rng: np.random.Generator, length: int, options: TaskOptions) -> Pair:
    """Arrows that form a cycle through all symbols, in random order; the last words are the start and number of steps.

    Every symbol is the answer for some number of steps, so the task can't be solved without following the arrows.
    """
    symbols = rng.permutation(list(string.ascii_lowercase[: options.num_symbols])).tolist()
    arrows = [first + second for first, second in zip(symbols, [*symbols[1:], symbols[0]], strict=True)]
    return " ".join([*rng.permutation(arrows).tolist(), symbols[0], f"x{length}"]), symbols[length]


TASKS: dict[str, Callable[[np.random.Generator, int, TaskOptions], Pair]] = {
    "copy": _copy,
    "repeat_copy": _repeat_copy,
    "associative_recall": _associative_recall,
    "priority_sort": _priority_sort,
    "parity": _parity,
    "addition": _addition,
    "halves": _halves,
    "chain": _chain,
}


class TaskText(ParallelText):
    """A split of an algorithmic task, generated anew each time it is read."""

    class Options(groups.Options):
        task: TaskOptions = Field(description="the task and its options")

    def __init__(self, options: Options, split: str, languages: tuple[str, str]) -> None:
        self.name = f"{options.task.type} ({split})"
        self._options, self._split = options.task, split

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return task_pairs(self._options, self._split)

    def fingerprint(self) -> str:
        # Version of the generator: raise it when the same options give other pairs.
        return digest(f"1 {self._split} {self._options.model_dump_json()}")
