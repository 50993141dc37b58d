"""A model that is nothing but a table: search knows ``start``, ``step`` and ``reorder`` of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.models.contracts import State, StepOutput


@dataclass(frozen=True)
class History(State):
    source_NS: Tensor
    tokens_Nt: Tensor


class TableModel:
    """``logits`` gives those of the next token for a source, with EOS and padding, and the tokens from SOS on."""

    device = torch.device("cpu")
    alignment_heads = ()

    def __init__(self, logits: Callable[[tuple[int, ...], tuple[int, ...]], Sequence[float]]) -> None:
        self._logits = logits

    def start(self, source_BS: Tensor, source_length_B: Tensor) -> History:
        return History(source_BS, source_BS[:, :0])

    def step(
        self, token_N: Tensor, state: History, need_weights: bool = False, rows: Tensor | None = None
    ) -> StepOutput:
        after = History(state.source_NS, torch.cat((state.tokens_Nt, token_N[:, None]), dim=1))
        known = list(zip(after.source_NS.tolist(), after.tokens_Nt.tolist(), strict=True))
        wanted = known if rows is None else [known[row] for row in rows.tolist()]
        logits = [self._logits(tuple(source), tuple(tokens)) for source, tokens in wanted]
        # Any constant may be added to logits.
        return StepOutput(torch.tensor(logits) + 3.0, None, after)
