"""``nmt recipes --keys``: the list of keys."""

from collections.abc import Mapping
from typing import Any

import pytest
from fixture_types import RunNmt
from refusals import refused

from nmt.extensions.editors.keys import recipe_keys
from nmt.recipe.load import load_recipe
from nmt.training.resolve import resolve


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


def test_text_sources_are_listed_with_their_options() -> None:
    for where in ("data.text", "data.corpora.text"):
        [text, *options] = recipe_keys(where)
        assert text.kind.startswith("text source, one of files tsv jsonl ")
        assert (f"{where}.path", f"{where}: tsv") in {(key.name, key.component) for key in options}


def test_an_unknown_key_suggests_the_nearest(run_nmt: RunNmt) -> None:
    refused(run_nmt("recipes", "--keys", "training.max_step"), "Did you mean 'training.max_steps'?")
