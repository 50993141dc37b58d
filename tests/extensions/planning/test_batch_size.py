"""``training.batch_tokens: auto``: the largest batch that fits is found, and trying it changes nothing."""

from pathlib import Path

import pytest
import torch
from fixture_types import RecipeMaker
from small_memory import ERRORS, make_trainer, memory_for, size

from nmt.core.errors import UserError
from nmt.extensions.planning.batch_size import CPU_BATCH_TOKENS, largest, largest_by_trying
from nmt.models.weights import read_tensors, weights_of
from nmt.recipe.load import load_recipe
from nmt.training.run import train


@pytest.mark.parametrize("capacity", [256, 300, 5000, 9999, 65_536])
def test_the_largest_that_fits_is_found_in_few_tries(capacity: int) -> None:
    tried = []

    def fits(number: int) -> bool:
        tried.append(number)
        return number <= capacity

    found = largest(fits, limit=60_000)
    assert found <= min(capacity, 60_000)
    assert found >= min(0.8 * capacity, 60_000)
    assert found < capacity or found in (256, 60_000), "some room is left"
    assert max(tried) <= 60_000
    assert len(tried) < 20


def test_a_model_that_never_fits_is_refused() -> None:
    with pytest.raises(UserError, match="Not even a batch of 256"):
        largest(lambda number: False, limit=60_000)


def test_trying_leaves_weights_and_random_numbers_alone(
    make_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, _ = make_trainer(make_recipe(dropout=0.3, max_steps=1), tmp_path / "run")
    before = {name: weight.clone() for name, weight in weights_of(trainer.model).items()}
    state = torch.get_rng_state()
    longest = trainer.batches.longest
    with memory_for(3000, ERRORS["GPU"], "backward", monkeypatch) as tried:
        found = largest_by_trying(trainer.objective, longest, 3, 50_000)
    assert 2000 < size(longest(found)) <= 3000 < max(tried)
    torch.testing.assert_close(weights_of(trainer.model), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_on_the_cpu_auto_is_a_documented_number_and_a_resumed_run_keeps_it(
    make_recipe: RecipeMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(make_recipe(max_steps=1, batch_tokens="auto"), tmp_path)
    message = " ".join(capsys.readouterr().err.split())
    assert "training.batch_tokens is auto: 4,096 on the CPU, where trying" in message
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.training.batch_tokens == CPU_BATCH_TOKENS
    text = (tmp_path / "recipe.yaml").read_text("utf-8").replace("batch_tokens: 4096", "batch_tokens: 96")
    (tmp_path / "recipe.yaml").write_text(text, "utf-8")
    train(make_recipe(max_steps=2, batch_tokens="auto"), tmp_path, resume=True)
    assert load_recipe(tmp_path / "recipe.yaml").training.batch_tokens == 96
    assert read_tensors(tmp_path / "model.safetensors")
