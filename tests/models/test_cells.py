"""Cells and recurrences against their equations, also where a kernel of PyTorch computes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from nmt.models.cells import CELLS, Cell, CellState
from nmt.models.networks.recurrence import CellStack, Recurrence, StackOptions

ROWS, INPUT, HIDDEN = 3, 3, 4
LENGTHS = [4, 7, 1]
Vector = npt.NDArray[np.float64]


def random_cell(choice: Any, input_sizes: Sequence[int] = (INPUT,), layer: int = 0) -> Cell:
    """In float64, with weights large enough that no gate stays near its middle, and a bias that isn't zero."""
    kind, options = CELLS.choose(choice, "cell")
    cell = kind(options, input_sizes, HIDDEN, layer).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.8)
    return cell


def sigmoid(x: Vector) -> Vector:
    return 1 / (1 + np.exp(-x))


def relu(x: Vector) -> Vector:
    return np.maximum(x, 0)


@dataclass(frozen=True)
class Step:
    """One step of one row."""

    cell: Any
    x: Vector
    state: list[Vector]
    number: int
    """Counts from 0."""
    below: Vector | None
    """The cell state of the layer below."""

    def parameter(self, name: str) -> Any:
        return getattr(self.cell, name).detach().numpy()

    def from_input(self, number: int) -> Vector:
        """U x + b of a gate."""
        all_gates = self.cell.input_weights[0].detach().numpy() @ self.x + self.parameter("bias")
        return all_gates[number * HIDDEN : (number + 1) * HIDDEN]

    def from_hidden(self, number: int, hidden: Vector | None = None) -> Vector:
        """W h of a gate."""
        rows = slice(number * HIDDEN, (number + 1) * HIDDEN)
        return self.parameter("hidden_weight")[rows] @ (self.state[0] if hidden is None else hidden)

    def gate(self, number: int) -> Vector:
        return self.from_input(number) + self.from_hidden(number)


def time_skip(step: Step) -> list[Vector]:
    """The state grows by all states before, the newest first; those before the beginning are zero."""
    total = step.gate(0)
    for number, k in enumerate(step.cell.options.delays):
        if k <= len(step.state):
            total = total + step.parameter("delayed_weight")[:, number * HIDDEN :][:, :HIDDEN] @ step.state[k - 1]
    return [np.tanh(total), *step.state]


def leaky(step: Step) -> list[Vector]:
    options = step.cell.options
    gamma = np.full(HIDDEN, options.gamma)
    if options.max_gamma:  # 4 units, at equal ratios
        gamma = options.gamma * (options.max_gamma / options.gamma) ** (np.arange(HIDDEN) / 3)
    if options.learned:
        gamma = 1 + np.log(1 + np.exp(step.parameter("gamma_D")))
    new = np.tanh(step.gate(0)) if options.activation == "tanh" else relu(step.gate(0))
    return [(1 - 1 / gamma) * step.state[0] + 1 / gamma * new]


