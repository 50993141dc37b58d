"""The caches of a search: they hold what the hypotheses still need, and not what those that were given up have read."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from nmt.data.batch import Batch
from nmt.models.build import ENCODERS
from nmt.models.networks.transformer import CROWDED
from nmt.models.seq2seq import Seq2Seq

BEAM = 4
LAYERS = {"num_heads": 2, "feed_forward_size": 24, "max_positions": 150}


@pytest.fixture(params=[name for name in ("transformer", "universal_transformer") if name in ENCODERS])
def model(request: pytest.FixtureRequest, make_model: Any) -> Seq2Seq:
    kind = {"type": request.param, **LAYERS}
    return make_model(kind, kind)


def search(model: Seq2Seq, batch: Batch, picks_tBK: torch.Tensor, crowded_at: int) -> list[torch.Tensor]:
    """The logits of each step of a search whose hypotheses continue those that were picked; the last one's slots."""
    state = model.start(batch.source_BS, batch.source_length_B)
    state = replace(state, crowded_at=crowded_at)
    first_B1 = torch.arange(len(batch.source_BS))[:, None]
    state = state.reorder(first_B1.expand(-1, BEAM).flatten())
    logits = []
    for number, picks_BK in enumerate(picks_tBK):
        token_N = 4 + (torch.arange(picks_BK.numel()) + number) % 12
        output = model.step(token_N, state)
        logits.append(output.logits_NV)
        state = output.state.reorder((first_B1 * BEAM + picks_BK).flatten())
    return [*logits, torch.tensor(state.caches[0].num_slots)]


@pytest.mark.quick("transformer")
@torch.no_grad()
def test_leaving_out_what_nobody_has_read_changes_nothing(model: Seq2Seq, batch: Batch) -> None:
    picks_tBK = torch.randint(BEAM, (20, len(batch.source_BS), BEAM), generator=torch.Generator().manual_seed(1))
    *expected, all_slots = search(model, batch, picks_tBK, crowded_at=1 << 30)
    for crowded_at in (1, 10, 30):
        *logits, slots = search(model, batch, picks_tBK, crowded_at)
        torch.testing.assert_close(logits, expected)
        assert all_slots == 20 * BEAM
        assert slots < all_slots


@pytest.mark.quick("transformer")
@torch.no_grad()
def test_slots_grow_with_the_length_and_not_with_the_hypotheses_that_were_given_up(
    model: Seq2Seq, batch: Batch
) -> None:
    picks_tBK = torch.zeros(100, len(batch.source_BS), BEAM, dtype=torch.long)
    assert 100 <= search(model, batch, picks_tBK, CROWDED)[-1] < 2 * 100 + BEAM
    alone_tBK = torch.arange(BEAM).expand(50, len(batch.source_BS), BEAM)
    assert search(model, batch, alone_tBK, CROWDED)[-1] == 50 * BEAM
