"""Beam search over any model: it knows ``start``, ``step`` and ``reorder``, and nothing else about it.

B sentences still in the batch, K hypotheses of each, N = B·K, G groups of k hypotheses, V vocabulary, t tokens so far.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from nmt.config import DecodingOptions
from nmt.data.batching import Ids, by_length, lengths, pad
from nmt.data.vocabulary import Vocabularies, Vocabulary
from nmt.decoding.finished import Finished, Hypothesis
from nmt.decoding.penalties import Coverage, length_normalised
from nmt.decoding.rules import EndAtLimit, NeverSpecial, NoRepeatedNgram, Rule
from nmt.decoding.topk import log_normaliser, top_continuations
from nmt.errors import UserError
from nmt.models.interfaces import State, StepOutput
from nmt.models.masks import length_mask

MAX_IDLE = 1 / 8
"""Share of the batch that may be done before it is made smaller: that means copying what the model remembers."""


class Model(Protocol):
    """What search asks of a model, or of several that act as one."""

    @property
    def device(self) -> torch.device: ...

    @property
    def alignment_heads(self) -> tuple[int, ...]:
        """Heads whose mean says what a step looks at."""

    def start(self, source_BS: Tensor, source_length_B: Tensor) -> State: ...

    def step(self, token_N: Tensor, state: State, need_weights: bool = False) -> StepOutput: ...


def max_lengths(source_length_B: Tensor, options: DecodingOptions) -> Tensor:
    """The most pieces, EOS counted, that each translation may have. [B]"""
    limit_B = (source_length_B * options.max_length_ratio).long() + options.max_length_extra
    return limit_B if options.max_length is None else limit_B.clamp(max=options.max_length + 1)


@torch.inference_mode()
def beam_search(
    model: Model,
    source_BS: Tensor,
    source_length_B: Tensor,
    target: Vocabulary,
    options: DecodingOptions,
    rules: Sequence[Rule] = (),
) -> list[list[Hypothesis]]:
    """The best translations of a batch, best first, at most ``options.beam_size`` of each sentence.

    Of the 2K best continuations of a sentence, those that end among the first K are finished, and the best K that
    go on are kept. When a sentence has K finished hypotheses, ``options.early_stopping`` decides whether it goes on
    for the sake of an unfinished one: stopping at K alone favours short translations. A beam of 1 is greedy search.

    With ``options.beam_groups`` the beam is divided into groups that are continued one after another, each
    avoiding the pieces that those before it chose at this step (Vijayakumar et al. 2018).

    Args:
        model: in eval mode.
        source_BS, source_length_B: padded sources.
        target: for the special ids.
        options: beam, penalties, limits.
        rules: what hypotheses may not say, beside what ``options`` rules out.
    """
    limit_B = max_lengths(source_length_B, options)
    always: list[Rule] = [NeverSpecial(target), *rules]
    if options.no_repeat_ngram:
        always.append(NoRepeatedNgram(options.no_repeat_ngram))
    always.append(EndAtLimit(limit_B, target.eos))

    beam = _Beam.start(source_BS, limit_B, options, target.sos)
    state = model.start(source_BS, source_length_B).reorder(beam.sentence_N)
    if options.coverage_penalty:
        _need_attention(model)
        beam.coverage = Coverage.none(length_mask(source_length_B, source_BS.shape[1])[beam.sentence_N])
    results: list[list[Hypothesis]] = [[] for _ in source_BS]
    while len(beam.sentence_B):
        output = model.step(beam.last_N, state, need_weights=beam.coverage is not None)
        logits_NV = output.logits_NV.float()
        normaliser_N = log_normaliser(logits_NV)
        for rule in always:
            rule(logits_NV, beam.tokens_BKt.flatten(0, 1), beam.sentence_N)
        if beam.coverage is not None:
            assert output.weights_NHS is not None
            beam.coverage = beam.coverage.plus(output.weights_NHS[:, model.alignment_heads].float().mean(1))
        rows = beam.advance(logits_NV, normaliser_N, target.eos)

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


def _need_attention(model: Model) -> None:
    if not model.alignment_heads:
        raise UserError("decoding.coverage_penalty needs a model with attention, and this one has none.", "Leave it 0.")


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
    def start(cls, source_BS: Tensor, limit_B: Tensor, options: DecodingOptions, sos: int) -> "_Beam":
        num_sentences, size, device = len(source_BS), options.beam_size, source_BS.device
        score_BK = torch.full((num_sentences, size), float("-inf"), device=device)
        # All hypotheses start equal, so at first only one of each group may be continued.
        score_BK[:, :: size // options.beam_groups] = 0.0
        return cls(
            options,
            torch.full((num_sentences, size, 1), sos, device=device),
            score_BK,
            Finished.none(num_sentences, size, device),
            torch.arange(num_sentences, device=device),
            limit_B,
        )

    @property
    def sentence_N(self) -> Tensor:
        return self.sentence_B.repeat_interleave(self.options.beam_size)

    @property
    def last_N(self) -> Tensor:
        return self.tokens_BKt[:, :, -1].flatten()

    def advance(self, logits_NV: Tensor, normaliser_N: Tensor, eos: int) -> Tensor:
        """Choose among all continuations: finish those that end, keep the best that go on.

        Returns:
            The rows (indices into N) that the kept hypotheses continue.
        """
        size = self.options.beam_size // self.options.beam_groups
        logits_BKV = logits_NV.view(*self.score_BK.shape, -1)
        offset_BK = self.score_BK - normaliser_N.view_as(self.score_BK)
        ending, going = [], []
        for best_BC, parent_BC, token_BC in _continuations(logits_BKV, offset_BK, self.options):
            ends_BC = token_BC == eos
            ending.append((best_BC.masked_fill(~ends_BC, float("-inf"))[:, :size], parent_BC[:, :size]))
            score_Bk, kept_Bk = best_BC.masked_fill(ends_BC, float("-inf")).topk(size, dim=1)
            going.append((score_Bk, parent_BC.gather(1, kept_Bk), token_BC.gather(1, kept_Bk)))
        self._finish(*(torch.cat(parts, dim=1) for parts in zip(*ending, strict=True)))
        self.score_BK, parent_BK, token_BK = (torch.cat(parts, dim=1) for parts in zip(*going, strict=True))

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


def _continuations(
    logits_BKV: Tensor, offset_BK: Tensor, options: DecodingOptions
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For each group the 2k best continuations: log-probability, hypothesis (index into K) and piece. [B, 2k]"""
    size = options.beam_size // options.beam_groups
    if options.beam_groups == 1:
        yield top_continuations(logits_BKV, offset_BK, 2 * size)
        return
    times_chosen_BV = torch.zeros_like(logits_BKV[:, 0])
    for start in range(0, options.beam_size, size):
        group = slice(start, start + size)
        penalty_BV = options.diversity * times_chosen_BV
        best_BC, parent_BC, token_BC = top_continuations(
            logits_BKV[:, group] - penalty_BV[:, None], offset_BK[:, group], 2 * size
        )
        times_chosen_BV.scatter_add_(1, token_BC[:, :size], torch.ones_like(best_BC[:, :size]))
        yield best_BC + penalty_BV.gather(1, token_BC), parent_BC + start, token_BC


def search_all(
    model: Model,
    sources: Sequence[Ids],
    vocabularies: Vocabularies,
    options: DecodingOptions,
    on_progress: Callable[[int], None] = lambda sentences: None,
) -> list[list[Hypothesis]]:
    """Translate any number of encoded sentences: sorted by length, in batches, back in their own order.

    Args:
        model: in eval mode, with a ``device``.
        sources: ids of each sentence, without EOS.
        vocabularies: for the special ids.
        options: beam, penalties and batch size.
        on_progress: called with the number of sentences of each finished batch.
    """
    results: list[list[Hypothesis]] = [[] for _ in sources]
    for chunk in by_length([len(source) for source in sources], options.batch_size):
        batch = [sources[i] for i in chunk]
        source_BS = pad(batch, vocabularies.source, eos=True).to(model.device)
        found = beam_search(model, source_BS, lengths(batch).to(model.device), vocabularies.target, options)
        for index, hypotheses in zip(chunk, found, strict=True):
            results[index] = hypotheses
        on_progress(len(chunk))
    return results
