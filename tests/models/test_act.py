"""Halting against Graves's equations, number by number, and the systems that ponder."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.data.batching import Batch, make_batch
from nmt.models.act import AdaptiveEncoderOptions, AdaptiveRecurrence, HaltingState, HaltingUnit, Ponder, PonderOptions

EPSILON = 0.01
ADAPTIVE = {"type": "act_rnn", "hidden_size": 8, "max_steps": 5}
UNIVERSAL = {"type": "universal_transformer", "num_heads": 4, "feed_forward_size": 24, "max_steps": 5}
DECODERS: dict[str, dict[str, Any]] = {
    "act_rnn": {**ADAPTIVE, "attention": {"type": "additive", "size": 8}},
    "universal_transformer": UNIVERSAL,
}


def by_hand(units: list[float], max_steps: int) -> tuple[list[float], int, float]:
    """Weights, N and R from the halting units of all steps that there might be."""
    total, weights = 0.0, []
    for n, unit in enumerate(units[:max_steps], start=1):
        if total + unit >= 1 - EPSILON or n == max_steps:
            return [*weights, 1 - total], n, 1 - total
        weights.append(unit)
        total += unit
    raise AssertionError("never reached")


UNITS = [
    [0.995, 0.5, 0.5, 0.5, 0.5, 0.5],
    [0.2, 0.3, 0.4, 0.6, 0.9, 0.1],
    [0.01, 0.01, 0.01, 0.01, 0.01, 0.01],
    [0.5, 0.48, 0.005, 0.2, 0.2, 0.9],
    [0.5, 0.49, 0.3, 0.2, 0.2, 0.9],
]


@pytest.mark.parametrize("max_steps", [1, 2, 4, 6])
def test_halting_follows_the_equations(max_steps: int) -> None:
    units_NX = torch.tensor(UNITS, dtype=torch.float64).t()
    pondering = HaltingState.start(torch.ones(len(UNITS), dtype=torch.bool), units_NX)
    weights = []
    for n in range(max_steps):
        weight_X, pondering = pondering.halt(units_NX[n], n == max_steps - 1, EPSILON)
        weights.append(weight_X)
    assert not pondering.running_X.any()
    for x, units in enumerate(UNITS):
        expected, steps, remainder = by_hand(units, max_steps)
        found = [float(weight_X[x]) for weight_X in weights]
        assert found == pytest.approx(expected + [0.0] * (max_steps - steps), abs=1e-12)
        assert sum(found) == pytest.approx(1)
        assert float(pondering.steps_X[x]) == steps
        assert float(pondering.cost_X[x]) == pytest.approx(steps + remainder, abs=1e-12)


def test_what_doesnt_run_has_no_weight_and_no_cost() -> None:
    pondering = HaltingState.start(torch.tensor([True, False]), torch.zeros(2))
    for n in range(3):
        weight_X, pondering = pondering.halt(torch.full((2,), 0.4), n == 2, EPSILON)
        assert weight_X[1] == 0
    assert pondering.cost_X[1] == 0
    assert pondering.cost_X[0] > 3


def test_a_fresh_unit_would_rather_halt() -> None:
    assert HaltingUnit(4, PonderOptions())(torch.zeros(1, 4)).item() == pytest.approx(0.7311, abs=1e-4)
    longer = HaltingUnit(4, PonderOptions(halting_bias=-1.0))
    assert longer(torch.zeros(1, 4)).item() == pytest.approx(0.2689, abs=1e-4)


def test_the_gradient_of_the_cost_is_that_of_the_remainder() -> None:
    """N is a count, so d(N + R)/dh_n is -1 for each step before the last and 0 from there on (Graves, eq. 14)."""
    units = torch.tensor([0.2, 0.3, 0.4, 0.6], requires_grad=True)
    pondering = HaltingState.start(torch.ones(1, dtype=torch.bool), units)
    for n in range(4):
        _, pondering = pondering.halt(units[n : n + 1], n == 3, EPSILON)
    pondering.cost_X.sum().backward()
    assert units.grad is not None
    assert units.grad.tolist() == [-1, -1, -1, 0]


def test_gradients_of_pondering() -> None:
    torch.manual_seed(3)
    ponder = Ponder(4, PonderOptions(max_steps=4, epsilon=EPSILON), "rnn_tanh").double()
    weight = torch.randn(4, 4, dtype=torch.float64)

    def run(state: Tensor, weight: Tensor) -> Tensor:
        (mean,), pondering = ponder(lambda parts, first: ((parts[0] @ weight + float(first)).tanh(),), (state,))
        return torch.cat((mean.flatten(), pondering.remainder_X))

    state = torch.randn(3, 1, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(run, (state.requires_grad_(), weight.requires_grad_()))


@torch.no_grad()
@pytest.mark.parametrize("bias", [-3.0, -1.0, 1.0])
def test_a_recurrent_step_ponders_as_in_the_paper(bias: float) -> None:
    """s^n from [x; first?] and s^{n-1}; the state that goes on to the next word is the mean (equations 1 to 13)."""
    torch.manual_seed(4)
    recurrence = AdaptiveRecurrence(AdaptiveEncoderOptions(cell="rnn_tanh", hidden_size=3, max_steps=4), 2).double()
    for parameter in recurrence.parameters():
        torch.nn.init.normal_(parameter)
    unit = recurrence.ponder.unit.linear
    unit.bias.fill_(bias)
    (cell,) = recurrence.cells.cells
    x_SD = torch.randn(5, 2, dtype=torch.float64)
    outputs, final, steps, costs = recurrence(x_SD[None], torch.ones(1, 5, dtype=torch.bool))
    state = torch.zeros(3, dtype=torch.float64)
    for position, x_D in enumerate(x_SD):
        states, thought = [], state
        for n in range(4):
            flag = torch.tensor([1.0 if n == 0 else 0.0], dtype=torch.float64)
            gates = cell.input_weights[0] @ x_D + cell.input_weights[1] @ flag
            thought = (gates + cell.hidden_weight @ thought + cell.bias).tanh()
            states.append(thought)
        weights, num_steps, remainder = by_hand([float((unit(s)).sigmoid()) for s in states], 4)
        state = sum((w * s for w, s in zip(weights, states, strict=False)), torch.zeros(3, dtype=torch.float64))
        torch.testing.assert_close(outputs[0, position], state, atol=1e-10, rtol=0)
        assert float(steps[0, position]) == num_steps
        assert float(costs[0, position]) == pytest.approx(num_steps + remainder, abs=1e-10)
    torch.testing.assert_close(final[0][0, 0], state, atol=1e-10, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("bias", [-2.0, 0.0, 5.0])
def test_a_universal_encoder_halts_position_by_position(make_model: Any, bias: float) -> None:
    """A position that has halted keeps the mean of its states, which the others go on looking at."""
    model = make_model(UNIVERSAL, UNIVERSAL)
    encoder = model.encoder
    torch.nn.init.normal_(encoder.halting.unit.linear.weight)
    encoder.halting.unit.linear.bias.fill_(bias)
    source = torch.tensor([[4, 9, 7, 5, 11, 3]])
    length = source.shape[1]
    visible = torch.zeros(1, 1, 1, length)
    current = encoder.embedding(source)[0]
    means, totals = torch.zeros(length, 16), [0.0] * length
    num_steps, remainders = [0] * length, [0.0] * length
    running = set(range(length))
    for n in range(5):
        seen = encoder.positions.positions(current[None]) + encoder.positions.steps[n]
        states = encoder.layer(seen, visible)[0]
        for position in sorted(running):
            unit = float(encoder.halting.unit(states[position]))
            num_steps[position] += 1
            if totals[position] + unit >= 1 - EPSILON or n == 4:
                remainders[position] = weight = 1 - totals[position]
                running.remove(position)
            else:
                weight = unit
                totals[position] += unit
            means[position] += weight * states[position]
        current = torch.stack([states[p] if p in running else means[p] for p in range(length)])
    encoded = model.encode(source, torch.tensor([length]))
    torch.testing.assert_close(encoded.memories[0].values_BSD[0], means, atol=1e-5, rtol=1e-5)
    assert encoded.diagnostics["ponder"][0].tolist() == num_steps
    expected = 0.001 * (sum(num_steps) + sum(remainders))
    assert float(encoded.aux_losses["ponder"]) == pytest.approx(expected, rel=1e-5)
    assert len(set(num_steps)) > 1 or bias != 0.0


@torch.no_grad()
def test_without_halting_all_steps_are_taken_and_the_last_one_counts(make_model: Any) -> None:
    encoder = make_model({**UNIVERSAL, "adaptive": False}, UNIVERSAL).encoder
    source = torch.tensor([[4, 9, 7, 3]])
    x_BSD = encoder.embedding(source)
    for n in range(5):
        x_BSD = encoder.layer(encoder.positions(x_BSD, n), torch.zeros(1, 1, 1, 4))
    encoded = encoder(source, torch.tensor([4]))
    torch.testing.assert_close(encoded.memories[0].values_BSD, x_BSD, atol=1e-6, rtol=1e-5)
    assert encoded.aux_losses == {}


@torch.no_grad()
@pytest.mark.parametrize("kind", DECODERS)
def test_ponder_costs_are_those_of_the_real_tokens(make_model: Any, batch: Batch, kind: str) -> None:
    """The sum over a padded batch is the sum over its sentences, encoder and decoder together."""
    encoder = {**DECODERS[kind], "type": kind}
    encoder.pop("attention", None)
    model = make_model(encoder, DECODERS[kind])
    for module in model.modules():
        if isinstance(module, HaltingUnit):  # halting after anything from one step to all
            torch.nn.init.normal_(module.linear.weight, std=2.0)
            module.linear.bias.fill_(-0.5)
    together = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
    alone = 0.0
    for row in range(len(batch.source_BS)):
        source_length, target_length = int(batch.source_length_B[row]), int(batch.target_length_B[row])
        single = model(
            batch.source_BS[row : row + 1, :source_length],
            batch.source_length_B[row : row + 1],
            batch.target_input_BT[row : row + 1, :target_length],
        )
        alone += float(single.aux_losses["ponder"])
        for figures, own, length in (
            (together.source_diagnostics, single.source_diagnostics, source_length),
            (together.diagnostics, single.diagnostics, target_length),
        ):
            assert figures["ponder"][row, :length].tolist() == own["ponder"][0].tolist()
            assert not figures["ponder"][row, length:].any()
    assert float(together.aux_losses["ponder"]) == pytest.approx(alone, rel=1e-5)
    assert together.diagnostics["ponder"].unique().numel() > 1


@torch.no_grad()
def test_the_time_penalty_scales_the_ponder_cost(make_model: Any, batch: Batch) -> None:
    costs = []
    for penalty in (0.001, 0.1):
        model = make_model({**UNIVERSAL, "time_penalty": penalty}, {**UNIVERSAL, "time_penalty": penalty})
        unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
        costs.append(float(unrolled.aux_losses["ponder"]))
    assert costs[1] == pytest.approx(100 * costs[0], rel=1e-5)


def test_a_batch_of_one_word_ponders(make_model: Any, joint_vocabularies: Any) -> None:
    batch = make_batch([([], [])], joint_vocabularies)
    model = make_model(ADAPTIVE, DECODERS["act_rnn"])
    unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
    assert float(unrolled.source_diagnostics["ponder"]) >= 1
