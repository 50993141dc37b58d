"""What a recipe may say of a cell: its name, its options, how its weights and its state start."""

from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from nmt.data.batch import Batch
from nmt.models.build import _NoInitialisation
from nmt.models.cells import CELLS, Cell
from nmt.models.cells.base import InitialisedOptions
from nmt.models.networks.recurrence import CellStack, Recurrence, StackOptions

SIZE = 12
INITIALISED = [kind for kind, cell in CELLS.items() if issubclass(cell.Options, InitialisedOptions)]
RECURRENT = {"type": "recurrent", "hidden_size": SIZE}
BAHDANAU = {"type": "bahdanau", "hidden_size": SIZE}


def stack(cell: Any, num_layers: int = 1, size: int = SIZE) -> StackOptions:
    return StackOptions.model_validate({"cell": cell, "hidden_size": size, "num_layers": num_layers})


def gate_blocks(cell: Any) -> list[Tensor]:
    """The recurrent matrices of each gate, of a stack's two layers and of a recurrence's two in both directions."""
    recurrence = Recurrence(stack(cell, 2), 5, bidirectional=True)
    parts = CellStack(stack(cell, 2), [5]), recurrence
    weights = [module.hidden_weight for part in parts for module in part.modules() if isinstance(module, Cell)]
    weights += recurrence.kernel_weights()
    assert len(weights) == 6
    return [block.detach().double() for weight in weights for block in weight.split(SIZE)]


def radius(weight: Tensor) -> float:
    return float(torch.linalg.eigvals(weight.double()).abs().max())


@pytest.mark.parametrize("kind", INITIALISED)
def test_orthogonal_recurrent_weights(kind: str) -> None:
    for block in gate_blocks({"type": kind, "init": "orthogonal"}):
        torch.testing.assert_close(block @ block.t(), torch.eye(SIZE, dtype=torch.float64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", INITIALISED)
def test_recurrent_weights_of_a_spectral_radius(kind: str) -> None:
    for block in gate_blocks({"type": kind, "init": "spectral", "spectral_radius": 1.25}):
        assert radius(block) == pytest.approx(1.25, abs=1e-4)


@pytest.mark.parametrize("kind", [kind for kind in ("rnn_relu", "rnn_tanh", "leaky") if kind in CELLS])
def test_identity_recurrent_weights_and_no_bias(kind: str) -> None:
    cell = {"type": kind, "init": "identity"}
    for block in gate_blocks(cell):
        assert torch.equal(block, torch.eye(SIZE, dtype=torch.float64))
    for name, parameter in Recurrence(stack(cell), 5, bidirectional=True).named_parameters():
        assert "bias" not in name or not parameter.any()


def test_fresh_lstms_remember() -> None:
    """Forget gates start open in every form, by a bias near 1; that of the gate between layers is another matter."""
    places = {"lstm": 1, "peephole": 1, "depth_gated": 1, "coupled": 0}
    for kind, place in ((kind, place) for kind, place in places.items() if kind in CELLS):
        recurrence = Recurrence(stack(kind, 2, 64), 5, bidirectional=True)
        parts = CellStack(stack(kind, 2, 64), [5]), recurrence
        biases = [cell.bias for part in parts for cell in part.modules() if isinstance(cell, Cell)]
        for layer in recurrence.layers:
            if isinstance(layer, nn.RNNBase):
                biases += [b_ih + b_hh for _, _, b_ih, b_hh in layer.all_weights]
        assert len(biases) == 6
        for bias in biases:
            means = [gate.mean().item() for gate in bias.split(64)][: CELLS[kind].num_gates]
            assert means.pop(place) > 0.9
            assert max(map(abs, means)) < 0.2


def test_eigenvalues_of_weights_that_will_be_loaded_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that isn't initialised may hold numbers that have none: LAPACK has ended the process there."""
    cell = {"type": "lstm", "init": "spectral"}
    monkeypatch.setattr(torch.linalg, "eigvals", Mock(side_effect=AssertionError("eigenvalues")))
    with pytest.raises(AssertionError, match="eigenvalues"):
        Recurrence(stack(cell), 5)
    with _NoInitialisation():
        Recurrence(stack(cell), 5)


@torch.no_grad()
@pytest.mark.parametrize("kind", CELLS)
def test_an_encoder_starts_from_its_learned_state(make_model: Any, batch: Batch, kind: str) -> None:
    options = {**RECURRENT, "cell": kind, "num_layers": 2, "initial_state": "learned"}
    encoder = make_model(options, BAHDANAU).encoder
    for part in encoder.first_state.parts:
        part.uniform_(-1, 1)
    found = encoder(batch.source_BS, batch.source_length_B).memories[0].values_BSD
    x_BSD = encoder.embedding(batch.source_BS)
    shape = (1, 2, 2 * SIZE)
    state = tuple(part.view(shape).repeat(len(x_BSD), 1, 1) for part in encoder.first_state.parts)
    expected, _ = encoder.recurrence(x_BSD, state, batch.source_length_B)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, encoder.recurrence(x_BSD, None, batch.source_length_B)[0], atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("decoder", [BAHDANAU, {**BAHDANAU, "type": "luong"}])
def test_a_decoder_starts_from_its_learned_state(make_model: Any, batch: Batch, decoder: dict[str, Any]) -> None:
    model = make_model(RECURRENT, {**decoder, "num_layers": 2, "bridge": "learned"})
    for part in model.decoder.first_state.learned.parts:
        part.uniform_(-1, 1)
    hidden, cell = model.decoder.start(model.encode(batch.source_BS, batch.source_length_B)).cells
    assert len(hidden) == len(cell) == len(batch.source_BS)
    for found, part in zip((hidden, cell), model.decoder.first_state.learned.parts, strict=True):
        for row in found:
            assert torch.equal(row.flatten(), part)
