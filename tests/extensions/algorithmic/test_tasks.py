"""Generated tasks: each answer is worked out here in another way."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from nmt.data.opening import open_text
from nmt.extensions.algorithmic.tasks import TASKS, task_pairs
from nmt.recipe.schema import DataOptions, FilePair, TaskOptions


def pairs(**options: object) -> list[tuple[list[str], list[str]]]:
    made = task_pairs(TaskOptions(**{"num_pairs": 300, "min_length": 1, "max_length": 5, **options}))
    return [(source.split(), target.split()) for source, target in made]


def recalled(source: list[str]) -> list[str]:
    memory, _, query = " ".join(source).partition(" ? ")
    items = [item.strip() for item in memory.split("|")[1:]]
    assert len(set(items)) == len(items) >= 2
    assert all(len(item.split()) == 3 for item in items)
    return items[items.index(query) + 1].split()


def sorted_by_priority(source: list[str]) -> list[str]:
    priorities = [int(word) for word in source[1::2]]
    assert len(set(priorities)) == len(priorities)
    left = dict(zip(priorities, source[::2], strict=True))
    return [left.pop(max(left)) for _ in priorities]


def added(source: list[str]) -> list[str]:
    first, second = "".join(source).split("+")
    assert len(first) == len(second)
    return list(str(int(first) + int(second)).zfill(len(first) + 1))


def compared(source: list[str]) -> list[str]:
    first, second = (half.split() for half in " ".join(source).split(" | "))
    assert sorted(first) == sorted(second), "the halves differ in their order alone"
    assert sum(a != b for a, b in zip(first, second, strict=True)) in (0, 2)
    return ["same" if first == second else "different"]


def followed(source: list[str]) -> list[str]:
    *arrows, symbol, times = source
    follow = dict(arrows)
    assert len(follow) == len(arrows) == 6, "one arrow from each symbol"
    seen = [symbol]
    for _ in range(int(times.removeprefix("x"))):
        seen.append(follow[seen[-1]])
    assert len(set(seen)) == len(seen), "no other number of steps leads to the same answer"
    return seen[-1:]


SOLUTIONS = {
    "copy": ({"num_symbols": 3}, list),
    "repeat_copy": ({"max_repeats": 3}, lambda source: source[:-1] * int(source[-1].removeprefix("x"))),
    "associative_recall": ({"num_symbols": 3, "min_length": 2}, recalled),
    "priority_sort": ({"num_symbols": 4}, sorted_by_priority),
    "parity": ({}, lambda source: [str("".join(source).count("1") & 1)]),
    "addition": ({}, added),
    "halves": ({"min_length": 2, "num_symbols": 3}, compared),
    "chain": ({"num_symbols": 6, "min_length": 0}, followed),
}


@pytest.mark.parametrize("kind", TASKS)
def test_the_target_is_the_answer(kind: str) -> None:
    options, solve = SOLUTIONS[kind]
    for source, target in pairs(type=kind, **options):
        assert target == solve(source)


def test_lengths_symbols_and_answers_vary() -> None:
    copies = pairs(type="copy", num_symbols=3)
    assert {len(source) for source, _ in copies} == {1, 2, 3, 4, 5}
    assert set(itertools.chain(*(source for source, _ in copies))) == {"a", "b", "c"}
    assert {source[-1] for source, _ in pairs(type="repeat_copy", max_repeats=3)} == {"x1", "x2", "x3"}
    assert {source[-1] for source, _ in pairs(type="chain", num_symbols=6, min_length=0)} == {f"x{n}" for n in range(6)}
    for kind, answers in (("parity", {"0", "1"}), ("halves", {"same", "different"})):
        counts = Counter(target[0] for _, target in pairs(type=kind, min_length=2))
        assert counts.keys() == answers
        assert min(counts.values()) > 100


@pytest.mark.parametrize("kind", TASKS)
def test_a_seed_repeats_itself_and_splits_differ(kind: str) -> None:
    options = TaskOptions(type=kind, min_length=2, max_length=5, num_pairs=50, num_valid=50)
    assert list(task_pairs(options)) == list(task_pairs(options))
    assert list(task_pairs(options)) != list(task_pairs(options, "val"))
    assert list(task_pairs(options)) != list(task_pairs(options.model_copy(update={"seed": 2})))


def test_a_task_is_text_with_a_fingerprint_of_its_own() -> None:
    def text(split: str = "train", **options: object) -> object:
        task = TaskOptions(**{"type": "copy", "num_pairs": 7, "num_valid": 3, **options})
        return open_text(DataOptions(task=task, source="in", target="out"), split)

    assert len(list(text())) == 7
    assert len(list(text("val"))) == 3
    assert list(text()) == list(text())
    prints = [each.fingerprint() for each in (text(), text("val"), text(seed=2), text(max_length=9))]
    assert len(set(prints)) == 4
    assert text().fingerprint() == prints[0]


def test_files_of_ones_own_can_validate_a_task(tmp_path: Path) -> None:
    (tmp_path / "a.in").write_text("a b\n")
    (tmp_path / "a.out").write_text("a b\n")
    files = FilePair(source=tmp_path / "a.in", target=tmp_path / "a.out")
    options = DataOptions(task=TaskOptions(type="copy"), source="in", target="out")
    assert list(open_text(options, files)) == [("a b", "a b")]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"type": "copy", "min_length": 5, "max_length": 4}, "min_length 5 is more than max_length 4"),
        ({"type": "chain", "max_length": 5, "num_symbols": 5}, "5 arrows of a chain need 6 num_symbols"),
        ({"type": "copy", "min_length": 0}, "copy needs a min_length of 1"),
        ({"type": "halves"}, "halves needs a min_length of 2"),
        ({"type": "associative_recall", "min_length": 1}, "needs 2 items or more"),
        ({"type": "associative_recall", "min_length": 2, "max_length": 9, "num_symbols": 2}, "as many different ones"),
        ({"type": "priority_sort", "max_length": 101}, "max_length is at most 100"),
        ({"type": "cpoy"}, "Input should be"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TaskOptions(**options)
