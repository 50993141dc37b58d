"""The fused loss against ``F.cross_entropy``, value and gradients."""

import pytest
import torch
from r_drop import RDrop  # of examples/
from torch import Tensor
from torch.nn import functional as F

from nmt.models.contracts import OutputLayer
from nmt.recipe.schema import Recipe
from nmt.training import loss as loss_module
from nmt.training.loss import CHUNK, TokenLoss, token_loss

WIDTH, VOCABULARY = 6, 11
IGNORED = -100


class Problem:
    """Features, output layer and targets of a batch; beyond each length stands anything."""

    def __init__(self, lengths: list[int], dtype: torch.dtype = torch.float64) -> None:
        torch.manual_seed(51)
        longest = max(lengths)
        self.length_B = torch.tensor(lengths)
        self.features_BTD = torch.randn(len(lengths), longest, WIDTH, dtype=dtype, requires_grad=True)
        self.output = OutputLayer(WIDTH, VOCABULARY).to(dtype)
        with torch.no_grad():
            self.output.weight_VD.normal_()
            self.output.bias_V.normal_()
        self.mask_BT = torch.arange(longest) < self.length_B[:, None]
        self.target_BT = torch.randint(1, VOCABULARY, (len(lengths), longest))

    def leaves(self) -> list[Tensor]:
        return [self.features_BTD, self.output.weight_VD, self.output.bias_V]

    def ours(self, smoothing: float) -> TokenLoss:
        return token_loss(self.features_BTD, self.output, self.target_BT, self.length_B, smoothing)

    def theirs(self, smoothing: float) -> Tensor:
        logits = self.output(self.features_BTD).flatten(0, 1)
        target = self.target_BT.masked_fill(~self.mask_BT, IGNORED).flatten()
        return F.cross_entropy(logits, target, ignore_index=IGNORED, label_smoothing=smoothing, reduction="sum")


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("chunk", [CHUNK, 4])
@pytest.mark.parametrize("keeps_padding", [False, True])
def test_value_and_gradients_equal_cross_entropy(
    smoothing: float, dtype: torch.dtype, chunk: int, keeps_padding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_module, "CHUNK", chunk)
    if keeps_padding:  # as on a GPU
        monkeypatch.setattr(loss_module, "_leaves_out_padding", lambda target_BT: False)
    problem = Problem([7, 3, 1, 6], dtype)
    found, expected = problem.ours(smoothing), problem.theirs(smoothing)
    tolerance = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 1e-10, "rtol": 1e-10}
    torch.testing.assert_close(found.smoothed, expected, **tolerance)
    torch.testing.assert_close(found.nll, problem.theirs(0.0), **tolerance)
    # The factor stands for the division by the number of tokens and for the loss scale of fp16.
    gradients = torch.autograd.grad(found.smoothed * 3.5, problem.leaves())
    for gradient, true in zip(gradients, torch.autograd.grad(expected * 3.5, problem.leaves()), strict=True):
        assert gradient.dtype == true.dtype
        torch.testing.assert_close(gradient, true, **tolerance)


def test_under_bf16_autocast_it_stays_close_to_fp32() -> None:
    problem = Problem([40, 25, 33], torch.float32)
    exact = problem.ours(0.1)
    exact_gradients = torch.autograd.grad(exact.smoothed, problem.leaves())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = problem.ours(0.1)
    assert rounded.smoothed.dtype == torch.float32
    torch.testing.assert_close(rounded.smoothed, exact.smoothed, rtol=1e-2, atol=0)
    for found, true in zip(torch.autograd.grad(rounded.smoothed, problem.leaves()), exact_gradients, strict=True):
        assert found.dtype == torch.float32
        assert float((found - true).norm() / true.norm()) < 2e-2


