"""The table of every system: who is in it, on what terms, and that nothing is done twice or lost."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from nmt.recipe.load import load_recipe, parse_settings

TINY = (
    "device=cpu",
    "training.precision=fp32",
    "training.max_steps=3",
    "vocabulary.type=word",
    "model.embedding_size=16",
    "model.encoder.hidden_size=16",
    "model.decoder.hidden_size=16",
)


@pytest.fixture(scope="module")
def compare_systems(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("experiments/compare_systems")


@pytest.fixture
def run(compare_systems: ModuleType, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The tool on the tiny corpus, whose validation split stands in for a test split."""
    settings = [argument for setting in TINY for argument in ("--set", setting)]

    def run(*arguments: object) -> None:
        given = [tiny_corpus, "--test", "val", *settings, *arguments]
        monkeypatch.setattr(sys, "argv", ["compare_systems.py", *map(str, given)])
        compare_systems.main()

    return run


@pytest.mark.extension("comparison")
def test_every_recipe_of_the_folder_is_a_system_on_equal_terms(compare_systems: ModuleType, repo_root: Path) -> None:
    systems = compare_systems.all_systems()
    folder = {path.stem for path in (repo_root / "recipes" / "systems").glob("*.yaml")}
    assert set(systems) == {"vanilla", "bahdanau", "luong", "transformer_256"} | folder
    minutes = "training.max_minutes=10"
    recipes = {
        name: load_recipe(recipe, parse_settings([*compare_systems.TERMS, minutes])) for name, recipe in systems.items()
    }
    first = recipes["vanilla"]
    for name, recipe in recipes.items():
        for part in ("data", "vocabulary", "decoding", "seed"):
            assert getattr(recipe, part) == getattr(first, part), name
        own = {"learning_rate": first.training.learning_rate}
        assert recipe.training.model_copy(update=own) == first.training, name
        assert recipe.model.embedding_size == 256, name
        # As wide as annotations of both directions together; the table says so.
        wide = name in {"vanilla", "bahdanau", "luong", "dot", "scaled_dot"}
        assert recipe.model.decoder.get("hidden_size", 256) == (512 if wide else 256), name
    assert first.training.schedule["type"] != "cosine"  # it would need to know how many updates the minutes will be
