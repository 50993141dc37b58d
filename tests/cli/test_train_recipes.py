"""``nmt recipes``: the list of recipes, a recipe to edit, and the list of keys."""

from pathlib import Path

from fixture_types import RunNmt
from refusals import refused

from nmt.recipe.load import find_recipe, load_recipe, shipped_recipes


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
        refused(run_nmt("recipes", name), problem)
