"""The neural Turing machine: its memory against the equations, its encoder and its decoder."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.core.errors import UserError
from nmt.data.batch import Batch
from nmt.extensions.algorithmic import ntm
from nmt.extensions.algorithmic.ntm import HeadOptions, NTMCell
from nmt.models.cells import CELLS
from nmt.models.layers import length_mask
from nmt.models.networks.recurrence import StackOptions
from nmt.models.seq2seq import Seq2Seq

ROWS, SLOTS, WIDTH, HEADS = 3, 7, 4, 2
SIZES = (7, 4, 1)
"""Real slots of each row; one of a single slot is its own neighbour."""
MASK_NC = length_mask(torch.tensor(SIZES), SLOTS)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_shifting(weights_C: Tensor, shift_R: Tensor) -> Tensor:
    """Equation 8, on a ring as large as the sentence's own memory."""
    reach = len(shift_R) // 2
    return sum(share * weights_C.roll(offset) for share, offset in zip(shift_R, range(-reach, reach + 1), strict=True))


def assert_rows(found_NHC: Tensor, expected: list[list[Tensor]]) -> None:
    """Real slots as expected, the others exactly zero."""
    for row, size in enumerate(SIZES):
        torch.testing.assert_close(found_NHC[row, :, :size], torch.stack(expected[row]), atol=1e-9, rtol=0)
        assert not found_NHC[row, :, size:].any()


def test_a_blank_memory_is_read_evenly() -> None:
    weights = ntm.content_weights(
        random(ROWS, HEADS, WIDTH), torch.ones(ROWS, HEADS), torch.zeros(ROWS, SLOTS, WIDTH).double(), MASK_NC
    )
    assert_rows(weights, [[torch.full((size,), 1 / size, dtype=torch.float64)] * HEADS for size in SIZES])


def test_sharpening_even_weights_by_a_high_power_stays_finite() -> None:
    even = torch.full((1, 1, 4000), 1 / 4000)
    sharp = ntm.sharpen(even, torch.full((1, 1), 500.0))
    torch.testing.assert_close(sharp, even)


def make_machine(max_shift: int = 1) -> NTMCell:
    torch.manual_seed(7)
    options = HeadOptions(slot_size=WIDTH, num_read_heads=HEADS, num_write_heads=HEADS, max_shift=max_shift)
    controller = StackOptions.model_validate({"cell": "rnn_tanh", "hidden_size": 5})
    machine = NTMCell(controller, options, 3).double()
    for parameter in machine.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return machine


