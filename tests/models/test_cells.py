"""Cells and recurrences against their equations, and against PyTorch's cells with the same weights."""

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from nmt.models.cells import CELLS, Cell, CellStack, CellType, Recurrence
from nmt.models.masks import length_mask

ROWS, INPUT, HIDDEN = 3, 4, 5
KINDS = list(get_args(CellType))
Vector = list[float]


def random_cell(kind: CellType, input_sizes: tuple[int, ...] = (INPUT,)) -> Cell:
    """In float64, with weights large enough that no gate stays near its middle, and a bias that isn't zero."""
    torch.manual_seed(11)
    cell = CELLS[kind](input_sizes, HIDDEN).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.8)
    return cell


def random_state(cell: Cell) -> tuple[Tensor, ...]:
    return tuple(torch.randn(ROWS, HIDDEN, dtype=torch.float64) for _ in range(cell.num_states))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def by_loops(cell: Cell, x: Vector, state: list[Vector]) -> list[Vector]:
    """One step of one row, number by number."""
    input_weight, hidden_weight = cell.input_weights[0].tolist(), cell.hidden_weight.tolist()
    bias, hidden = cell.bias.tolist(), state[0]

    def from_input(gate: int, unit: int) -> float:
        return sum(w * value for w, value in zip(input_weight[gate * HIDDEN + unit], x, strict=True))

    def from_hidden(gate: int, unit: int) -> float:
        row = gate * HIDDEN + unit
        return sum(w * value for w, value in zip(hidden_weight[row], hidden, strict=True)) + bias[row]

    def gates(gate: int) -> Vector:
        return [from_input(gate, unit) + from_hidden(gate, unit) for unit in range(HIDDEN)]

    units = range(HIDDEN)
    match type(cell).__name__:
        case "LstmCell":
            i, f, o = ([sigmoid(value) for value in gates(gate)] for gate in range(3))
            candidate = [math.tanh(value) for value in gates(3)]
            memory = [f[j] * state[1][j] + i[j] * candidate[j] for j in units]
            return [[o[j] * math.tanh(memory[j]) for j in units], memory]
        case "GruCell":
            r, z = ([sigmoid(value) for value in gates(gate)] for gate in range(2))
            candidate = [math.tanh(from_input(2, j) + r[j] * from_hidden(2, j)) for j in units]
            return [[(1 - z[j]) * hidden[j] + z[j] * candidate[j] for j in units]]
        case "TanhCell":
            return [[math.tanh(value) for value in gates(0)]]
        case "ReluCell":
            return [[max(0.0, value) for value in gates(0)]]
    raise AssertionError(f"write the equation of {cell}")


def torch_weights(cell: Cell) -> dict[str, Tensor]:
    """The weights of PyTorch's cell that computes the same: other orders of gates, and GRU's z is 1 - z there."""
    order, sign = {"LstmCell": ([0, 1, 3, 2], [1, 1, 1, 1]), "GruCell": ([0, 1, 2], [1, -1, 1])}.get(
        type(cell).__name__, ([0], [1])
    )

    def rearranged(rows: Tensor) -> Tensor:
        gates = rows.detach().chunk(cell.num_gates)
        return torch.cat([gates[gate] * factor for gate, factor in zip(order, sign, strict=True)])

    return {
        "weight_ih": rearranged(cell.input_weights[0]),
        "weight_hh": rearranged(cell.hidden_weight),
        "bias_ih": torch.zeros_like(cell.bias),
        "bias_hh": rearranged(cell.bias),  # inside the reset gate, for a GRU
    }


