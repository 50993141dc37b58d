"""Beam search over any model: it knows ``start``, ``step`` and ``reorder``, and nothing else about it.

B counts the sentences still in the batch, k the hypotheses of each of G groups, L the rows that are not pruned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.core.errors import UserError
from nmt.decoding.constraints import PhraseConstraints
from nmt.decoding.finite import explained_search
from nmt.decoding.hypotheses import BeamStep, Choice, Hypothesis, SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.decoding.ranking import length_normalised
from nmt.models.contracts import PerSource, select_heads
from nmt.models.layers import length_mask
from nmt.recipe.registry import provided
from nmt.recipe.schema import DecodingOptions

MAX_IDLE = 1 / 8  # share of the batch that may be done before it is made smaller, which copies the state of the model
BLOCK = 64  # tokens of the vocabulary whose maximum is computed together; maxima of blocks are cheap


@torch.no_grad()
def beam_search(
    batch: SearchBatch, processors: Sequence[LogitsProcessor], constraints: PhraseConstraints | None = None
) -> list[list[Hypothesis]]:
    """The best translations of a batch, best first, at most ``beam_size`` of each sentence. A beam of 1 is greedy.
    Raises UserError if a log-probability is NaN or infinite."""
    model, options = batch.model, batch.options
    beam = Beam.start(batch, constraints)
    state = model.start(batch.source_BS, batch.source_length_B).reorder(beam.sentence_N)
    results: list[list[Hypothesis]] = [[] for _ in batch.source_BS]
    while len(beam.sentence_B):
        batch.before_step()
        tokens_Nt, sentence_N = beam.tokens_BKt.flatten(0, 1), beam.sentence_N
        # The rows that are continued; None stands for all, without pruning.
        live_L = None if beam.prune_B is None else beam.score_BK.flatten().isfinite().nonzero()[:, 0]
        needs_weights = beam.coverage_BKS is not None or batch.observer is not None
        output = model.step(tokens_Nt[:, -1], state, needs_weights, live_L)  # the last token of each hypothesis
        logits_LV = output.logits_NV.float()
        normaliser_L = log_normaliser(logits_LV)  # before the processors: scores stay those of the model
        if live_L is not None:  # processors see the rows that have logits
            tokens_Nt, sentence_N = tokens_Nt[live_L], sentence_N[live_L]
        for processor in processors:
            processor(logits_LV, tokens_Nt, sentence_N, batch)
        if beam.coverage_BKS is not None:
            assert output.weights_NHS is not None
            weights_NS = select_heads(output.weights_NHS, model.alignment_heads).float().mean(1)
            beam.coverage_BKS += weights_NS.view_as(beam.coverage_BKS)
        # logit + offset is the log-probability of a hypothesis with its next token.
        offset_BK = beam.offsets(normaliser_L, live_L)
        choice = beam.choose(logits_LV, live_L, offset_BK, batch.target.eos)
        if constraints is not None:
            logits_BKV = of_all_rows(logits_LV, live_L, offset_BK)
            has_finished_B = beam.finished.score_BK[:, 0].isfinite()
            choice = constraints.choose(choice, logits_BKV, offset_BK, beam.tokens_BKt, beam.sentence_B, has_finished_B)
        read_Nt, read_B = beam.tokens_BKt.flatten(0, 1), beam.sentence_B
        ending_score_BK = beam.finish(choice)  # those that end join the K best finished ones
        rows = beam.advance(choice)  # the others get their next token

        done_B = beam.drop_done()
        if batch.observer is not None:
            open_BK, weights_NHS = beam.score_BK, output.weights_NHS
            step = BeamStep(logits_LV, offset_BK, live_L, choice, ending_score_BK, open_BK, done_B, weights_NHS)
            batch.observer([batch.numbers[sentence] for sentence in beam.sentence_B.tolist()], step)
        # Both at once, since the device is waited for.
        num_done, num_invalid = torch.stack((done_B.sum(), choice.num_invalid())).tolist()
        if num_invalid:
            raise explained_search(batch, read_Nt, read_B, processors)
        stay = None
        if num_done == len(done_B) or num_done > MAX_IDLE * len(done_B):  # sentences that are done leave the batch
            leave = done_B.nonzero()[:, 0]
            finished = beam.finished.select(leave).hypotheses()
            for sentence, hypotheses in zip(beam.sentence_B[leave].tolist(), finished, strict=True):
                results[sentence] = hypotheses
            stay = (~done_B).nonzero()[:, 0]
            rows = rows.view(-1, options.beam_size)[stay].flatten()
            beam = beam.select(stay)
        state = output.state.reorder(rows, stay)  # each hypothesis continues the state of its parent
    return results


def log_normaliser(logits_LV: Tensor) -> Tensor:
    """The logarithm of the sum of the exponentials; faster than ``logsumexp``, which passes over a row twice more."""
    return logits_LV[:, 0] - logits_LV.log_softmax(1)[:, 0]


@dataclass
class Beam(PerSource):
    """The hypotheses of the sentences in the batch. Those of one that is done score -inf until it leaves."""

    options: DecodingOptions
    tokens_BKt: Tensor
    score_BK: Tensor  # log-probability so far
    finished: "FinishedHypotheses"
    prune_B: Tensor | None  # maximum distance of a log-probability from the best one of its group
    sentence_B: Tensor  # index of the sentence in the whole batch
    limit_B: Tensor
    mask_BS: Tensor  # True at real source positions
    coverage_BKS: Tensor | None  # with a coverage penalty, the attention that each position has received
    penalty_BK: Tensor | None  # with groups, the penalties so far for tokens that groups before had chosen

    @classmethod
    def start(cls, batch: SearchBatch, constraints: PhraseConstraints | None) -> Self:
        options, device = batch.options, batch.source_BS.device
        num_sentences, num_positions = batch.source_BS.shape
        if options.coverage_penalty and not batch.model.alignment_heads:
            raise UserError("A coverage penalty needs a model with attention; this one has none.", "Remove it.")
        score_BK = torch.full((num_sentences, options.beam_size), -inf, device=device)
        # All hypotheses start equal, so at first only one of each group may be continued.
        score_BK[:, :: options.beam_size // options.beam_groups] = 0.0
        prune_B = None
        if options.prune is not None:
            prune_B = torch.full((num_sentences,), options.prune, device=device)
            if constraints is not None:  # hypotheses with phrases are unlikely at first
                prune_B = prune_B.masked_fill(constraints.concern_B.to(device), inf)
        return cls(
            options,
            torch.full((num_sentences, options.beam_size, 1), batch.target.sos, device=device),
            score_BK,
            FinishedHypotheses.none(num_sentences, options.beam_size, device),
            prune_B,
            torch.arange(num_sentences, device=device),
            batch.limit_B,
            length_mask(batch.source_length_B, num_positions),
            torch.zeros(*score_BK.shape, num_positions, device=device) if options.coverage_penalty else None,
            torch.zeros_like(score_BK) if options.beam_groups > 1 else None,
        )

    @property
    def length(self) -> int | Tensor:
        """Length of the hypotheses that end at this step: SOS is counted, EOS is not."""
        return self.tokens_BKt.shape[2]

    @property
    def sentence_N(self) -> Tensor:
        return self.sentence_B.repeat_interleave(self.options.beam_size)

    def offsets(self, normaliser_L: Tensor, live_L: Tensor | None) -> Tensor:
        """Returns the log-probability so far, less the normaliser of the logits. [B, K]"""
        if live_L is None:
            return self.score_BK - normaliser_L.view_as(self.score_BK)
        return self.score_BK.flatten().index_add(0, live_L, normaliser_L, alpha=-1).view_as(self.score_BK)

    def choose(self, logits_LV: Tensor, live_L: Tensor | None, offset_BK: Tensor, eos: int) -> Choice:
        """Chooses among the continuations; arguments as in :func:`top_continuations`."""
        if self.penalty_BK is None:
            count = 2 * self.options.beam_size  # at most K of them end
            best_BC, parent_BC, token_BC = top_continuations(logits_LV, offset_BK, count, live_L)
            return divide(best_BC, best_BC, parent_BC, token_BC, eos)[0]
        logits_BKV = of_all_rows(logits_LV, live_L, offset_BK)
        choose = provided("beam groups", "decoding.beam_groups")
        choice: Choice
        choice, self.penalty_BK = choose(logits_BKV, offset_BK, self.penalty_BK, self.tokens_BKt, eos, self.options)
        return choice

    def finish(self, choice: Choice) -> Tensor:
        """Adds the hypotheses that end to the finished ones; returns their scores, -inf for the others. [B, K]"""
        return choice.ending_BK if choice.ending_BK.isneginf().all() else self._add(choice)

    def _add(self, choice: Choice) -> Tensor:
        """Does the work of :meth:`finish`, where some hypotheses may end."""
        log_p_BK, parent_BK = choice.ending_BK, choice.ending_parent_BK
        score_BK = length_normalised(self.options, log_p_BK, self.length)
        score_BK = score_BK + self._coverage_penalty().gather(1, parent_BK)
        past_BKt = self.tokens_BKt[:, :, 1:]
        tokens_BKt = past_BKt.gather(1, parent_BK[:, :, None].expand(-1, -1, past_BKt.shape[2]))
        self.finished = self.finished.with_more(score_BK, log_p_BK, tokens_BKt, self.length - 1)
        return score_BK

    def advance(self, choice: Choice) -> Tensor:
        """Continues the hypotheses that were chosen; returns their rows (indices into N) before the step."""
        self.score_BK, parent_BK, token_BK = choice.open_BK, choice.parent_BK, choice.token_BK
        first_row_B1 = torch.arange(0, parent_BK.numel(), self.options.beam_size, device=parent_BK.device)[:, None]
        rows = (first_row_B1 + parent_BK).flatten()
        tokens_BKt = self.tokens_BKt.flatten(0, 1)[rows].view(*parent_BK.shape, -1)
        self._append(tokens_BKt, token_BK)
        if self.coverage_BKS is not None:
            self.coverage_BKS = self.coverage_BKS.flatten(0, 1)[rows].view_as(self.coverage_BKS)
        return rows

    def _append(self, tokens_BKt: Tensor, token_BK: Tensor) -> None:
        self.tokens_BKt = torch.cat((tokens_BKt, token_BK[:, :, None]), dim=2)

    def _coverage_penalty(self) -> Tensor:
        """Returns the coverage penalty of each hypothesis. [B, K]"""
        if self.coverage_BKS is None:
            return torch.zeros_like(self.score_BK)
        return self.options.coverage_penalty * log_coverage(self.coverage_BKS, self.mask_BS)

    def _prune(self, prune_B1: Tensor) -> None:
        """Drop the hypotheses that are worse than the best one of their group by more than the threshold (Freitag &
        Al-Onaizan 2017), and those that would score less than the best finished one if they were better by it."""
        log_p_BGk = torch.unflatten(self.score_BK, 1, (self.options.beam_groups, -1))
        is_worse_BK = (log_p_BGk < log_p_BGk.amax(2, keepdim=True) - prune_B1[:, None]).flatten(1)
        # Without the coverage penalty, which the tokens to come make smaller.
        score_BK = length_normalised(self.options, self.score_BK + prune_B1, self.length - 1)
        is_worse_BK |= score_BK < self.finished.score_BK[:, :1]
        self.score_BK = self.score_BK.masked_fill(is_worse_BK, -inf)

    def drop_done(self) -> Tensor:
        """Drops the open hypotheses of the sentences that are done: they have all the finished hypotheses that they
        need, or have reached their limit. Returns which ones are done. [B]"""
        if self.prune_B is not None:
            self._prune(self.prune_B[:, None])
        best_B = self.score_BK.amax(1)
        # K finished hypotheses alone ("first") would favour short translations.
        enough_B = self.finished.score_BK[:, -1].isfinite()
        if self.options.early_stopping == "exact":
            # At best, the remaining tokens cost nothing, up to the limit.
            enough_B &= length_normalised(self.options, best_B, self.limit_B) <= self.finished.score_BK[:, -1]
        elif self.options.early_stopping == "likely":
            so_far_BK = length_normalised(self.options, self.score_BK, self.length - 1) + self._coverage_penalty()
            enough_B &= so_far_BK.amax(1) <= self.finished.score_BK[:, 0]
        # The limit ends the search whatever the scores are.
        done_B = enough_B | best_B.isneginf() | (self.length > self.limit_B)
        self.score_BK = self.score_BK.masked_fill(done_B[:, None], -inf)
        return done_B


@dataclass(frozen=True)
class FinishedHypotheses(PerSource):
    """The K best finished hypotheses of each of B sentences, best first; a score of -inf is an empty place."""

    score_BK: Tensor
    log_probability_BK: Tensor
    tokens_BKt: Tensor
    length_BK: Tensor  # tokens without SOS and EOS

    @classmethod
    def none(cls, num_sentences: int, size: int, device: torch.device) -> Self:
        """Room for ``size`` hypotheses of each sentence."""
        nothing_BK = torch.full((num_sentences, size), -inf, device=device)
        length_BK = torch.zeros(num_sentences, size, dtype=torch.long, device=device)
        return cls(nothing_BK, nothing_BK, length_BK[:, :, None][:, :, :0], length_BK)

    def with_more(
        self, score_BM: Tensor, log_probability_BM: Tensor, tokens_BMt: Tensor, length: int | Tensor
    ) -> "FinishedHypotheses":
        """The best of these and M more of the given length; what follows it in ``tokens_BMt`` doesn't count."""
        num_tokens = tokens_BMt.shape[2]
        padded_BKt = F.pad(self.tokens_BKt, (0, num_tokens - self.tokens_BKt.shape[2]))
        length_BM = torch.zeros_like(score_BM, dtype=torch.long) + length
        score_BK, kept_BK = torch.cat((self.score_BK, score_BM), dim=1).topk(self.score_BK.shape[1], dim=1)
        return FinishedHypotheses(
            score_BK,
            torch.cat((self.log_probability_BK, log_probability_BM), dim=1).gather(1, kept_BK),
            torch.cat((padded_BKt, tokens_BMt), dim=1).gather(1, kept_BK[:, :, None].expand(-1, -1, num_tokens)),
            torch.cat((self.length_BK, length_BM), dim=1).gather(1, kept_BK),
        )

    def hypotheses(self) -> list[list[Hypothesis]]:
        """Returns the hypotheses of each sentence, best first."""
        parts = (self.tokens_BKt, self.length_BK, self.score_BK, self.log_probability_BK)
        return [
            [
                Hypothesis(ids[:length], score, log_p)
                for ids, length, score, log_p in zip(*row, strict=True)
                if score > -inf
            ]
            for row in zip(*(part.tolist() for part in parts), strict=True)
        ]