def clockwork(step: Step) -> list[Vector]:
    period = 2 ** (np.arange(HIDDEN) * step.cell.options.num_modules // HIDDEN)
    weight = np.where(period >= period[:, None], step.parameter("hidden_weight"), 0)
    new = np.tanh(step.from_input(0) + weight @ step.state[0])
    return [np.where(step.number % period == 0, new, step.state[0])]


def lstm_state(f: Vector, i: Vector, candidate: Vector, o: Vector, before: Vector) -> list[Vector]:
    memory = f * before + i * candidate
    return [o * np.tanh(memory), memory]


def lstm(step: Step) -> list[Vector]:
    i, f, o = (sigmoid(step.gate(number)) for number in range(3))
    return lstm_state(f, i, np.tanh(step.gate(3)), o, step.state[1])


def coupled(step: Step) -> list[Vector]:
    f, o = (sigmoid(step.gate(number)) for number in range(2))
    return lstm_state(f, 1 - f, np.tanh(step.gate(2)), o, step.state[1])


def peephole(step: Step) -> list[Vector]:
    """With the depth gate of a cell that has one."""
    before = step.state[1]
    parts = np.split(step.parameter("peephole"), 3)
    look_i, look_f, look_o = (part if part.ndim > 1 else np.diag(part) for part in parts)
    i, f = sigmoid(step.gate(0) + look_i @ before), sigmoid(step.gate(1) + look_f @ before)
    memory = f * before + i * np.tanh(step.gate(3))
    if step.below is not None and hasattr(step.cell, "depth_peephole"):
        own, other = step.parameter("depth_peephole"), step.parameter("depth_below")
        memory = memory + sigmoid(step.from_input(4) + own * before + other * step.below) * step.below
    return [sigmoid(step.gate(2) + look_o @ memory) * np.tanh(memory), memory]


def gru(step: Step) -> list[Vector]:
    """The bias of the new state is inside the reset gate."""
    r, z = (sigmoid(step.gate(number)) for number in range(2))
    bias = step.parameter("bias")[2 * HIDDEN :]
    new = np.tanh(step.from_input(2) - bias + r * (step.from_hidden(2) + bias))
    return [(1 - z) * step.state[0] + z * new]


def gru_reset_before(step: Step) -> list[Vector]:
    r, z = (sigmoid(step.gate(number)) for number in range(2))
    new = np.tanh(step.from_input(2) + step.from_hidden(2, r * step.state[0]))
    return [(1 - z) * step.state[0] + z * new]


BY_NAME: dict[str, Callable[[Step], list[Vector]]] = {
    "rnn_tanh": lambda step: [np.tanh(step.gate(0))],
    "rnn_relu": lambda step: [relu(step.gate(0))],
    "lstm": lstm,
    "coupled": coupled,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    # Cells of extensions, which can be deleted.
    "clockwork": clockwork,
    "depth_gated": peephole,
    "echo_state": lambda step: [np.tanh(step.gate(0))],
    "leaky": leaky,
    "peephole": peephole,
    "time_skip": time_skip,
}
"""The next state of one row. A new cell of nmt gets a function here; a cell of a plugin is tested by its own tests."""

EQUATIONS = {CELLS[kind]: equation for kind, equation in BY_NAME.items() if kind in CELLS}
OPTIONS: dict[str, Any] = {
    "time_skip, 2 and 3": {"type": "time_skip", "delays": [2, 3]},
    "leaky, gamma 1 to 8": {"type": "leaky", "gamma": 1, "max_gamma": 8},
    "leaky, gamma 1": {"type": "leaky", "gamma": 1},
    "leaky, learned": {"type": "leaky", "gamma": 3.5, "learned": True},
    "leaky, relu": {"type": "leaky", "gamma": 1.5, "activation": "relu"},
    "peephole, full matrix": {"type": "peephole", "full_matrix": True},
    "depth_gated, full matrix": {"type": "depth_gated", "full_matrix": True},
    "clockwork, 2 modules": {"type": "clockwork", "num_modules": 2},
}
CHOICES: dict[str, Any] = {
    **{kind: kind for kind in BY_NAME if kind in CELLS},
    **{name: choice for name, choice in OPTIONS.items() if choice["type"] in CELLS},
}
"""Every cell of nmt, and options that change the equations."""

every_cell = pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES.keys())


def test_every_cell_has_its_equation() -> None:
    missing = [kind for kind in CELLS.builtin if kind not in BY_NAME]
    assert not missing, f"write the equations of {missing} into BY_NAME"


def read_by_loops(
    cells: Sequence[Cell], words: Vector, state: list[list[Vector]] | None = None, residual: bool = False
) -> tuple[list[Vector], list[list[list[Vector]]]]:
    """A stack of one direction over one sentence: the outputs, and the states of all layers after each word."""
    state = state or [[np.zeros(HIDDEN) for _ in range(cell.num_states)] for cell in cells]
    outputs, states = [], []
    for step, x in enumerate(words):
        below, new_state = None, []
        for layer, cell in enumerate(cells):
            new_state.append(EQUATIONS[type(cell)](Step(cell, x, state[layer], step, below)))
            below = new_state[-1][-1]
            x = x + new_state[-1][0] if layer and residual else new_state[-1][0]
        state = new_state
        outputs.append(x)
        states.append(state)
    return outputs, states


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


def stack_options(choice: Any, **others: Any) -> StackOptions:
    """Two layers, unless others are given."""
    return StackOptions.model_validate({"cell": choice, "hidden_size": HIDDEN, "num_layers": 2, **others})


def assert_near(found: Tensor, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-9, rtol=0)


def recurrence_of(
    choice: Any, directions: int, num_layers: int = 2, residual: bool = False
) -> tuple[Recurrence, list[list[Cell]]]:
    """In float64, and its cells [direction][layer]."""
    options = stack_options(choice, num_layers=num_layers, residual=residual)
    recurrence = Recurrence(options, INPUT, directions == 2).double()
    ways: list[list[Cell]] = [[] for _ in range(directions)]
    for number, layer in enumerate(recurrence.layers):
        width = INPUT if not number else HIDDEN * directions
        cells = [random_cell(choice, [width], number) for _ in range(directions)]
        for way, cell in zip(ways, cells, strict=True):
            way.append(cell)
        if isinstance(layer, nn.RNNBase):
            for suffix, cell in zip(("", "_reverse"), cells, strict=False):
                weights = {f"{name}_l0{suffix}": value for name, value in torch_weights(cell).items()}
                layer.load_state_dict(weights, strict=False)
        else:
            for own, cell in zip(layer.cells, cells, strict=True):
                own.load_state_dict(cell.state_dict())
    return recurrence, ways


