"""Beam search of a GPU: a step is recorded once, as a CUDA graph, and repeated for all batches of like size.

A step of a small model consists of hundreds of short kernels, and a CPU takes longer to start them than the GPU to
compute them; a graph starts them at once. A graph reads and writes the same memory each time, so all tensors keep their
shapes: there is room for a number of tokens, which doubles when it is full. The CPU asks every few steps how many
sentences are done; further steps change nothing in them. They leave when the room is full or few others are left.

R counts the tokens that there is room for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import inf
from threading import Lock
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.core.console import warn
from nmt.core.cuda_graphs import CudaGraphs, Recorder
from nmt.data.vocabulary.base import Vocabulary
from nmt.decoding.beam import Beam, FinishedHypotheses, log_normaliser
from nmt.decoding.hypotheses import Choice, Hypothesis, SearchBatch
from nmt.models.contracts import State, map_tensors
from nmt.models.seq2seq import Seq2Seq

ROOM = 32  # tokens that there is room for at first, and the least number of source positions
CHECK_EVERY = 4  # steps between two questions whether all sentences are done; a divisor of ``ROOM``
FEWEST = 16  # sentences of the smallest batch that is left when others are done
LEAVE = 4  # sentences leave when a batch of one fourth of the size holds the others
MAX_BYTES = 4 << 30  # memory for the tensors of recorded steps; larger batches are searched as usual


def is_plain(batch: SearchBatch) -> bool:
    """Whether a batch asks for a beam search that can be recorded."""
    options = batch.options
    differences = (options.beam_groups > 1, options.prune is not None, options.coverage_penalty, batch.observer)
    return options.search == "beam" and not any(differences)


@dataclass
class FixedBeam(Beam):
    """A beam whose tensors keep their shapes; the tokens that are known begin each row."""

    length_1: Tensor  # the `length`. [1]
    num_invalid: Tensor  # log-probabilities so far that were NaN or positive infinity. []
    num_open: Tensor  # sentences that aren't done. []

    @property
    def length(self) -> Tensor:
        return self.length_1

    def finish(self, choice: Choice) -> Tensor:
        return self._add(choice)

    def _append(self, tokens_BKt: Tensor, token_BK: Tensor) -> None:
        self.tokens_BKt = tokens_BKt.index_copy(2, self.length_1, token_BK[:, :, None])
        self.length_1 = self.length_1 + 1

    def results(self) -> dict[int, list[Hypothesis]]:
        """The finished hypotheses by the number of the sentence."""
        finished: FinishedHypotheses = map_tensors(self.finished, Tensor.cpu)
        return dict(zip(self.sentence_B.tolist(), finished.hypotheses(), strict=True))

    def with_room(self, num_steps: int) -> Self:
        """The same beam with room for a number of tokens."""
        more = (0, num_steps + 1 - self.tokens_BKt.shape[2])
        finished = replace(self.finished, tokens_BKt=F.pad(self.finished.tokens_BKt, more))
        return replace(self, tokens_BKt=F.pad(self.tokens_BKt, more), finished=finished)

    def select(self, sentences: Tensor) -> Self:
        def some(tensor: Tensor) -> Tensor:
            is_shared = tensor is self.length_1 or not tensor.dim()
            return tensor if is_shared else tensor.index_select(0, sentences)

        return cast("Self", map_tensors(self, some))

    def forbid(self, logits_NV: Tensor, target: Vocabulary) -> None:
        """Forbids what :class:`nmt.decoding.processors.Bounds` forbids."""
        for token in (target.pad, target.sos):
            logits_NV[:, token].fill_(-inf)
        ending_N = logits_NV[:, target.eos].clone()
        is_last_B = self.length_1 >= self.limit_B
        logits_NV.view(*self.score_BK.shape, -1).masked_fill_(is_last_B[:, None, None], -inf)
        logits_NV[:, target.eos].copy_(ending_N)


@dataclass(frozen=True)
class Progress:
    """All that a step reads and writes."""

    beam: FixedBeam
    state: State

    @classmethod
    def start(cls, model: Seq2Seq, batch: SearchBatch) -> Self:
        """The beginning of a search, without room, of a batch that is filled up to one of few sizes with sentences that
        are done at once."""
        (num_sentences, num_positions), source = batch.source_BS.shape, batch.vocabularies.source
        more, wider = _rounded(num_sentences, 1) - num_sentences, _rounded(num_positions, ROOM) - num_positions
        padded_BS = F.pad(batch.source_BS, (0, wider), value=source.pad)
        batch = replace(
            batch,
            source_BS=F.pad(padded_BS, (0, 0, 0, more), value=source.eos),
            source_length_B=F.pad(batch.source_length_B, (0, more), value=1),
            limit_B=F.pad(batch.limit_B, (0, more), value=0),
        )
        plain = Beam.start(batch, None)
        parts = {part.name: getattr(plain, part.name) for part in fields(plain)}
        zero = torch.zeros_like(batch.limit_B[0])
        beam = FixedBeam(**parts, length_1=torch.ones_like(batch.limit_B[:1]), num_invalid=zero, num_open=zero)
        state = model.start(batch.source_BS, batch.source_length_B).reorder(beam.sentence_N)
        return cls(beam, state)

    def with_room(self, model: Seq2Seq, num_steps: int) -> "Progress | None":
        """The same with room for a number of steps; None where the model has no fixed state."""
        state = model.decoder.fixed(self.state, num_steps)
        return None if state is None else Progress(self.beam.with_room(num_steps), state)

    def divided(self, num_sentences: int) -> "tuple[Progress, FixedBeam]":
        """The same for fewer sentences, to which all belong that aren't done, and the beam of the others."""
        is_done_B = self.beam.score_BK.amax(1).isneginf()
        order_B = is_done_B.byte().argsort(stable=True)
        kept, left = order_B[:num_sentences], order_B[num_sentences:]
        rows = torch.arange(len(self.beam.sentence_N), device=order_B.device).view(len(order_B), -1)[kept].flatten()
        return Progress(self.beam.select(kept), self.state.reorder(rows, kept)), self.beam.select(left)

    def advanced(self, model: Seq2Seq, target: Vocabulary) -> "Progress":
        """One step of :func:`nmt.decoding.beam.beam_search`."""
        beam = replace(self.beam)
        last_BK1 = beam.tokens_BKt.index_select(2, beam.length_1 - 1)
        output = model.step(last_BK1.flatten(), self.state)
        logits_NV = output.logits_NV.float()
        offset_BK = beam.offsets(log_normaliser(logits_NV), None)
        beam.forbid(logits_NV, target)
        choice = beam.choose(logits_NV, None, offset_BK, target.eos)
        beam.finish(choice)
        rows = beam.advance(choice)
        beam.num_open = (~beam.drop_done()).sum()
        beam.num_invalid = beam.num_invalid + choice.num_invalid()
        return Progress(beam, output.state.reorder(rows))


