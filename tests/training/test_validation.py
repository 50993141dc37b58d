"""Validation figures against an independent computation, one sentence at a time."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import RecipeMaker
from sacrebleu.metrics import BLEU, CHRF, TER
from searches import search_all

from nmt.metrics.degenerate import DegenerateCount, count_degenerate
from nmt.models.build import build
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import Recipe
from nmt.training.data import Data, prepare_data
from nmt.training.distributed import ProcessGroup
from nmt.training.validation import Validation, Validator


def with_model(recipe: Recipe) -> tuple[Recipe, Seq2Seq, Data]:
    torch.manual_seed(3)
    data = prepare_data(recipe)
    return recipe, build(recipe.model, data.vocabularies), data


def measure(recipe: Recipe, data: Data, model: Seq2Seq, batch_tokens: int = 64) -> Validation:
    return Validator(recipe, data, batch_tokens, "fp32")(model)


def reference_loss(model: Seq2Seq, data: Data) -> float:
    """-log p of each target token and each EOS, token by token through the decoder's step."""
    total, count = 0.0, 0
    source_vocabulary, target_vocabulary = data.vocabularies.source, data.vocabularies.target
    with torch.no_grad():
        for source, target in zip(data.valid.sources, data.valid.references, strict=True):
            source_ids = torch.tensor([[*source_vocabulary.encode(source), source_vocabulary.eos]])
            state = model.decoder.start(model.encode(source_ids, torch.tensor([source_ids.shape[1]])))
            previous = target_vocabulary.sos
            for token in [*target_vocabulary.encode(target), target_vocabulary.eos]:
                output = model.step(torch.tensor([previous]), state)
                total -= output.logits_NV.log_softmax(-1)[0, token].item()
                count += 1
                previous, state = token, output.state
    return total / count


@pytest.mark.quick("40-luong with feeding", "40-transformer")
@pytest.mark.parametrize("system", ["vanilla", "bahdanau", "luong", "luong with feeding", "transformer"])
@pytest.mark.parametrize("batch_tokens", [1, 40, 4096])
def test_the_loss_is_the_mean_over_target_tokens(make_recipe: RecipeMaker, system: str, batch_tokens: int) -> None:
    recipe, model, data = with_model(make_recipe(system, dropout=0.3, label_smoothing=0.2, max_steps=1))
    model.eval()
    expected = reference_loss(model, data)
    model.train()
    assert measure(recipe, data, model, batch_tokens=batch_tokens).loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.quick("BLEU")
@pytest.mark.parametrize("metric", [BLEU, CHRF, TER])
def test_the_score_is_that_of_the_first_sentences_translated_by_beam(make_recipe: RecipeMaker, metric: Any) -> None:
    name = metric.__name__.lower()
    recipe, model, data = with_model(make_recipe("transformer", max_steps=1, metric=name, validation_size=5))
    model.eval()
    result = measure(recipe, data, model)
    found = search_all(model, [data.valid.corpus.source[i] for i in range(5)], data.vocabularies, recipe.decoding)
    translations = [data.vocabularies.target.decode(hypotheses[0].ids) for hypotheses in found]
    assert result.translations == translations
    assert result.score == pytest.approx(metric().corpus_score(translations, [data.valid.references[:5]]).score)


@pytest.mark.parametrize("metric", ["loss", "bleu"])
def test_two_processes_together_find_what_one_finds(make_recipe: RecipeMaker, metric: str) -> None:
    found: dict[int, Any] = {}

    class Rank(ProcessGroup):
        def gather(self, value: Any) -> list[Any]:
            found[self.rank] = value
            return [found[rank] for rank in sorted(found)]

    recipe, model, data = with_model(make_recipe("transformer", max_steps=1, metric=metric, validation_size=5))
    last, first = (Validator(recipe, data, 64, "fp32", Rank(rank, 2))(model) for rank in (1, 0))
    alone = measure(recipe, data, model)
    assert last is None  # the other has not measured yet
    assert first.loss == pytest.approx(alone.loss, rel=1e-6)
    assert (first.translations, first.score) == (alone.translations, alone.score)
    assert len(set(first.translations)) == (5 if metric == "bleu" else 0)


