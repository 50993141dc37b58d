"""Halting against Graves's equations, number by number, and the systems that ponder."""

from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import TrainTiny
from run_files import read_metrics
from torch import nn

from nmt.core.errors import UserError
from nmt.data.batch import Batch
from nmt.extensions.algorithmic.act import HaltingState, HaltingUnit
from nmt.models.networks.recurrence import LoopLayer

EPSILON = 0.01
ADAPTIVE = {"type": "act_rnn", "hidden_size": 8, "max_steps": 5}
UNIVERSAL = {"type": "universal_transformer", "num_heads": 4, "feed_forward_size": 24, "max_steps": 5}
DECODER = {**ADAPTIVE, "attention": {"type": "additive", "size": 8}}


def by_hand(units: list[float], max_steps: int) -> tuple[list[float], int, float]:
    """Weights, N and R from the halting units of all steps that there might be."""
    total, weights = 0.0, []
    for n, unit in enumerate(units[:max_steps], start=1):
        if total + unit >= 1 - EPSILON or n == max_steps:
            return [*weights, 1 - total], n, 1 - total
        weights.append(unit)
        total += unit
    raise AssertionError("never reached")


def test_the_gradient_of_the_cost_is_that_of_the_remainder() -> None:
    """N is a count, so d(N + R)/dh_n is -1 for each step before the last and 0 from there on (Graves, eq. 14)."""
    units = torch.tensor([0.2, 0.3, 0.4, 0.6], requires_grad=True)
    pondering = HaltingState.start(torch.ones(1, dtype=torch.bool), units)
    for n in range(4):
        _, pondering = pondering.halt(units[n : n + 1], n == 3, EPSILON)
    pondering.cost_X.sum().backward()
    assert units.grad.tolist() == [-1, -1, -1, 0]


