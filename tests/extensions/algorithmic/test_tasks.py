"""Generated tasks: each answer is worked out here in another way."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from nmt.core.errors import UserError
from nmt.data.opening import open_text
from nmt.extensions.algorithmic.tasks import TASKS, task_pairs
from nmt.recipe.schema import DataOptions, FilePair, TaskOptions


def pairs(**options: object) -> list[tuple[list[str], list[str]]]:
    made = task_pairs(TaskOptions(**{"num_pairs": 300, "min_length": 1, "max_length": 5, **options}))
    return [(source.split(), target.split()) for source, target in made]


def test_copies_are_copies_of_every_length() -> None:
    made = pairs(type="copy", num_symbols=3)
    assert all(source == target for source, target in made)
    assert Counter(len(source) for source, _ in made).keys() == {1, 2, 3, 4, 5}
    assert set(itertools.chain(*(source for source, _ in made))) == {"a", "b", "c"}


def test_repeated_copies() -> None:
    made = pairs(type="repeat_copy", max_repeats=3)
    for (*sequence, times), target in made:
        assert target == sequence * int(times.removeprefix("x"))
    assert {source[-1] for source, _ in made} == {"x1", "x2", "x3"}


def test_the_item_after_the_one_that_is_asked_for_is_recalled() -> None:
    asked = []
    for source, target in pairs(type="associative_recall", num_symbols=3, min_length=2):
        memory, _, query = " ".join(source).partition(" ? ")
        items = [item.strip() for item in memory.split("|")[1:]]
        assert len(set(items)) == len(items) >= 2
        assert all(len(item.split()) == 3 for item in items)
        assert items.index(" ".join(target)) == items.index(query) + 1
        asked.append(items.index(query))
    assert set(asked) == {0, 1, 2, 3}


def test_symbols_are_sorted_by_priority() -> None:
    made = pairs(type="priority_sort", num_symbols=4)
    for source, target in made:
        priorities = [int(word) for word in source[1::2]]
        assert len(set(priorities)) == len(priorities)
        left = dict(zip(priorities, source[::2], strict=True))
        assert target == [left.pop(max(left)) for _ in priorities]
    assert {len(target) for _, target in made} == {1, 2, 3, 4, 5}


def test_parity() -> None:
    made = pairs(type="parity")
    assert {target[0] for _, target in made} == {"0", "1"}
    for source, target in made:
        assert target == [str("".join(source).count("1") & 1)]


def test_addition() -> None:
    made = pairs(type="addition")
    assert len(made) > 100
    for source, target in made:
        first, second = "".join(source).split("+")
        assert len(first) == len(second) == len(target) - 1
        assert int("".join(target)) == int(first) + int(second)


def test_halves_differ_in_their_order_alone() -> None:
    found = Counter()
    for source, (label,) in pairs(type="halves", min_length=2, num_symbols=3):
        first, second = (half.split() for half in " ".join(source).split(" | "))
        assert sorted(first) == sorted(second)
        assert label == ("same" if first == second else "different")
        assert sum(a != b for a, b in zip(first, second, strict=True)) in (0, 2)
        found[label] += 1
    assert 100 < found["same"] < 200


def test_chains_lead_from_the_start_to_the_answer() -> None:
    made = pairs(type="chain", num_symbols=6, min_length=0)
    for (*arrows, symbol, times), target in made:
        follow = dict(arrows)
        assert len(follow) == len(arrows) == 6, "one arrow from each symbol"
        seen = [symbol]
        for _ in range(int(times.removeprefix("x"))):
            seen.append(follow[seen[-1]])
        assert target == [seen[-1]]
        assert len(set(seen)) == len(seen), "no other number of steps leads to the same answer"
    assert {source[-1] for source, _ in made} == {"x0", "x1", "x2", "x3", "x4", "x5"}


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
    prints = [
        text().fingerprint(),
        text("val").fingerprint(),
        text(seed=2).fingerprint(),
        text(max_length=9).fingerprint(),
    ]
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


def test_a_misspelt_task_names_its_key() -> None:
    from nmt.recipe.load import load_recipe

    with pytest.raises(UserError, match=r"'data\.task\.type' is 'cpoy'"):
        load_recipe("algorithmic/copy_ntm", {"data.task.type": "cpoy"})