TORCH_CELLS: dict[str, Callable[..., nn.RNNCellBase]] = {
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
    "rnn_tanh": nn.RNNCell,
    "rnn_relu": lambda *sizes: nn.RNNCell(*sizes, nonlinearity="relu"),
}


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_computes_its_equations(kind: CellType) -> None:
    cell = random_cell(kind)
    x, state = torch.randn(ROWS, INPUT, dtype=torch.float64), random_state(cell)
    found = cell(cell.project(x), state)
    for row in range(ROWS):
        expected = by_loops(cell, x[row].tolist(), [part[row].tolist() for part in state])
        for part, values in zip(found, expected, strict=True):
            assert part[row].tolist() == pytest.approx(values, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_equals_pytorchs(kind: CellType) -> None:
    cell = random_cell(kind)
    theirs = TORCH_CELLS[kind](INPUT, HIDDEN).double()
    theirs.load_state_dict(torch_weights(cell))
    x, state = torch.randn(ROWS, INPUT, dtype=torch.float64), random_state(cell)
    expected = theirs(x, state if kind == "lstm" else state[0])
    for found, part in zip(cell(cell.project(x), state), expected if kind == "lstm" else (expected,), strict=True):
        torch.testing.assert_close(found, part, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_of_a_cell(kind: CellType) -> None:
    cell = random_cell(kind)
    names = list(dict(cell.named_parameters()))

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            return self.cell(self.cell.project(x), state)

    def step(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        state, parameters = others[: cell.num_states], others[cell.num_states :]
        values = {f"cell.{name}": value for name, value in zip(names, parameters, strict=True)}
        return functional_call(Step(), values, (x, *state))

    inputs = (torch.randn(2, INPUT, dtype=torch.float64), *(part[:2] for part in random_state(cell)))
    inputs = tuple(value.requires_grad_() for value in (*inputs, *cell.parameters()))
    assert torch.autograd.gradcheck(step, inputs)


@pytest.mark.parametrize("kind", CELLS)
def test_two_inputs_are_one_wide_input(kind: CellType) -> None:
    split, whole = random_cell(kind, (INPUT - 1, 1)), random_cell(kind)
    whole.load_state_dict(
        {
            "input_weights.0": torch.cat(tuple(split.input_weights), dim=1),
            "hidden_weight": split.hidden_weight,
            "bias": split.bias,
        }
    )
    x, state = torch.randn(ROWS, INPUT, dtype=torch.float64), random_state(split)
    gates = split.project(x[:, :-1]) + split.project(x[:, -1:], part=1)
    for found, expected in zip(split(gates, state), whole(whole.project(x), state), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_stepped_equals_the_recurrence_of_the_same_weights(kind: CellType) -> None:
    torch.manual_seed(12)
    stack = CellStack(kind, [INPUT], HIDDEN, num_layers=2, dropout=0.5).eval()
    recurrence = Recurrence(kind, INPUT, HIDDEN, num_layers=2, dropout=0.5).eval()
    for cell, layer in zip(stack.cells, recurrence.layers, strict=True):
        nn.init.normal_(cell.bias)
        layer.load_state_dict({f"{name}_l0": value for name, value in torch_weights(cell).items()})
    x_BTD = torch.randn(ROWS, 6, INPUT)
    state = tuple(torch.randn(ROWS, 2, HIDDEN) for _ in range(stack.num_states))
    outputs_BTD, final = recurrence(x_BTD, state)
    for position in range(6):
        state = stack(stack.project(x_BTD[:, position]), state)
        torch.testing.assert_close(state[0][:, -1], outputs_BTD[:, position], atol=1e-6, rtol=1e-5)
    for found, expected in zip(state, final, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recurrence_goes_on_from_a_state(kind: CellType) -> None:
    torch.manual_seed(13)
    recurrence = Recurrence(kind, INPUT, HIDDEN, num_layers=2, dropout=0.0)
    x_BTD = torch.randn(ROWS, 7, INPUT)
    whole_BTD, final = recurrence(x_BTD)
    first_BTD, state = recurrence(x_BTD[:, :3])
    second_BTD, end = recurrence(x_BTD[:, 3:], state)
    torch.testing.assert_close(torch.cat((first_BTD, second_BTD), 1), whole_BTD)
    torch.testing.assert_close(end, final)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_each_sentence_ends_at_its_own_length(kind: CellType, bidirectional: bool) -> None:
    torch.manual_seed(14)
    recurrence = Recurrence(kind, INPUT, HIDDEN, num_layers=2, dropout=0.0, bidirectional=bidirectional)
    x_BTD, length_B = torch.randn(4, 6, INPUT), torch.tensor([3, 6, 1, 4])
    outputs_BTD, final = recurrence(x_BTD, length_B=length_B)
    assert not outputs_BTD[~length_mask(length_B, 6)].any()
    for row, length in enumerate(length_B.tolist()):
        own_BTD, own_final = recurrence(x_BTD[row : row + 1, :length])
        torch.testing.assert_close(outputs_BTD[row, :length], own_BTD[0])
        for part, own_part in zip(final, own_final, strict=True):
            torch.testing.assert_close(part[row], own_part[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_state_of_both_directions(kind: CellType) -> None:
    """Forward it is that of the last word, backward that of the first, each computed by a cell of its own."""
    torch.manual_seed(15)
    both = Recurrence(kind, INPUT, HIDDEN, num_layers=1, dropout=0.0, bidirectional=True)
    forward, backward = (Recurrence(kind, INPUT, HIDDEN, num_layers=1, dropout=0.0) for _ in range(2))
    stored = {name.removeprefix("layers.0."): value for name, value in both.state_dict().items()}
    next(iter(forward.layers)).load_state_dict({n: v for n, v in stored.items() if not n.endswith("_reverse")})
    next(iter(backward.layers)).load_state_dict(
        {name.removesuffix("_reverse"): value for name, value in stored.items() if name.endswith("_reverse")}
    )
    x_BTD, length_B = torch.randn(2, 5, INPUT), torch.tensor([5, 3])
    _, final = both(x_BTD, length_B=length_B)
    for row, length in enumerate(length_B.tolist()):
        _, there = forward(x_BTD[row : row + 1, :length])
        _, back = backward(x_BTD[row : row + 1, :length].flip(1))
        for part, expected in zip(final, zip(there, back, strict=True), strict=True):
            torch.testing.assert_close(part[row], torch.cat(expected, dim=2)[0])


def test_a_fresh_lstm_remembers() -> None:
    """The forget gate starts open in both forms, so that the gates' sum of biases is at least near 1."""
    stack = CellStack("lstm", [INPUT], 64, num_layers=2, dropout=0.0)
    recurrence = Recurrence("lstm", INPUT, 64, num_layers=2, dropout=0.0, bidirectional=True)
    biases = [cell.bias for cell in stack.cells]
    for layer in recurrence.layers:
        stored = layer.state_dict()
        biases += [stored[f"bias_ih_l0{way}"] + stored[f"bias_hh_l0{way}"] for way in ("", "_reverse")]
    for bias in biases:
        input_gate, forget_gate, *_ = bias.chunk(4)
        assert forget_gate.mean() > 0.9
        assert input_gate.mean().abs() < 0.2