def randomise(module: nn.Module, bias: float, std: float = 1.0) -> None:
    """Weights with which steps differ, and the bias of the halting units."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=std)
    for part in module.modules():
        if isinstance(part, HaltingUnit):
            part.linear.bias.fill_(bias)


@torch.no_grad()
@pytest.mark.parametrize("bias", [-3.0, 0.0, 3.0])
def test_the_decoder_computes_its_equation(make_model: Any, bias: float) -> None:
    """c^n from s^{n-1}; s^n = cell([E y; c^n; first?], s^{n-1}); h_n from the top layer of s^n; state, context and
    weights are means under p_n, and the output layer reads tanh(W [s; c; E y])."""
    options = {**DECODER, "cell": "rnn_tanh", "num_layers": 2, "time_penalty": 0.1}
    model = make_model({"type": "recurrent", "cell": "rnn_tanh", "hidden_size": 4}, options).double()
    randomise(model.decoder, bias, std=0.5)
    w = {name: parameter.detach().numpy() for name, parameter in model.decoder.named_parameters()}
    target = torch.tensor([[2, 6, 11, 8]])
    encoded = model.encode(torch.tensor([[4, 9, 7, 5, 3]]), torch.tensor([5]))
    found = model.decoder.unroll(target, encoded, need_weights=True)
    annotations = encoded.memories[0].values_BSD[0].numpy()
    keys = annotations @ w["attention.key.weight"].T
    first = np.tanh(w["first_state.dense.0.weight"] @ encoded.final[0][0, 0].numpy() + w["first_state.dense.0.bias"])
    state, costs, all_steps = (first, first), 0.0, []  # the one layer of the encoder stands for both
    for position, word in enumerate(w["embedding.table.weight"][target[0].numpy()]):
        parts, units, (low, top) = [], [], state
        for n in range(5):
            query = w["attention.query.weight"] @ top + w["attention.query.bias"]
            scores = np.tanh(query + keys) @ w["attention.score.weight"][0]
            weights = np.exp(scores) / np.exp(scores).sum()
            context = weights @ annotations
            gates = w["cells.cells.0.input_weights.0"] @ word + w["cells.cells.0.input_weights.1"] @ context
            gates = gates + w["cells.cells.0.input_weights.2"][:, 0] * (n == 0)
            low = np.tanh(gates + w["cells.cells.0.bias"] + w["cells.cells.0.hidden_weight"] @ low)
            gates = w["cells.cells.1.input_weights.0"] @ low + w["cells.cells.1.bias"]
            top = np.tanh(gates + w["cells.cells.1.hidden_weight"] @ top)
            score = w["halting.linear.weight"] @ top + w["halting.linear.bias"]
            units.append(float(1 / (1 + np.exp(-score.item()))))
            parts.append((low, top, context, weights))
        halting, num_steps, remainder = by_hand(units, 5)
        low, top, context, weights = (
            sum(p * part for p, part in zip(halting, step_parts, strict=False))
            for step_parts in zip(*parts, strict=True)
        )
        state = low, top
        features = np.tanh(w["readout.weight"] @ np.concatenate((top, context, word)) + w["readout.bias"])
        np.testing.assert_allclose(found.features_BTD[0, position].numpy(), features, atol=1e-10)
        np.testing.assert_allclose(found.weights_BHTS[0, 0, position].numpy(), weights, atol=1e-10)
        all_steps.append(num_steps)
        costs += num_steps + remainder
    assert found.diagnostics["ponder"][0].tolist() == all_steps
    assert float(found.aux_losses["ponder"]) == pytest.approx(0.1 * costs, abs=1e-10)
    assert max(all_steps) > 1


@torch.no_grad()
def test_ponder_steps_of_both_directions_are_in_the_order_of_the_words(make_model: Any, batch: Batch) -> None:
    encoder = make_model(ADAPTIVE, DECODER).encoder
    randomise(encoder, -1.0)
    forward, backward = (LoopLayer([cells]) for cells in encoder.layer.cells)
    encoded = encoder(batch.source_BS, batch.source_length_B)
    unequal, cost = False, 0.0
    for row, length in enumerate(batch.source_length_B.tolist()):
        x_BSD = encoder.embedding(batch.source_BS[row : row + 1, :length])
        there, _, [(*_, steps_there, costs_there)] = forward(x_BSD, None, None, None)
        back, _, [(*_, steps_back, costs_back)] = backward(x_BSD.flip(1), None, None, None)
        cost += float(costs_there.sum() + costs_back.sum())
        expected = (steps_there + steps_back.flip(0)) / 2
        assert torch.equal(encoded.diagnostics["ponder"][row, :length], expected[:, 0])
        annotations = torch.cat((there, back.flip(1)), dim=2)
        torch.testing.assert_close(encoded.memories[0].values_BSD[row, :length], annotations[0])
        unequal = unequal or not torch.equal(steps_back, steps_back.flip(0))
    assert unequal, "the order can't be told from these steps"
    assert float(encoded.aux_losses["ponder"]) == pytest.approx(0.001 * cost, rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("bias", [-2.0, 0.0, 5.0])
def test_a_universal_encoder_halts_position_by_position(make_model: Any, bias: float) -> None:
    """A position that has halted keeps the mean of its states, which the others go on looking at."""
    model = make_model(UNIVERSAL, UNIVERSAL)
    encoder = model.encoder
    torch.nn.init.normal_(encoder.halting.linear.weight)
    encoder.halting.linear.bias.fill_(bias)
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
            unit = float(encoder.halting(states[position]))
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
@pytest.mark.parametrize("networks", [(ADAPTIVE, DECODER), (UNIVERSAL, UNIVERSAL)])
def test_ponder_costs_are_those_of_the_real_tokens(make_model: Any, batch: Batch, networks: Any) -> None:
    """The sum over a padded batch is the sum over its sentences, encoder and decoder together."""
    model = make_model(*networks)
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


def test_act_refuses_a_cell_whose_states_have_no_mean(make_model: Any) -> None:
    pondering = {"type": "act_rnn", "hidden_size": 8, "cell": "clockwork"}
    for encoder, decoder in (
        (pondering, {"type": "bahdanau", "hidden_size": 8}),
        ({"type": "recurrent", "hidden_size": 8}, pondering),
    ):
        with pytest.raises(UserError, match="the cell clockwork have no mean"):
            make_model(encoder, decoder)


def test_ponder_steps_are_shown_beside_their_penalty(train_tiny: TrainTiny) -> None:
    """Each token takes from one step to ``max_steps``; the penalty is τ (N + R), with R in (0, 1]."""
    pondering = "type: act_rnn, hidden_size: 16, max_steps: 4"
    settings = [
        f"model.encoder={{{pondering}, time_penalty: 0}}",
        f"model.decoder={{{pondering}, time_penalty: 0.01, attention: {{type: additive}}}}",
    ]
    lines = read_metrics(train_tiny("training.max_steps=3", "training.log_every=1", *settings), "train")
    assert len(lines) == 3
    for line in lines:
        assert 1 <= line["source_ponder"] <= 4
        assert 1 <= line["target_ponder"] <= 4
        assert 0.01 * line["target_ponder"] < line["ponder"] <= 0.01 * (line["target_ponder"] + 1) + 1e-5