def of_all_rows(logits_LV: Tensor, live_L: Tensor | None, offset_BK: Tensor) -> Tensor:
    """The logits of each sentence and hypothesis, -inf for rows without any. [B, K, V]"""
    if live_L is not None:
        logits_LV = logits_LV.new_full((offset_BK.numel(), logits_LV.shape[1]), -inf).index_copy(0, live_L, logits_LV)
    return logits_LV.view(*offset_BK.shape, -1)


def divide(best_BC: Tensor, log_p_BC: Tensor, parent_BC: Tensor, token_BC: Tensor, eos: int) -> tuple[Choice, Tensor]:
    """Divides 2k continuations, which are ordered by ``best_BC``, into those that end among the first k, and the best k
    others. Returns the choice, and where the others stood among the 2k. [B, k]"""
    size = best_BC.shape[1] // 2
    ends_BC = token_BC == eos
    ending_Bk = log_p_BC.masked_fill(~ends_BC, -inf)[:, :size]
    kept_Bk = best_BC.masked_fill(ends_BC, -inf).topk(size, dim=1).indices
    open_Bk = log_p_BC.masked_fill(ends_BC, -inf).gather(1, kept_Bk)
    choice = Choice(ending_Bk, parent_BC[:, :size], open_Bk, parent_BC.gather(1, kept_Bk), token_BC.gather(1, kept_Bk))
    return choice, kept_Bk


