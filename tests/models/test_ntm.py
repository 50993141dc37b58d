"""The encoder and the decoder of a neural Turing machine: what they hand to the memory, and what to the output."""

from typing import Any

import pytest
import torch

from nmt.data.batching import Batch
from nmt.data.vocabulary import Vocabularies
from nmt.errors import UserError
from nmt.models.interfaces import EncoderOutput
from nmt.models.seq2seq import Seq2Seq

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
@pytest.mark.parametrize("goes_on", [False, True])
def test_the_output_reads_state_findings_and_word(make_model: Any, goes_on: bool) -> None:
    options = {**DECODER, "memory": "slots"} if goes_on else DECODER
    model = make(make_model, ENCODER, options)
    decoder: Any = model.decoder
    encoded = model.encode(torch.tensor([[4, 9, 7, 3]]), torch.tensor([4]))
    state, features, weights = decoder.start(encoded), [], []
    if goes_on:
        assert torch.equal(state.memory_NCW, encoded.memories[1].values_BSD)
    for word in decoder.embedding(TARGET)[0]:
        state = decoder.machine(decoder.machine.project(word[None]), state)
        read = torch.cat((state.cells[0][0, -1], *(state.read_NHC[0] @ state.memory_NCW[0]), word))
        features.append((decoder.readout.weight @ read + decoder.readout.bias).tanh())
        weights.append(state.read_NHC[0])
    found = decoder.unroll(TARGET, encoded, need_weights=True)
    torch.testing.assert_close(found.features_BTD[0], torch.stack(features), atol=1e-6, rtol=1e-5)
    if goes_on:
        assert found.weights_BHTS is None
    else:
        torch.testing.assert_close(found.weights_BHTS[0], torch.stack(weights, dim=1), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_an_encoder_leaves_the_memory_as_it_was_after_the_last_word(make_model: Any, batch: Batch) -> None:
    model = make(make_model, ENCODER, {**DECODER, "memory": "slots"})
    encoder: Any = model.encoder
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    for row, length in enumerate(batch.source_length_B.tolist()):
        states = encoder.states(batch.source_BS[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(encoded.memories[1].values_BSD[row], states[-1].memory_NCW[0])
        torch.testing.assert_close(encoded.final[0][row], states[-1].cells[0][0])
        annotations = torch.cat([encoder.machine.output(state) for state in states])
        torch.testing.assert_close(encoded.memories[0].values_BSD[row, :length], annotations)


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
    for part, found_BLD in enumerate(decoder.start(encoded).cells):
        expected_BLD = final_BLD if bridge == "copy" else decoder.first_state.dense[part](final_BLD).tanh()
        torch.testing.assert_close(found_BLD, expected_BLD)


@pytest.mark.parametrize("counter", [torch.zeros(2, 1, 1), torch.zeros(2, 1, 5, dtype=torch.long)])
def test_a_final_state_of_unequal_parts_is_refused(counter: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="must all be"):
        EncoderOutput((), (torch.zeros(2, 1, 5), counter))


@pytest.mark.parametrize(
    ("encoder", "changes", "reason"),
    [
        (RECURRENT, {"memory": "slots"}, "needs the encoder ntm"),
        (ENCODER, {"memory": "slots", "slot_size": 6}, "slot_size 4, as in the encoder, not 6"),
        (ENCODER, {"memory": "slots", "num_free_slots": 2}, "num_free_slots is for memory: annotations"),
    ],
)
def test_memories_that_dont_fit_are_refused(
    make_model: Any, joint_vocabularies: Vocabularies, encoder: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        make_model(encoder, {**DECODER, **changes})