def head_by_hand(given_X: Tensor, num_shifts: int, slots_CW: Tensor, previous_C: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of one head from what the controller gives it, and what is left of that."""
    sizes = (WIDTH, 2, num_shifts, 1, len(given_X) - WIDTH - num_shifts - 3)
    key_W, (strength, gate), shift_R, (gamma,), extra = given_X.split(sizes)
    content_C = (F.softplus(strength) * F.cosine_similarity(key_W[None], slots_CW)).softmax(0)
    weights_C = gate.sigmoid() * content_C + (1 - gate.sigmoid()) * previous_C
    powers_C = by_shifting(weights_C, shift_R.softmax(0)) ** (1 + F.softplus(gamma))
    return powers_C / powers_C.sum(), extra


@torch.no_grad()
@pytest.mark.parametrize("max_shift", [0, 1, 2, 5])
def test_three_steps_of_a_machine_from_the_equations(max_shift: int) -> None:
    machine, head = make_machine(max_shift), partial(head_by_hand, num_shifts=2 * max_shift + 1)
    (cell,) = machine.controller.cells
    state = machine.start((random(ROWS, 1, 5),), random(ROWS, SLOTS, WIDTH, seed=1), torch.tensor(SIZES))
    x_TND = random(3, ROWS, 3, seed=5)
    hidden = list(state.cells[0][:, 0])
    slots = [state.memory_NCW[n, :size] for n, size in enumerate(SIZES)]
    reads = [torch.zeros(2, WIDTH).double() for _ in SIZES]
    reading = [[torch.eye(size).double()[0]] * 2 for size in SIZES]
    writing = list(reading)
    for x_ND in x_TND:
        state = machine(machine.controller.project(x_ND), state)
        for n in range(ROWS):
            gates = cell.input_weights[0] @ x_ND[n] + cell.input_weights[1] @ reads[n].flatten()
            hidden[n] = (gates + cell.hidden_weight @ hidden[n] + cell.bias).tanh()
            given = machine.writers.control(hidden[n]).view(2, -1)
            heads = [head(given[h], slots_CW=slots[n], previous_C=writing[n][h]) for h in range(2)]
            writing[n] = [weights_C for weights_C, _ in heads]
            for weights_C, extra in heads:
                slots[n] = slots[n] * (1 - weights_C[:, None] * extra[:WIDTH].sigmoid())
            for weights_C, extra in heads:
                slots[n] = slots[n] + weights_C[:, None] * extra[WIDTH:]
            given = machine.readers.control(hidden[n]).view(2, -1)
            reading[n] = [head(given[h], slots_CW=slots[n], previous_C=reading[n][h])[0] for h in range(2)]
            reads[n] = torch.stack(reading[n]) @ slots[n]
            torch.testing.assert_close(state.memory_NCW[n, : SIZES[n]], slots[n], atol=1e-9, rtol=0)
            expected = torch.cat((hidden[n], reads[n].flatten()))
            torch.testing.assert_close(machine.output(state)[n], expected, atol=1e-9, rtol=0)
        assert_rows(state.write_NHC, writing)
        assert_rows(state.read_NHC, reading)


def test_half_precision_stays_out_of_the_memory() -> None:
    machine = make_machine().float()
    with torch.autocast("cpu", torch.bfloat16):
        x_ND = torch.randn(ROWS, 3)
        state = machine.start(
            (torch.zeros(ROWS, 1, 5),), torch.randn(ROWS, SLOTS, WIDTH).bfloat16(), torch.tensor(SIZES)
        )
        state = machine(machine.controller.project(x_ND), state)
    assert state.memory_NCW.dtype == state.read_NHC.dtype == torch.float32
    torch.testing.assert_close(state.read_NHC.sum(2), torch.ones(ROWS, 2))


RECURRENT = {"type": "recurrent", "hidden_size": 6}
ENCODER = {"type": "ntm", "hidden_size": 7, "num_slots": 5, "slot_size": 4}
DECODER = {"type": "ntm", "hidden_size": 7, "slot_size": 4, "num_read_heads": 2}
TARGET = torch.tensor([[2, 6, 11, 8]])


def make(make_model: Any, encoder: dict[str, Any], decoder: dict[str, Any]) -> Seq2Seq:
    model: Seq2Seq = make_model(encoder, decoder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


@torch.no_grad()
def test_a_translator_starts_with_free_slots_and_then_a_slot_a_word(make_model: Any) -> None:
    model = make(make_model, RECURRENT, {**DECODER, "num_free_slots": 3})
    decoder: Any = model.decoder
    source, length = torch.tensor([[4, 9, 3, 0, 0], [4, 9, 7, 5, 3]]), torch.tensor([3, 5])
    encoded = model.encode(source, length)
    state = decoder.start(encoded)
    words = encoded.memories[0].values_BSD @ decoder.slots.weight.t() + decoder.slots.bias
    torch.testing.assert_close(state.memory_NCW[:, 3:], words)
    assert torch.equal(state.memory_NCW[0, :3], decoder.free_FW)
    assert state.ring[0].sum(1).tolist() == [6, 8]
    torch.testing.assert_close(state.cells[0][0, 0], (encoded.final[0][0, 0] @ decoder.first_state.dense[0].weight.t()
                                                      + decoder.first_state.dense[0].bias).tanh())  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("continues", [False, True])
def test_the_output_reads_state_findings_and_word(make_model: Any, continues: bool) -> None:
    options = {**DECODER, "memory": "slots"} if continues else DECODER
    model = make(make_model, ENCODER, options)
    decoder: Any = model.decoder
    encoded = model.encode(torch.tensor([[4, 9, 7, 3]]), torch.tensor([4]))
    state, features, weights = decoder.start(encoded), [], []
    if continues:
        assert torch.equal(state.memory_NCW, encoded.memories[1].values_BSD)
    for word in decoder.embedding(TARGET)[0]:
        state = decoder.machine(decoder.machine.controller.project(word[None]), state)
        read = torch.cat((state.cells[0][0, -1], *(state.read_NHC[0] @ state.memory_NCW[0]), word))
        features.append((decoder.readout.weight @ read + decoder.readout.bias).tanh())
        weights.append(state.read_NHC[0])
    found = decoder.unroll(TARGET, encoded, need_weights=True)
    torch.testing.assert_close(found.features_BTD[0], torch.stack(features), atol=1e-6, rtol=1e-5)
    if continues:
        assert found.weights_BHTS is None
    else:
        torch.testing.assert_close(found.weights_BHTS[0], torch.stack(weights, dim=1), atol=1e-6, rtol=1e-5)


@pytest.mark.skipif("clockwork" not in CELLS, reason="the extension cells was deleted")
@torch.no_grad()
@pytest.mark.parametrize("bridge", ["copy", "dense"])
def test_the_step_counter_of_a_controller_is_not_handed_to_the_decoder(
    make_model: Any, batch: Batch, bridge: str
) -> None:
    encoder = {**ENCODER, "cell": "clockwork", "hidden_size": 8}
    model = make(make_model, encoder, {"type": "bahdanau", "cell": "lstm", "hidden_size": 8, "bridge": bridge})
    decoder: Any = model.decoder
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    (final_BLD,) = encoded.final
    cells = decoder.start(encoded).cells
    assert len(cells) == 2
    for part, found_BLD in enumerate(cells):
        expected_BLD = final_BLD if bridge == "copy" else decoder.first_state.dense[part](final_BLD).tanh()
        torch.testing.assert_close(found_BLD, expected_BLD)


@pytest.mark.parametrize(
    ("encoder", "changes", "reason"),
    [
        (RECURRENT, {"memory": "slots"}, "needs an encoder with a memory of slots"),
        (ENCODER, {"memory": "slots", "slot_size": 6}, "slot_size 4, as in the encoder, not 6"),
        (ENCODER, {"memory": "slots", "num_free_slots": 2}, "num_free_slots is for memory: annotations"),
    ],
)
def test_memories_that_dont_fit_are_refused(
    make_model: Any, encoder: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        make_model(encoder, {**DECODER, **changes})
