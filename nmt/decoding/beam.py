"""Beam search over any model: it knows ``start``, ``step`` and ``reorder``, and nothing else about it.

B sentences still in the batch, K hypotheses of each, N = B·K, G groups of k hypotheses, V vocabulary, t tokens so far.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nmt.config import DecodingOptions
from nmt.decoding.choice import choose
from nmt.decoding.constraints import Constraints
from nmt.decoding.finished import Finished, Hypothesis
from nmt.decoding.penalties import Coverage, length_normalised
from nmt.decoding.task import Task
from nmt.decoding.topk import log_normaliser
from nmt.errors import UserError
from nmt.models.layers import length_mask

MAX_IDLE = 1 / 8
"""Share of the batch that may be done before it is made smaller: that means copying what the model remembers."""


@torch.inference_mode()
def beam_search(task: Task) -> list[list[Hypothesis]]:
    """The best translations of a batch, best first, at most ``beam_size`` of each sentence.

    Of the 2K best continuations of a sentence, those that end among the first K are finished, and the best K that
    go on are kept. When a sentence has K finished hypotheses, ``early_stopping`` decides whether it goes on
    for the sake of an unfinished one: stopping at K alone favours short translations. A beam of 1 is greedy search.

    With ``beam_groups`` the beam is divided into groups that are continued one after another, each
    avoiding the pieces that those before it chose at this step (Vijayakumar et al. 2018).
    """
    model, options = task.model, task.options
    beam = _Beam.start(task)
    state = model.start(task.source_BS, task.source_length_B).reorder(beam.sentence_N)
    results: list[list[Hypothesis]] = [[] for _ in task.source_BS]
    while len(beam.sentence_B):
        output = model.step(beam.last_N, state, need_weights=beam.coverage is not None)
        logits_NV = output.logits_NV.float()
        normaliser_N = log_normaliser(logits_NV)
        tokens_Nt, sentence_N = beam.tokens_BKt.flatten(0, 1), beam.sentence_N
        for rule in task.rules:
            rule(logits_NV, tokens_Nt, sentence_N)
        if beam.coverage is not None:
            assert output.weights_NHS is not None
            beam.coverage = beam.coverage.plus(output.weights_NHS[:, model.alignment_heads].float().mean(1))
        rows = beam.advance(logits_NV, normaliser_N, task.target.eos, task.constraints)

        done_B = beam.is_done()
        num_done = int(done_B.sum())
        stay = None
        if num_done == len(done_B) or num_done > MAX_IDLE * len(done_B):
            for row in done_B.nonzero()[:, 0].tolist():
                results[int(beam.sentence_B[row])] = beam.finished.hypotheses(row)
            stay = (~done_B).nonzero()[:, 0]
            rows = rows.view(-1, options.beam_size)[stay].flatten()
            beam = beam.select(stay)
        state = output.state.reorder(rows, stay)
    return results


@dataclass
class _Beam:
    """The hypotheses of the sentences in the batch. Those of one that is done score -inf until it leaves."""

    options: DecodingOptions
    tokens_BKt: Tensor
    score_BK: Tensor
    """Log-probability so far."""
    finished: Finished
    sentence_B: Tensor
    """Which sentence of the whole batch this is."""
    limit_B: Tensor
    coverage: Coverage | None = None

    @classmethod
    def start(cls, task: Task) -> "_Beam":
        options, device, num_sentences = task.options, task.source_BS.device, len(task.source_BS)
        score_BK = torch.full((num_sentences, options.beam_size), float("-inf"), device=device)
        # All hypotheses start equal, so at first only one of each group may be continued.
        score_BK[:, :: options.beam_size // options.beam_groups] = 0.0
        beam = cls(
            options,
            torch.full((num_sentences, options.beam_size, 1), task.target.sos, device=device),
            score_BK,
            Finished.none(num_sentences, options.beam_size, device),
            torch.arange(num_sentences, device=device),
            task.limit_B,
        )
        if options.coverage_penalty:
            if not task.model.alignment_heads:
                raise UserError("A coverage penalty needs a model with attention; this one has none.", "Leave it out.")
            mask_BS = length_mask(task.source_length_B, task.source_BS.shape[1])
            beam.coverage = Coverage.none(mask_BS[beam.sentence_N])
        return beam

    @property
    def sentence_N(self) -> Tensor:
        return self.sentence_B.repeat_interleave(self.options.beam_size)

    @property
    def last_N(self) -> Tensor:
        return self.tokens_BKt[:, :, -1].flatten()

    def advance(self, logits_NV: Tensor, normaliser_N: Tensor, eos: int, constraints: Constraints | None) -> Tensor:
        """Choose among all continuations: finish those that end, keep the best that go on.

        Returns:
            The rows (indices into N) that the kept hypotheses continue.
        """
        logits_BKV = logits_NV.view(*self.score_BK.shape, -1)
        offset_BK = self.score_BK - normaliser_N.view_as(self.score_BK)
        choice = choose(logits_BKV, offset_BK, eos, self.options)
        if constraints is not None:
            has_finished_B = self.finished.score_BK[:, 0].isfinite()
            choice = constraints.choose(choice, logits_BKV, offset_BK, self.tokens_BKt, self.sentence_B, has_finished_B)
        self._finish(choice.ending_BK, choice.ending_parent_BK)
        self.score_BK, parent_BK, token_BK = choice.going_BK, choice.parent_BK, choice.token_BK

        first_row_B1 = torch.arange(0, len(logits_NV), self.options.beam_size, device=parent_BK.device)[:, None]
        rows = (first_row_B1 + parent_BK).flatten()
        tokens_BKt = self.tokens_BKt.flatten(0, 1)[rows].view(*parent_BK.shape, -1)
        self.tokens_BKt = torch.cat((tokens_BKt, token_BK[:, :, None]), dim=2)
        self.coverage = self.coverage and self.coverage.reorder(rows)
        return rows

    def _finish(self, log_p_BK: Tensor, parent_BK: Tensor) -> None:
        """Add what ends to the finished hypotheses; -inf stands for what doesn't."""
        if log_p_BK.isneginf().all():
            return
        length = self.tokens_BKt.shape[2]  # of what ends here: SOS is in, EOS is not
        score_BK = length_normalised(self.options, log_p_BK, length) + self._coverage_penalty().gather(1, parent_BK)
        tokens_BKt = self.tokens_BKt[:, :, 1:].gather(1, parent_BK[:, :, None].expand(-1, -1, length - 1))
        self.finished = self.finished.with_more(score_BK, log_p_BK, tokens_BKt)

    def _coverage_penalty(self) -> Tensor:
        """[B, K]"""
        if self.coverage is None:
            return torch.zeros_like(self.score_BK)
        return self.coverage.penalty(self.options.coverage_penalty).view_as(self.score_BK)

    def is_done(self) -> Tensor:
        """Whether a sentence has all the finished hypotheses that it needs; its others are given up then. [B]"""
        best_B = self.score_BK.amax(1)
        enough_B = self.finished.are_full()
        if self.options.early_stopping == "exact":
            # At best, the rest costs nothing and goes on to the limit.
            enough_B &= length_normalised(self.options, best_B, self.limit_B) <= self.finished.score_BK[:, -1]
        elif self.options.early_stopping == "likely":
            so_far_BK = length_normalised(self.options, self.score_BK, self.tokens_BKt.shape[2] - 1)
            enough_B &= (so_far_BK + self._coverage_penalty()).amax(1) <= self.finished.score_BK[:, 0]
        done_B = enough_B | best_B.isneginf()
        self.score_BK = self.score_BK.masked_fill(done_B[:, None], float("-inf"))
        return done_B

    def select(self, stay: Tensor) -> "_Beam":
        """The beam of some of the sentences."""
        rows = torch.arange(self.score_BK.numel(), device=stay.device).view_as(self.score_BK)[stay].flatten()
        return replace(
            self,
            tokens_BKt=self.tokens_BKt[stay],
            score_BK=self.score_BK[stay],
            finished=self.finished.select(stay),
            sentence_B=self.sentence_B[stay],
            limit_B=self.limit_B[stay],
            coverage=self.coverage and self.coverage.reorder(rows),
        )
