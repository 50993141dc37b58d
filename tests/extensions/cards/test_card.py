"""The model card that a run writes when it ends."""

from pathlib import Path
from typing import Any

import pytest
from fixture_types import RecipeMaker
from run_files import read_metrics

import nmt
from nmt.training.run import train


def test_the_model_card_states_the_run_and_is_kept_when_it_was_edited(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    train(make_recipe(max_steps=2, validate_every=2, metric="bleu"), tmp_path)
    card = (tmp_path / "README.md").read_text("utf-8")
    assert card.startswith('---\nlanguage: ["de", "en"]\nlicense: unknown\n')
    assert "# German to English" in card
    assert "| Training data | train.de and train.en: 40 sentence pairs |" in card
    [valid] = read_metrics(tmp_path, "valid")
    [row] = [line for line in card.splitlines() if "| BLEU |" in line]
    assert row.startswith(f"| val.de and val.en: 8 sentence pairs | BLEU | {valid['bleu']:.2f} | `nrefs:1\\|case:mixed")
    train(make_recipe(max_steps=3, validate_every=2, metric="bleu"), tmp_path, resume=True)
    assert "| Training | 3 updates" in (tmp_path / "README.md").read_text("utf-8")
    edited = (tmp_path / "README.md").read_text("utf-8").replace("license: unknown", "license: mit")
    (tmp_path / "README.md").write_text(edited, "utf-8")
    train(make_recipe(max_steps=4, validate_every=2, metric="bleu"), tmp_path, resume=True)
    assert (tmp_path / "README.md").read_text("utf-8") == edited


@pytest.mark.parametrize("options", [{"freeze": ["encoder"]}, {"lora": {"rank": 2}}], ids=["freeze", "lora"])
def test_the_model_card_counts_weights_that_were_not_trained(
    make_recipe: RecipeMaker, tmp_path: Path, options: dict[str, Any]
) -> None:
    base = train(make_recipe("transformer", max_steps=1), tmp_path / "base")
    run = train(make_recipe("transformer", finetune_from=base, max_steps=1, **options), tmp_path / "tuned")
    assert f", {nmt.load(run).model.num_parameters:,} parameters |" in (run / "README.md").read_text("utf-8")