def test_a_model_has_learned_when_its_loss_is_half_of_the_entropy_of_the_tokens(make_recipe: RecipeMaker) -> None:
    recipe, model, data = with_model(make_recipe("transformer", max_steps=1, metric="bleu", validation_size=5))
    vocabulary, references = data.vocabularies.target, data.valid.references
    counts = Counter(token for line in references for token in [*vocabulary.encode(line), vocabulary.eos])
    p = [count / counts.total() for count in counts.values()]
    result = measure(recipe, data, model)
    assert result.entropy == pytest.approx(-sum(each * math.log(each) for each in p))
    serious = count_degenerate([""] * 9, ["a"] * 9)
    high, low = (replace(result, degenerate=serious, loss=share * result.entropy) for share in (0.51, 0.49))
    assert (high.is_suspicious, low.is_suspicious) == (False, True)
    assert not replace(low, degenerate=DegenerateCount()).is_suspicious


def test_a_stop_ends_the_search_of_a_validation_between_two_steps(
    make_recipe: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, model, data = with_model(make_recipe("transformer", max_steps=1, metric="bleu", validation_size=5))
    num_steps, step = 0, Seq2Seq.step

    def counted(*arguments: Any) -> Any:
        nonlocal num_steps
        num_steps += 1
        return step(*arguments)

    monkeypatch.setattr(Seq2Seq, "step", counted)
    validator = Validator(recipe, data, 64, "fp32")
    assert validator(model, lambda: num_steps == 2) is None
    assert num_steps == 2
    model.train()
    assert validator(model) is not None
    assert model.training


def test_the_model_and_the_random_state_are_left_as_they_were(make_recipe: RecipeMaker) -> None:
    recipe, model, data = with_model(make_recipe("luong", dropout=0.5, max_steps=1, metric="bleu", validation_size=5))
    for mode in (True, False):
        model.train(mode)
        before = torch.get_rng_state()
        first, second = (measure(recipe, data, model) for _ in range(2))
        assert first == second
        assert torch.equal(torch.get_rng_state(), before)
        assert model.training is mode
        assert all(module.training is mode for module in model.modules())


def test_held_out_pairs_are_measured_on_their_own_text(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    """References come from the lines of the pairs, even where lines before them were dropped."""
    lines = [(f"satz nummer {n}", f"sentence number {n}") for n in range(50)]
    lines[3:3] = [("", "nothing"), ("zu lang " * 9, "too long")]
    for side, language in enumerate(("de", "en")):
        text = "".join(pair[side] + "\n" for pair in lines)
        (tmp_path / f"train.{language}").write_text(text, encoding="utf-8")
    recipe = make_recipe(max_steps=1, recipe={"data": {"root": str(tmp_path), "valid": None, "max_length": 12}})
    data = prepare_data(recipe)
    assert len(data.valid.indices) == 2  # 5 % of 50
    assert data.train[0].held_out.tolist() == data.valid.indices.tolist()
    assert data.num_pairs == 48
    for index, source, reference in zip(data.valid.indices, data.valid.sources, data.valid.references, strict=True):
        pair = [side[index] for side in data.train[0].corpus.sides]
        assert data.vocabularies.source.decode(pair[0].tolist()) == source
        assert data.vocabularies.target.decode(pair[1].tolist()) == reference
        assert source.split()[-1] == reference.split()[-1]


@pytest.mark.parametrize(
    ("metric", "loss", "score", "best", "better"),
    [
        ("loss", 2.0, None, None, True),
        ("loss", 2.0, None, 2.5, True),
        ("loss", 2.0, None, 2.0, False),
        ("loss", float("nan"), None, None, False),
        ("loss", float("nan"), None, 2.0, False),
        ("loss", float("inf"), None, None, False),
        ("bleu", 9.0, 30.0, 29.0, True),
        ("bleu", 1.0, 30.0, 30.0, False),
        ("bleu", 1.0, 0.0, None, True),
        ("ter", 9.0, 29.0, 30.0, True),
        ("ter", 1.0, 30.0, 29.0, False),
    ],
)
def test_what_is_better(metric: str, loss: float, score: float | None, best: float | None, better: bool) -> None:
    assert Validation(loss, metric, score).beats(best) is better


@pytest.mark.parametrize(("before", "better"), [(5.1, True), (5.0, False), (4.9, False), (None, False)])
def test_the_loss_decides_between_equal_scores(before: float | None, better: bool) -> None:
    assert Validation(5.0, "bleu", 0.0).beats(0.0, before) is better