@every_cell
@pytest.mark.parametrize("residual", [False, True])
def test_a_stack_steps_by_the_equations(choice: Any, residual: bool) -> None:
    """As a decoder does it: from a given state, word by word."""
    torch.manual_seed(14)
    stack = CellStack(stack_options(choice, residual=residual, num_layers=3), [INPUT]).double()
    for parameter in stack.parameters():
        nn.init.normal_(parameter, std=0.8)
    x_BTD = torch.randn(ROWS, 6, INPUT, dtype=torch.float64)
    first: CellState = tuple(torch.randn(ROWS, 3, HIDDEN, dtype=torch.float64) for _ in range(stack.num_states))
    state, outputs = first, []
    for x_BD in x_BTD.unbind(1):
        state = stack(stack.project(x_BD), state)
        outputs.append(stack.output(state))
    for row in range(ROWS):
        given = [[part[row, layer].numpy() for part in first] for layer in range(3)]
        expected, states = read_by_loops(list(stack.cells), x_BTD[row].numpy(), given, residual)
        assert_near(torch.stack(outputs, dim=1)[row], expected)
        for part in range(stack.num_states):
            assert_near(state[part][row], [parts[part] for parts in states[-1]])


@every_cell
@pytest.mark.parametrize(
    ("directions", "num_layers", "residual"),
    [(1, 1, False), (2, 1, False), (1, 3, False), (1, 3, True)],
    ids=["one layer", "both directions", "three layers", "three layers, residual"],
)
def test_a_padded_batch_is_read_by_the_equations(choice: Any, directions: int, num_layers: int, residual: bool) -> None:
    """As an encoder does it: each sentence to its own end, from a given state."""
    torch.manual_seed(15)
    recurrence, ways = recurrence_of(choice, directions, num_layers, residual)
    x_BTD = torch.randn(ROWS, max(LENGTHS), INPUT, dtype=torch.float64)
    shape = ROWS, num_layers, directions * HIDDEN
    state = tuple(torch.randn(shape, dtype=torch.float64) for _ in range(recurrence.num_states))
    outputs_BTD, final = recurrence(x_BTD, state, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        words, outputs = x_BTD[row, :length].numpy(), []
        for way, cells in enumerate(ways):
            units = slice(way * HIDDEN, (way + 1) * HIDDEN)
            first = [[part[row, layer, units].numpy() for part in state] for layer in range(num_layers)]
            read, states = read_by_loops(cells, words[:: 1 - 2 * way], first, residual)
            outputs.append(read[:: 1 - 2 * way])
            for part in range(recurrence.num_states):
                assert_near(final[part][row, :, units], [parts[part] for parts in states[-1]])
        assert_near(outputs_BTD[row, :length], np.concatenate(outputs, axis=1))
        assert not outputs_BTD[row, length:].any()


@pytest.mark.skipif("depth_gated" not in CELLS, reason="the extension cells was deleted")
def test_a_depth_gate_of_both_directions_sees_the_cell_of_its_own() -> None:
    """Of two layers, the upper forward one with the lower forward cell at the same word, and so backward."""
    torch.manual_seed(17)
    recurrence, ways = recurrence_of("depth_gated", 2)
    x_BTD = torch.randn(ROWS, max(LENGTHS), INPUT, dtype=torch.float64)
    outputs_BTD, _ = recurrence(x_BTD, length_B=torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        words = x_BTD[row, :length].numpy()
        lower = [read_by_loops(cells[:1], words[:: 1 - 2 * way]) for way, cells in enumerate(ways)]
        (there, _), (back, _) = lower
        annotations = np.concatenate((there, back[::-1]), axis=1)
        for way, cells in enumerate(ways):
            state = [np.zeros(HIDDEN), np.zeros(HIDDEN)]
            for step, word in enumerate(annotations[:: 1 - 2 * way]):
                state = peephole(Step(cells[1], word, state, step, lower[way][1][step][0][1]))
                position = length - 1 - step if way else step
                assert_near(outputs_BTD[row, position, way * HIDDEN : (way + 1) * HIDDEN], state[0])


@pytest.mark.quick("gru", "leaky")
@every_cell
def test_half_precision_loses_nothing_that_a_state_adds_up(choice: Any) -> None:
    """Under autocast the products are bfloat16; states stay float32, and 300 steps stay close to exact ones."""
    torch.manual_seed(21)
    recurrence = Recurrence(stack_options(choice, hidden_size=16), INPUT, bidirectional=True)
    x_BTD, length_B = torch.randn(2, 300, INPUT) / 4, torch.tensor([300, 200])
    exact_BTD, exact = recurrence(x_BTD, length_B=length_B)
    with torch.autocast("cpu", torch.bfloat16):
        outputs_BTD, final = recurrence(x_BTD.bfloat16(), length_B=length_B)
    assert outputs_BTD.dtype == torch.bfloat16
    assert (outputs_BTD - exact_BTD).abs().max() < 0.05
    for part, expected in zip(final, exact, strict=True):
        if recurrence.kind.kernel is None:
            assert part.dtype == expected.dtype
        assert (part - expected).abs().max() < 0.1
