"""Cells and recurrences against their equations, number by number, and against PyTorch's with the same weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.models.cells import CELLS, Cell, CellState
from nmt.models.networks.recurrence import CellStack, Recurrence, StackOptions

ROWS, INPUT, HIDDEN = 3, 3, 4
LENGTHS = [4, 7, 1]
Vector = list[float]

TORCH_CELLS: dict[str, Callable[..., nn.RNNCellBase]] = {
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
    "rnn_tanh": nn.RNNCell,
    "rnn_relu": lambda *sizes: nn.RNNCell(*sizes, nonlinearity="relu"),
    "echo_state": nn.RNNCell,
}


def random_cell(choice: Any, input_sizes: Sequence[int] = (INPUT,), layer: int = 0) -> Cell:
    """In float64, with weights large enough that no gate stays near its middle, and a bias that isn't zero."""
    kind, options = CELLS.choose(choice, "cell")
    cell = kind(options, input_sizes, HIDDEN, layer).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.8)
    return cell


def random_state(cell: Cell, rows: int = ROWS) -> tuple[Tensor, ...]:
    return tuple(torch.randn(rows, HIDDEN, dtype=torch.float64) for _ in range(cell.num_states))


# The equations, number by number


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def product(weight: Tensor, vector: Vector) -> Vector:
    return [sum(w * value for w, value in zip(row, vector, strict=True)) for row in weight.tolist()]


def tanh(values: Vector) -> Vector:
    return [math.tanh(value) for value in values]


def relu(values: Vector) -> Vector:
    return [max(0.0, value) for value in values]


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

    @property
    def from_input(self) -> Vector:
        return product(self.cell.input_weights[0], self.x)

    def gate(self, number: int) -> Vector:
        """U x + W h + b."""
        rows = range(number * HIDDEN, (number + 1) * HIDDEN)
        from_input, from_hidden = self.from_input, product(self.cell.hidden_weight, self.state[0])
        bias = self.cell.bias.tolist()
        return [from_input[row] + from_hidden[row] + bias[row] for row in rows]

    def sigmoid(self, number: int) -> Vector:
        return [sigmoid(value) for value in self.gate(number)]


def time_skip(step: Step) -> list[Vector]:
    """The state grows by all states before, the newest first; those before the beginning are zero."""
    delays, sums = step.cell.options.delays, step.gate(0)
    for weight, k in zip(step.cell.delayed_weight.split(HIDDEN, dim=1), delays, strict=True):
        if k <= len(step.state):
            sums = [a + b for a, b in zip(sums, product(weight, step.state[k - 1]), strict=True)]
    return [tanh(sums), *step.state]


def leaky(step: Step) -> list[Vector]:
    gammas = [step.cell.options.gamma] * HIDDEN
    if step.cell.options.max_gamma:  # 4 units, at equal ratios
        ratio = (step.cell.options.max_gamma / gammas[0]) ** (1 / 3)
        gammas = [gammas[0] * ratio**unit for unit in range(HIDDEN)]
    if step.cell.options.learned:
        gammas = [1 + math.log(1 + math.exp(value)) for value in step.cell.gamma_D.tolist()]
    new = tanh(step.gate(0)) if step.cell.options.activation == "tanh" else relu(step.gate(0))
    return [[(1 - 1 / g) * h + 1 / g * n for g, h, n in zip(gammas, step.state[0], new, strict=True)]]


