"""A model directory: what is refused before anything of it is read, and two processes that write into one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fixture_types import RunNmt
from refusals import refused
from saved_weights import spoil

import nmt
from nmt import UserError
from nmt.core.model_directory import ModelDirectory


def replace_by_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def link_outside(file: Path) -> None:
    moved = next(parent for parent in file.parents if parent.name == "model").with_suffix(".moved")
    file.rename(moved)
    file.symlink_to(moved)


def make_huge(file: Path) -> None:
    with file.open("ab") as stream:
        stream.truncate(1 << 40)  # sparse: takes no space


def test_the_digest_depends_on_recipe_vocabularies_and_weights_alone(tmp_path: Path) -> None:
    files = ("recipe.yaml", "vocabulary.source.json", "vocabulary.target.json", "model.safetensors")
    for name in (*files, "metrics.jsonl", "README.md"):
        (tmp_path / name).write_text(name)
    before = digest = ModelDirectory(tmp_path).digest()
    for name in files:
        (tmp_path / name).write_text("changed")
        digest, last = ModelDirectory(tmp_path).digest(), digest
        assert digest != last, name
    (tmp_path / "metrics.jsonl").write_text("changed")
    assert ModelDirectory(tmp_path).digest() == digest != before


@pytest.mark.quick("recipe.yaml-*", "metrics.jsonl-link*")
@pytest.mark.posix
@pytest.mark.parametrize(
    ("change", "message"),
    [(replace_by_fifo, "not a regular file"), (link_outside, "outside the model directory"), (make_huge, "bytes")],
)
@pytest.mark.parametrize(
    "name", ["recipe.yaml", "vocabulary.*", "metrics.jsonl", "samples/step-*.txt", "checkpoints/step-*/state.json"]
)
def test_a_strange_file_is_refused_before_it_is_read(
    run_nmt: RunNmt, own_model: Path, tiny_recipe: Path, change: Callable[[Path], None], message: str,
    name: str,
) -> None:  # fmt: skip
    file = min(own_model.glob(name))
    change(file)
    for arguments in (
        ["translate", own_model], ["inspect", "run", own_model], ["train", tiny_recipe, "-o", own_model, "--resume"],
    ):  # fmt: skip
        refused(run_nmt(*arguments), message, file.name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(own_model: Path, value: float) -> None:
    name = spoil(own_model / "model.safetensors", value=value)
    with pytest.raises(UserError, match=f"not finite.*{name}"):
        nmt.load(own_model, "cpu")


def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / ".nmt-1-00.tmp").mkdir()
    (tmp_path / ".nmt-1-00.tmp" / "half").write_text("x")
    (tmp_path / "samples" / ".nmt-2-00.tmp").write_text("x")
    with ModelDirectory(tmp_path).writing():
        assert sorted(path.name for path in tmp_path.rglob("*")) == [".lock", "samples"]
