"""``nmt recipes``: the list of recipes, a recipe to edit, and the list of keys."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nmt.cli.schema import recipe_keys
from nmt.recipe.load import find_recipe, load_recipe, shipped_recipes
from nmt.training.resolve import resolve

RunNmt = Callable[..., "subprocess.CompletedProcess[str]"]


def test_recipes_are_listed_and_each_can_be_read(run_nmt: RunNmt) -> None:
    lines = run_nmt("recipes").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_recipes())
    for name, line in zip(shipped_recipes(), lines, strict=True):
        assert line.removeprefix(name).strip() == load_recipe(name).description != ""


def test_a_recipe_is_printed_as_it_is_shipped(run_nmt: RunNmt, tmp_path: Path) -> None:
    done = run_nmt("recipes", "multi30k/luong")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == find_recipe("multi30k/luong").read_text("utf-8")
    (tmp_path / "mine.yaml").write_text(done.stdout, "utf-8")
    assert load_recipe(tmp_path / "mine.yaml") == load_recipe("multi30k/luong")


def test_only_recipes_are_printed(run_nmt: RunNmt, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("no recipe")
    for name, problem in (("multi30k/loung", "multi30k/luong"), (tmp_path / "secret.txt", "holds no keys")):
        done = run_nmt("recipes", name)
        assert (done.returncode, done.stdout) == (2, "")
        assert problem in done.stderr


def flat(values: Mapping[str, Any], path: str = "") -> set[str]:
    """The dotted keys of the values in nested mappings."""
    keys: set[str] = set()
    for key, value in values.items():
        keys |= flat(value, f"{path}{key}.") if isinstance(value, Mapping) and value else {f"{path}{key}"}
    return keys


@pytest.mark.parametrize("name", ["multi30k/bahdanau", "algorithmic/chain_universal", "chat/hierarchical"])
def test_every_key_of_a_recipe_is_listed(name: str) -> None:
    listed = {key.name for part in ("", "model.encoder", "model.decoder.attention") for key in recipe_keys(part)}
    listed |= {key.name for side in ("encoder", "decoder") for key in recipe_keys(f"model.{side}.cell")}
    found = {key for key in flat(resolve(load_recipe(name)).model_dump(mode="json")) if not key.endswith(".type")}
    assert found <= listed


def test_keys_have_type_range_default_and_meaning(run_nmt: RunNmt) -> None:
    done = run_nmt("recipes", "--keys", "training.max_steps")
    assert done.stdout == "training.max_steps: integer or null, 1<=x, default null\n    stop after this many updates\n"
    [encoder, *options] = recipe_keys("model.encoder")
    assert str(encoder).startswith("model.encoder: encoder, one of recurrent transformer ")
    assert str(encoder).endswith(", required")
    assert {"model.encoder: recurrent", "model.encoder: transformer"} <= {key.component for key in options}
    assert "# model.encoder.cell: coupled\n" in run_nmt("recipes", "--keys", "model.encoder.cell").stdout


def test_an_unknown_key_suggests_the_nearest(run_nmt: RunNmt) -> None:
    done = run_nmt("recipes", "--keys", "training.max_step")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'training.max_steps'?" in done.stderr