def clockwork(step: Step) -> list[Vector]:
    period = [2 ** (unit * step.cell.options.num_modules // HIDDEN) for unit in range(HIDDEN)]
    weight, hidden, from_input = step.cell.hidden_weight.tolist(), step.state[0], step.from_input
    new = []
    for i, bias in enumerate(step.cell.bias.tolist()):
        recurrent = sum(weight[i][j] * hidden[j] for j in range(HIDDEN) if period[j] >= period[i])
        is_active = step.number % period[i] == 0
        new.append(math.tanh(from_input[i] + recurrent + bias) if is_active else hidden[i])
    return [new]


def lstm_state(f: Vector, i: Vector, candidate: Vector, o: Vector, before: Vector) -> list[Vector]:
    memory = [f[j] * before[j] + i[j] * candidate[j] for j in range(HIDDEN)]
    return [[o[j] * math.tanh(memory[j]) for j in range(HIDDEN)], memory]


def lstm(step: Step) -> list[Vector]:
    i, f, o = (step.sigmoid(number) for number in range(3))
    return lstm_state(f, i, tanh(step.gate(3)), o, step.state[1])


def coupled(step: Step) -> list[Vector]:
    f, o = (step.sigmoid(number) for number in range(2))
    return lstm_state(f, [1 - value for value in f], tanh(step.gate(2)), o, step.state[1])


def peephole(step: Step) -> list[Vector]:
    """With the depth gate of a cell that has one."""
    units, before, weight = range(HIDDEN), step.state[1], step.cell.peephole.detach()
    matrices = [part if part.dim() > 1 else part.diag() for part in weight.chunk(3)]
    i, f = (
        [sigmoid(a + b) for a, b in zip(step.gate(gate), product(matrices[gate], before), strict=True)]
        for gate in range(2)
    )
    memory = [f[j] * before[j] + i[j] * candidate for j, candidate in enumerate(tanh(step.gate(3)))]
    if step.below is not None and hasattr(step.cell, "depth_peephole"):
        own, other, bias = step.cell.depth_peephole.tolist(), step.cell.depth_below.tolist(), step.cell.bias.tolist()
        for j, below in enumerate(step.below):
            row = 4 * HIDDEN + j
            memory[j] += below * sigmoid(step.from_input[row] + bias[row] + own[j] * before[j] + other[j] * below)
    o = [sigmoid(a + b) for a, b in zip(step.gate(2), product(matrices[2], memory), strict=True)]
    return [[o[j] * math.tanh(memory[j]) for j in units], memory]


def gru(step: Step) -> list[Vector]:
    hidden, from_input = step.state[0], step.from_input
    from_hidden, bias = product(step.cell.hidden_weight, hidden), step.cell.bias.tolist()
    r, z = (step.sigmoid(number) for number in range(2))
    rows = range(2 * HIDDEN, 3 * HIDDEN)
    new = [math.tanh(from_input[row] + r[j] * (from_hidden[row] + bias[row])) for j, row in enumerate(rows)]
    return [[(1 - z[j]) * hidden[j] + z[j] * new[j] for j in range(HIDDEN)]]


def gru_reset_before(step: Step) -> list[Vector]:
    hidden, rows = step.state[0], slice(2 * HIDDEN, 3 * HIDDEN)
    r, z = (step.sigmoid(number) for number in range(2))
    recurrent = product(step.cell.hidden_weight[rows], [a * b for a, b in zip(r, hidden, strict=True)])
    bias = step.cell.bias.tolist()
    sums = zip(step.from_input[rows], recurrent, bias[rows], strict=True)
    return [[(1 - a) * h + a * math.tanh(sum(s)) for a, h, s in zip(z, hidden, sums, strict=True)]]


BY_NAME: dict[str, Callable[[Step], list[Vector]]] = {
    "rnn_tanh": lambda step: [tanh(step.gate(0))],
    "rnn_relu": lambda step: [relu(step.gate(0))],
    "lstm": lstm,
    "coupled": coupled,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    # Cells of extensions, which can be deleted.
    "clockwork": clockwork,
    "depth_gated": peephole,
    "echo_state": lambda step: [tanh(step.gate(0))],
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
    assert not missing, f"write the equations of {missing} into EQUATIONS"


def read_by_loops(
    cells: Sequence[Cell], words: list[Vector], state: list[list[Vector]] | None = None, residual: bool = False
) -> tuple[list[Vector], list[list[list[Vector]]]]:
    """A stack of one direction over one sentence: the outputs, and the states of all layers after each word."""
    state = state or [[[0.0] * HIDDEN for _ in range(cell.num_states)] for cell in cells]
    outputs, states = [], []
    for step, x in enumerate(words):
        below, new_state = None, []
        for layer, cell in enumerate(cells):
            new_state.append(EQUATIONS[type(cell)](Step(cell, x, state[layer], step, below)))
            below = new_state[-1][-1]
            x = [a + b for a, b in zip(x, new_state[-1][0], strict=True)] if layer and residual else new_state[-1][0]
        state = new_state
        outputs.append(x)
        states.append(state)
    return outputs, states


# One step


@every_cell
@pytest.mark.parametrize("step", range(5))
def test_a_cell_computes_its_equations(choice: Any, step: int) -> None:
    torch.manual_seed(11 + step)
    cell = random_cell(choice)
    x, state = torch.randn(ROWS, INPUT, dtype=torch.float64), random_state(cell)
    clock = (torch.full((ROWS, 1), step),) if "clockwork" in str(choice) else ()
    found = cell(cell.project(x), (*state, *clock))
    assert len(found) >= cell.num_states > 0
    for row in range(ROWS):
        expected = EQUATIONS[type(cell)](Step(cell, x[row].tolist(), [p[row].tolist() for p in state], step, None))
        for part, values in zip(found[: cell.num_states], expected[: cell.num_states], strict=True):
            assert part[row].tolist() == pytest.approx(values, abs=1e-12)


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


# Stacks and sequences


def stack_options(choice: Any, **others: Any) -> StackOptions:
    """Two layers, unless others are given."""
    return StackOptions.model_validate({"cell": choice, "hidden_size": HIDDEN, "num_layers": 2, **others})


def stack_of(choice: Any, residual: bool = False) -> CellStack:
    """Three layers in float64, in training mode but without dropout."""
    stack = CellStack(stack_options(choice, residual=residual, num_layers=3), [INPUT]).double()
    for parameter in stack.parameters():
        nn.init.normal_(parameter, std=0.8)
    return stack


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
    stack = stack_of(choice, residual)
    x_BTD = torch.randn(ROWS, 6, INPUT, dtype=torch.float64)
    first: CellState = tuple(torch.randn(ROWS, 3, HIDDEN, dtype=torch.float64) for _ in range(stack.num_states))
    state, outputs = first, []
    for x_BD in x_BTD.unbind(1):
        state = stack(stack.project(x_BD), state)
        outputs.append(stack.output(state))
    for row in range(ROWS):
        given = [[part[row, layer].tolist() for part in first] for layer in range(3)]
        expected, states = read_by_loops(list(stack.cells), x_BTD[row].tolist(), given, residual)
        for found, values in zip(outputs, expected, strict=True):
            assert found[row].tolist() == pytest.approx(values, abs=1e-9)
        for layer, parts in enumerate(states[-1]):
            for found, values in zip(state[: stack.num_states], parts[: stack.num_states], strict=True):
                assert found[row, layer].tolist() == pytest.approx(values, abs=1e-9)


@every_cell
@pytest.mark.parametrize("directions", [1, 2])
def test_a_layer_reads_a_padded_batch_by_the_equations(choice: Any, directions: int) -> None:
    """As an encoder does it: each sentence to its own end, in both directions."""
    torch.manual_seed(15)
    recurrence, ways = recurrence_of(choice, directions, num_layers=1)
    x_BTD = torch.randn(ROWS, max(LENGTHS), INPUT, dtype=torch.float64)
    outputs_BTD, final = recurrence(x_BTD, length_B=torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        words = x_BTD[row, :length].tolist()
        read = [read_by_loops(cells, words[:: 1 - 2 * way]) for way, cells in enumerate(ways)]
        turned = [outputs[:: 1 - 2 * way] for way, (outputs, _) in enumerate(read)]
        for position in range(length):
            expected = [value for outputs in turned for value in outputs[position]]
            assert outputs_BTD[row, position].tolist() == pytest.approx(expected, abs=1e-9)
        assert not outputs_BTD[row, length:].any()
        for part in range(recurrence.num_states):
            expected = [value for _, states in read for value in states[-1][0][part]]
            assert final[part][row, 0].tolist() == pytest.approx(expected, abs=1e-9)


@every_cell
@pytest.mark.parametrize("residual", [False, True])
def test_layers_read_what_those_below_found(choice: Any, residual: bool) -> None:
    torch.manual_seed(16)
    recurrence, (cells,) = recurrence_of(choice, 1, num_layers=3, residual=residual)
    x_BTD = torch.randn(ROWS, max(LENGTHS), INPUT, dtype=torch.float64)
    outputs_BTD, final = recurrence(x_BTD, length_B=torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        expected, states = read_by_loops(cells, x_BTD[row, :length].tolist(), residual=residual)
        for position, values in enumerate(expected):
            assert outputs_BTD[row, position].tolist() == pytest.approx(values, abs=1e-9)
        for part in range(recurrence.num_states):
            for layer in range(3):
                assert final[part][row, layer].tolist() == pytest.approx(states[-1][layer][part], abs=1e-9)


@pytest.mark.skipif("depth_gated" not in CELLS, reason="the extension cells was deleted")
def test_a_depth_gate_of_both_directions_sees_the_cell_of_its_own() -> None:
    """Of two layers, the upper forward one with the lower forward cell at the same word, and so backward."""
    torch.manual_seed(17)
    recurrence, ways = recurrence_of("depth_gated", 2)
    x_BTD = torch.randn(ROWS, max(LENGTHS), INPUT, dtype=torch.float64)
    outputs_BTD, _ = recurrence(x_BTD, length_B=torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        words = x_BTD[row, :length].tolist()
        lower = [read_by_loops(cells[:1], words[:: 1 - 2 * way]) for way, cells in enumerate(ways)]
        (there, _), (back, _) = lower
        annotations = [a + b for a, b in zip(there, back[::-1], strict=True)]
        for way, cells in enumerate(ways):
            state = [[0.0] * HIDDEN, [0.0] * HIDDEN]
            for step, word in enumerate(annotations[:: 1 - 2 * way]):
                state = peephole(Step(cells[1], word, state, step, lower[way][1][step][0][1]))
                position = length - 1 - step if way else step
                found = outputs_BTD[row, position, way * HIDDEN : (way + 1) * HIDDEN]
                assert found.tolist() == pytest.approx(state[0], abs=1e-9)


@every_cell
def test_both_directions_go_on_from_a_state_of_their_own(choice: Any) -> None:
    torch.manual_seed(20)
    recurrence, ways = recurrence_of(choice, 2, num_layers=1)
    x_BTD = torch.randn(ROWS, max(LENGTHS), INPUT, dtype=torch.float64)
    state = tuple(torch.randn(ROWS, 1, 2 * HIDDEN, dtype=torch.float64) for _ in range(recurrence.num_states))
    outputs_BTD, _ = recurrence(x_BTD, state, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        for way, cells in enumerate(ways):
            own = slice(way * HIDDEN, (way + 1) * HIDDEN)
            given = [[part[row, 0, own].tolist() for part in state]]
            outputs, _ = read_by_loops(cells, x_BTD[row, :length].tolist()[:: 1 - 2 * way], given)
            found = outputs_BTD[row, :length, own].tolist()
            for values, expected in zip(found, outputs[:: 1 - 2 * way], strict=True):
                assert values == pytest.approx(expected, abs=1e-9)


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


@pytest.mark.parametrize("kind", [kind for kind in CELLS if kind in TORCH_CELLS])
def test_a_stack_stepped_equals_the_kernel_of_the_same_weights(kind: str) -> None:
    torch.manual_seed(22)
    recurrence, (cells,) = recurrence_of(kind, 1, num_layers=3)
    stack = stack_of(kind)
    for own, cell in zip(stack.cells, cells, strict=True):
        own.load_state_dict(cell.state_dict())
    x_BTD = torch.randn(ROWS, 6, INPUT, dtype=torch.float64)
    state = tuple(torch.randn(ROWS, 3, HIDDEN, dtype=torch.float64) for _ in range(stack.num_states))
    outputs_BTD, final = recurrence(x_BTD, state)
    for position in range(6):
        state = stack(stack.project(x_BTD[:, position]), state)
        torch.testing.assert_close(stack.output(state), outputs_BTD[:, position])
    torch.testing.assert_close(state, final)