class RecordedStep:
    """A step for tensors of certain shapes."""

    def __init__(self, model: Seq2Seq, like: Progress, target: Vocabulary, record: Recorder) -> None:
        self.progress: Progress = map_tensors(like, torch.clone)
        self._tensors = tensors_of(self.progress)
        self._model, self._target = model, target
        self.num_bytes = num_bytes(self._tensors)
        # Another search may replace these at any time, and the recorded step goes on reading them.
        self._also_read = plain_tensors(model)
        self.repeat = record(self._step)
        self._also_read += plain_tensors(model)

    def _step(self) -> None:
        self.set(self.progress.advanced(self._model, self._target))

    def set(self, progress: Progress) -> None:
        """Copies the tensors of some progress into those of the step."""
        for own, value in zip(self._tensors, tensors_of(progress), strict=True):
            if own is not value:
                own.copy_(value)


class RecordedSearch:
    """Searches batches with one model by repeating recorded steps; one at a time, because they share the memory.

    Args:
        model: with weights in the type of the computation.
        record: repeats a step; by default as a CUDA graph.
    """

    def __init__(self, model: Seq2Seq, record: Recorder | None = None) -> None:
        self._model, self._record, self._lock = model, record or CudaGraphs(model.device), Lock()
        self._steps: dict[Any, RecordedStep] = {}
        self._has_failed = False

    @torch.inference_mode()
    def __call__(self, batch: SearchBatch) -> list[list[Hypothesis]] | None:
        """The hypotheses that :func:`nmt.decoding.beam.beam_search` finds, of a batch that :func:`is_plain`. None where
        the model has no fixed state or its steps can't be recorded, or a log-probability isn't a number."""
        with self._lock, torch.autocast(self._model.device.type, enabled=False):
            return None if self._has_failed else self._search(batch)

    def _search(self, batch: SearchBatch) -> list[list[Hypothesis]] | None:
        progress, room = Progress.start(self._model, batch), ROOM
        limit = int(batch.limit_B.max())
        results: dict[int, list[Hypothesis]] = {}
        step = self._step_for(progress, batch, room)
        for number in range(1, limit + CHECK_EVERY):
            if step is None:
                return None
            batch.before_step()
            step.repeat()
            if number % CHECK_EVERY:
                continue
            beam = step.progress.beam
            num_open, num_invalid = torch.stack((beam.num_open, beam.num_invalid)).tolist()
            if num_invalid:
                return None
            if not num_open:
                results |= beam.results()
                return [results[sentence] for sentence in range(len(batch.source_BS))]
            num_sentences, size = len(beam.sentence_B), _rounded(num_open, FEWEST)
            if number == room or size * LEAVE <= num_sentences:
                room *= 2 if number == room else 1
                progress = step.progress
                if size < num_sentences:
                    progress, others = progress.divided(size)
                    results |= others.results()
                step = self._step_for(progress, batch, room)
        raise AssertionError("a search ends at the limit")

    def _step_for(self, progress: Progress, batch: SearchBatch, room: int) -> RecordedStep | None:
        """The step for some progress, to which it is set, with more room."""
        options = batch.options
        rules = (options.beam_size, options.length_penalty, options.alpha, options.early_stopping)
        where = tuple(parameter.data_ptr() for parameter in self._model.parameters())
        try:
            roomy = progress.with_room(self._model, room)
            if roomy is None:
                self._has_failed = True
                return None
            tensors = tensors_of(roomy)
            if num_bytes(tensors) > MAX_BYTES:
                return None
            key = (tuple((tensor.shape, tensor.dtype) for tensor in tensors), rules, where)
            step = self._steps.pop(key, None) or RecordedStep(self._model, roomy, batch.target, self._record)
        except (RuntimeError, ValueError) as error:
            self._steps.clear()
            self._has_failed = True
            reason = str(error).partition("\n")[0]
            warn(f"A step of search couldn't be recorded, so translation is slower than it could be: {reason}")
            return None
        while self._steps and step.num_bytes + sum(other.num_bytes for other in self._steps.values()) > MAX_BYTES:
            del self._steps[next(iter(self._steps))]
        self._steps[key] = step
        step.set(roomy)
        return step


def tensors_of(value: Any) -> list[Tensor]:
    """All tensors in a value, in the order of :func:`nmt.models.contracts.map_tensors`."""
    tensors: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    map_tensors(value, note)
    return tensors


def num_bytes(tensors: Sequence[Tensor]) -> int:
    """Returns the size of some tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def plain_tensors(model: nn.Module) -> list[Tensor]:
    """Tensors that are neither parameters nor buffers of a model, such as tables of positions."""
    return [value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor)]


def _rounded(number: int, least: int) -> int:
    """The next power of two, beyond 64 the next multiple of 64; at least ``least``."""
    return max(least, -(-number // 64) * 64 if number > 64 else 1 << (number - 1).bit_length())
