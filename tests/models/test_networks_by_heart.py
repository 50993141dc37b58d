"""Each system learns a handful of pairs by heart, and search finds them again."""

from typing import Any

import pytest
import torch
from searches import search_all

from nmt.data.batch import make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.recipe.schema import DecodingOptions
from nmt.training.loss import token_loss

PAIRS = [
    ([4, 9, 7], [7, 9, 4, 5]),
    ([4, 9, 8], [8, 9, 4]),
    ([10, 11], [12]),
    ([11, 10], [13, 13]),
    ([5, 6, 14, 15], [6, 6, 14, 15, 5]),
    ([15, 14], [4, 15]),
]
RECURRENT = {"type": "recurrent", "hidden_size": 24}
ADAPTIVE = {"type": "act_rnn", "hidden_size": 24, "max_steps": 3}
UNIVERSAL = {"type": "universal_transformer", "num_heads": 2, "feed_forward_size": 48, "max_steps": 3}
NTM = {"type": "ntm", "hidden_size": 24, "slot_size": 12}
SYSTEMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ntm, both sides": ({**NTM, "num_slots": 8}, {**NTM, "memory": "slots"}),
    "ntm over words": (RECURRENT, {**NTM, "num_free_slots": 2}),
    "act": (ADAPTIVE, {**ADAPTIVE, "attention": {"type": "additive", "size": 16}}),
    "universal_transformer": (UNIVERSAL, UNIVERSAL),
}


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS.keys())
def test_pairs_are_learnt_by_heart(
    make_model: Any, joint_vocabularies: Vocabularies, system: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    model = make_model(*system, embedding_size=24).train()
    batch = make_batch(PAIRS, joint_vocabularies)
    is_universal = system[0] == UNIVERSAL  # and unstable with a learning rate that the others bear
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01 if is_universal else 0.02)
    for _ in range(70 if is_universal else 50):
        unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
        loss = token_loss(
            unrolled.features_BTD, model.decoder.output, batch.target_output_BT, batch.target_length_B, 0.0
        )
        optimizer.zero_grad()
        sum(unrolled.aux_losses.values(), loss.smoothed).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    model.eval()
    for beam in (1, 3):
        found = search_all(model, [source for source, _ in PAIRS], joint_vocabularies, DecodingOptions(beam_size=beam))
        assert [hypotheses[0].ids for hypotheses in found] == [target for _, target in PAIRS]
