"""Products in loops over positions: their gradients are those of ordinary products."""

import gc
import weakref
from collections.abc import Callable
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from nmt.models.loops import step_bmm, step_layer, step_product, time_loop

STEPS, ROWS, WIDTH = 7, 5, 6


def run(model: nn.ModuleDict, x_TRD: Tensor, memory_RSD: Tensor, num_steps: int | None, inner: int = 1) -> list[Tensor]:
    """Result and gradients of a recurrence that uses each kind of product ``inner`` times a step."""
    x_TRD, memory_RSD = x_TRD.clone().requires_grad_(), memory_RSD.clone().requires_grad_()
    model.zero_grad()
    state_RD, results = x_TRD[0], []
    with time_loop(num_steps or 0):
        for x_RD in x_TRD.unbind(0):
            for _ in range(inner):
                moved_RD = step_product(state_RD, model["recurrent"].weight, added=x_RD).tanh()
                scores_RS = torch.einsum("rd,rsd->rs", step_layer(model["query"], moved_RD), memory_RSD)
                state_RD = moved_RD + step_bmm(scores_RS.softmax(1)[:, None], memory_RSD)[:, 0]
            results.append(state_RD)
    result = torch.stack(results)
    result.square().sum().backward()
    return [result, x_TRD.grad, memory_RSD.grad, *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize(("announced", "inner"), [(STEPS, 1), (STEPS, 3), (4, 1), (100, 1)])
def test_gradients_are_those_of_ordinary_products(announced: int, inner: int) -> None:
    """Whether a loop has as many products with a matrix as steps, more, or fewer."""
    torch.manual_seed(5)
    model = nn.ModuleDict({"recurrent": nn.Linear(WIDTH, WIDTH, bias=False), "query": nn.Linear(WIDTH, WIDTH)}).double()
    parts = model, torch.randn(STEPS, ROWS, WIDTH).double(), torch.randn(ROWS, 4, WIDTH).double()
    expected = run(*parts, num_steps=None, inner=inner)
    for found, ordinary in zip(run(*parts, num_steps=announced, inner=inner), expected, strict=True):
        torch.testing.assert_close(found, ordinary, rtol=1e-10, atol=1e-12)


def count_products(run_loop: Callable[[], object], result: tuple[int, ...]) -> int:
    """Number of matrix products with a result of a size."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
        run_loop()
    shapes = [event.input_shapes[:2] for event in profile.events() if event.name == "aten::mm"]
    return sum((left[0], right[1]) == result for left, right in shapes)


def test_a_weight_gets_its_gradient_from_one_product_after_the_loop() -> None:
    weight, x = nn.Parameter(torch.randn(9, WIDTH)), torch.randn(STEPS, ROWS, WIDTH)

    def loop(num_steps: int) -> None:
        with time_loop(num_steps):
            torch.stack([step_product(x_RD, weight) for x_RD in x]).square().sum().backward()

    assert count_products(lambda: loop(0), (9, WIDTH)) == STEPS
    assert count_products(lambda: loop(STEPS), (9, WIDTH)) == 2  # one more for the first step, which is an ordinary one


def test_other_rows_and_new_tensors_get_ordinary_products() -> None:
    torch.manual_seed(6)
    weight = nn.Parameter(torch.randn(3, WIDTH).double())
    inputs = [torch.randn(rows, WIDTH).double() for rows in (4, 4, 2, 4, 5)]

    def gradient(num_steps: int) -> Tensor:
        weight.grad = None
        with time_loop(num_steps):
            results = [step_product(x, weight) + step_product(x, weight[:]) for x in inputs]
        torch.cat(results).square().sum().backward()
        assert weight.grad is not None
        return weight.grad

    torch.testing.assert_close(gradient(len(inputs)), gradient(0))


def test_gradients_of_the_results_are_summed_in_one_product_under_autocast() -> None:
    """In bfloat16, a sum over steps that is rounded at each of them is off by more."""
    torch.manual_seed(7)
    weight, x_TRD = nn.Parameter(torch.randn(8, WIDTH)), torch.rand(400, ROWS, WIDTH)

    def gradient(num_steps: int, enabled: bool) -> Tensor:
        weight.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled), time_loop(num_steps):
            total = torch.stack([step_product(x_RD, weight) for x_RD in x_TRD]).float().sum()
        total.backward()
        assert weight.grad is not None
        return weight.grad

    exact = gradient(0, enabled=False)
    together, apart = gradient(len(x_TRD), enabled=True), gradient(0, enabled=True)
    assert together.dtype == weight.dtype
    assert float((together - exact).abs().max()) < 0.01 * float(exact.abs().max())
    assert float((together - exact).abs().max()) < float((apart - exact).abs().max())


def test_a_second_backward_pass_is_right_and_second_derivatives_are_refused() -> None:
    weight, x_TRD = nn.Parameter(torch.randn(3, WIDTH)), torch.randn(STEPS, ROWS, WIDTH)
    with time_loop(STEPS):
        loss = torch.stack([step_product(x_RD, weight) for x_RD in x_TRD]).square().sum()
    (once,) = torch.autograd.grad(loss, weight, retain_graph=True)
    (twice,) = torch.autograd.grad(loss, weight, retain_graph=True)
    assert torch.equal(once, twice)
    (gradient,) = torch.autograd.grad(loss, weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_a_loop_keeps_no_memory_after_it() -> None:
    """Inputs are held by the graph alone, without a cycle that only the garbage collector would find."""
    weight, state = nn.Parameter(torch.randn(WIDTH, WIDTH)), torch.randn(ROWS, WIDTH)
    gc.disable()
    try:
        with time_loop(STEPS):
            for step in range(STEPS):
                state = step_product(state, weight).tanh()
                if step == STEPS // 2:
                    state.register_hook(hook := Mock())
        kept = weakref.ref(hook)
        del state, hook
        assert kept() is None
    finally:
        gc.enable()