def test_an_unlikely_word_in_float16() -> None:
    problem = Problem([3, 2], torch.float16)
    with torch.no_grad():
        problem.output.bias_V[0] = 30.0  # all targets have probabilities below 1e-8, which float16 rounds to 0
    expected = problem.theirs(0.0).item()
    assert problem.ours(0.0).nll.item() == pytest.approx(expected, rel=2e-3)


def test_a_word_without_probability_has_a_finite_loss_and_a_gradient() -> None:
    problem = Problem([3], torch.float32)
    with torch.no_grad():
        problem.output.bias_V[:] = -500.0
        problem.output.bias_V[0] = 500.0  # no target, so that all of them have a probability of 0
    found = problem.ours(0.0)
    assert 80 * 3 < found.nll.item() < 90 * 3
    gradient = torch.autograd.grad(found.smoothed, problem.output.bias_V)[0]
    expected = torch.autograd.grad(problem.theirs(0.0), problem.output.bias_V)[0]
    torch.testing.assert_close(gradient, expected)


def test_only_what_needs_a_gradient_gets_one() -> None:
    problem = Problem([4, 2])
    problem.output.weight_VD.requires_grad_(False)
    problem.ours(0.1).smoothed.backward()
    assert problem.output.weight_VD.grad is None
    frozen = problem.features_BTD.grad
    problem.output.weight_VD.requires_grad_(True)
    assert torch.equal(torch.autograd.grad(problem.ours(0.1).smoothed, problem.features_BTD)[0], frozen)
    with torch.no_grad():
        assert not problem.ours(0.1).smoothed.requires_grad


class TwoPasses(Problem):
    """The same targets with two sets of features, as two passes with different dropout give them."""

    def __init__(self, lengths: list[int]) -> None:
        super().__init__(lengths)
        noise_BTD = 0.3 * torch.randn_like(self.features_BTD)
        self.features_BTD = torch.cat((self.features_BTD, self.features_BTD + noise_BTD)).detach().requires_grad_()

    def r_drop(self, alpha: float, smoothing: float = 0.1) -> TokenLoss:
        losses = [RDrop(RDrop.Options(weight=alpha), Recipe.model_construct()).logits_loss] if alpha else []
        return token_loss(self.features_BTD, self.output, self.target_BT, self.length_B, smoothing, losses)

    def written_out(self, alpha: float, smoothing: float = 0.1) -> tuple[Tensor, Tensor]:
        """Equation 4 of the paper, halved, by PyTorch's own functions; and the mean -log p."""
        logits = [self.output(half)[self.mask_BT] for half in self.features_BTD.chunk(2)]
        target_N = self.target_BT[self.mask_BT]
        p, q = (logits_NV.log_softmax(1) for logits_NV in logits)
        entropies = [
            F.cross_entropy(logits_NV, target_N, label_smoothing=smoothing, reduction="sum") for logits_NV in logits
        ]
        divergences = [F.kl_div(b, a, log_target=True, reduction="sum") for a, b in ((p, q), (q, p))]
        nll = sum(F.cross_entropy(logits_NV, target_N, reduction="sum") for logits_NV in logits) / 2
        return (sum(entropies) + alpha * sum(divergences) / 2) / 2, torch.as_tensor(nll)


@pytest.mark.parametrize("chunk", [CHUNK, 6])
@pytest.mark.parametrize("alpha", [0.5, 5.0])
def test_r_drop_is_the_equation_of_the_paper(alpha: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_module, "CHUNK", chunk)
    problem = TwoPasses([7, 3, 1, 6])
    found, (expected, nll) = problem.r_drop(alpha), problem.written_out(alpha)
    torch.testing.assert_close(found.smoothed, expected)
    torch.testing.assert_close(found.nll, nll)
    gradients = torch.autograd.grad(found.smoothed * 2, problem.leaves())
    torch.testing.assert_close(gradients, torch.autograd.grad(expected * 2, problem.leaves()))
    assert problem.r_drop(alpha).smoothed > problem.r_drop(0.0).smoothed
