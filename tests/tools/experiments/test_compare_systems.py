"""The table of every system: who is in it, and on what terms."""

from pathlib import Path

import pytest

from nmt.recipe.load import load_recipe, parse_settings


@pytest.mark.extension("comparison")
def test_every_recipe_of_the_folder_is_a_system_on_equal_terms(repo_root: Path) -> None:
    import compare_systems  # needs the extension

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
