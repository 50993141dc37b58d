"""Sampled softmax: the whole one where nothing is left out, and right on average where it is."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from run_files import read_metrics
from torch import Tensor, nn

import nmt
from nmt import UserError
from nmt.extensions.techniques import sampled_softmax
from nmt.extensions.techniques.sampled_softmax import MULTIPLE, SampledSoftmax
from nmt.models.contracts import OutputLayer
from nmt.recipe.schema import Recipe
from nmt.training.loss import TokenLoss, token_loss
from nmt.training.techniques import Technique

VOCABULARY = 3 * MULTIPLE


def sampler(size: int) -> SampledSoftmax:
    return SampledSoftmax(SampledSoftmax.Options(size=size), Recipe.model_construct())


class Problem:
    """Features of two sentences of 5 and 3 words, and an output layer."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.features_BTD = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
        self.output = OutputLayer(6, VOCABULARY).double()
        nn.init.normal_(self.output.weight_VD)
        self.target_BT = torch.randint(4, VOCABULARY, (2, 5))
        self.length_B = torch.tensor([5, 3])

    def loss(self, size: int | None, smoothing: float = 0.0) -> TokenLoss:
        sample = None if size is None else sampler(size).sample_classes
        given = self.features_BTD, self.output, self.target_BT, self.length_B, smoothing
        return token_loss(*given, sample_classes=sample)

    def gradients(self, loss: TokenLoss) -> tuple[Tensor, ...]:
        return torch.autograd.grad(loss.smoothed, (self.features_BTD, self.output.weight_VD, self.output.bias_V))


def test_a_sample_of_all_words_is_the_whole_softmax() -> None:
    problem = Problem()
    whole, sampled = problem.loss(None), problem.loss(VOCABULARY)
    torch.testing.assert_close(sampled.nll, whole.nll)
    for one, other in zip(problem.gradients(sampled), problem.gradients(whole), strict=True):
        torch.testing.assert_close(one, other)


def test_classes_are_the_targets_and_a_sample_that_stands_for_the_others() -> None:
    target_N = torch.tensor([700, 3, 700, 5])
    class_C, added_C = sampler(1).sample_classes(target_N, VOCABULARY)
    assert len(class_C) == MULTIPLE
    assert torch.equal(class_C, class_C.unique())
    is_target_C = torch.isin(class_C, target_N)
    assert int(is_target_C.sum()) == 3
    assert not added_C[is_target_C].any()
    assert added_C[~is_target_C].exp().sum().item() == pytest.approx(VOCABULARY - 3)
    assert not torch.equal(class_C, sampler(1).sample_classes(target_N, VOCABULARY)[0])


def test_the_normaliser_is_right_on_average() -> None:
    problem = Problem()
    problem.length_B = torch.tensor([1, 0])
    draws = [math.exp(problem.loss(1).nll.item()) for _ in range(400)]
    expected = math.exp(problem.loss(None).nll.item())
    assert sum(draws) / len(draws) == pytest.approx(expected, rel=0.05)
    assert max(draws) > 1.1 * min(draws)


def test_label_smoothing_is_spread_over_the_whole_vocabulary_on_average() -> None:
    problem = Problem()
    problem.length_B = torch.tensor([5, 5])

    def effect(size: int | None, draw: int) -> Tensor:
        gradients = []
        for smoothing in (0.0, 0.5):
            torch.manual_seed(draw)  # the same sample
            gradients.append(problem.gradients(problem.loss(size, smoothing))[2])
        return gradients[1] - gradients[0]

    expected, found = effect(None, 0), torch.stack([effect(1, draw) for draw in range(100)])
    is_target_V = torch.zeros(VOCABULARY, dtype=torch.bool)
    is_target_V[problem.target_BT] = True
    torch.testing.assert_close(found[:, is_target_V], expected[is_target_V].expand(100, -1), rtol=1e-4, atol=0)
    assert found[:, ~is_target_V].mean().item() == pytest.approx(expected[~is_target_V].mean().item(), rel=1e-4)


def test_training_computes_a_sample_and_validation_all_words(
    train_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampled_softmax, "MULTIPLE", 16)
    settings = ("training.max_steps=1", "training.learning_rate=1e-30", "training.metric=loss", "training.log_every=1")
    key = "training.techniques.sampled_softmax"
    whole, sampled = (train_tiny(*settings, f"{key}={value}") for value in ("null", "{size: 1}"))
    losses = [[read_metrics(run, kind)[0]["loss"] for run in (whole, sampled)] for kind in ("train", "valid")]
    assert losses[0][0] != losses[0][1]
    assert losses[1][0] == losses[1][1]


class Flat(Technique):
    """Wants probabilities to be even."""

    def logits_loss(self, log_p_NPV: Tensor) -> tuple[Tensor, Tensor]:
        raise AssertionError


def test_a_loss_on_all_probabilities_is_refused(train_tiny: Callable[..., Path]) -> None:
    nmt.add_component("flat", Flat)
    with pytest.raises(UserError, match=r"techniques\.flat needs the probabilities of the whole vocabulary"):
        train_tiny("training.techniques={sampled_softmax: {}, flat: {}}", "training.max_steps=1")