def top_continuations(
    logits_LV: Tensor, offset_BK: Tensor, count: int, live_L: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The ``count`` best of all K·V sums ``logits + offset`` of each sentence, best first.

    The vocabulary is neither sorted nor normalised as a whole: the ``count`` best elements lie in the ``count`` blocks
    with the highest maxima, so only these are sorted.

    Args:
        logits_LV: of the rows that have any.
        offset_BK: -inf in the other rows.
        live_L: the rows (indices into N) that have logits; all, where None.

    Returns:
        The sums, the hypothesis (index into K) and the token (index into V) of each. [B, count]
    """
    (num_rows, num_tokens), num_hypotheses = logits_LV.shape, offset_BK.shape[1]
    count = min(count, num_hypotheses * num_tokens)
    if num_tokens % BLOCK:
        logits_LV = F.pad(logits_LV, (0, -num_tokens % BLOCK), value=-inf)
    blocks_LMP = torch.unflatten(logits_LV, 1, (-1, BLOCK))
    num_blocks = blocks_LMP.shape[1]
    highest_NM, place_N = blocks_LMP.amax(2), torch.arange(offset_BK.numel(), device=offset_BK.device)
    if live_L is not None:
        place_N = torch.zeros_like(place_N).index_copy_(0, live_L, place_N[:num_rows])
        highest_NM = highest_NM.index_select(0, place_N)
    highest_BM = (highest_NM.view(*offset_BK.shape, -1) + offset_BK[:, :, None]).flatten(1)
    block_BM = highest_BM.topk(min(count, highest_BM.shape[1]), dim=1, sorted=False).indices
    parent_BM = torch.div(block_BM, num_blocks, rounding_mode="floor")
    place_BM = place_N.view_as(offset_BK).gather(1, parent_BM) * num_blocks + block_BM % num_blocks
    chosen_BMP = blocks_LMP.flatten(0, 1).index_select(0, place_BM.flatten()).view(*place_BM.shape, BLOCK)
    chosen_BMP = chosen_BMP + offset_BK.gather(1, parent_BM)[:, :, None]
    best_BC, index_BC = chosen_BMP.flatten(1).topk(count, dim=1)
    where_BC = block_BM.gather(1, index_BC // BLOCK)
    hypothesis_BC = torch.div(where_BC, num_blocks, rounding_mode="floor")
    # Among forbidden continuations, all at -inf, padding may have been taken: any token will do.
    token_BC = (where_BC % num_blocks * BLOCK + index_BC % BLOCK).clamp(max=num_tokens - 1)
    return best_BC, hypothesis_BC, token_BC


def log_coverage(coverage_BKS: Tensor, mask_BS: Tensor) -> Tensor:
    """Σ_s log min(Σ_t a_ts, 1) over the real positions, 0 at best (Wu et al. 2016, equation 14). [B, K]"""
    log_BKS = coverage_BKS.clamp(min=torch.finfo(coverage_BKS.dtype).tiny, max=1.0).log()
    return log_BKS.masked_fill(~mask_BS[:, None], 0.0).sum(2)
