"""Batches: the six steps from sentence pairs to padded ids, and the order in which training sees them.

B sentences, S source positions, T target positions.
"""

import contextlib
import copy
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from nmt.core.console import warn
from nmt.data.batch import Batch, joined_batch, make_batch
from nmt.data.buffers import ShuffleBuffers
from nmt.data.cache import EncodedCorpus, ParallelIds, Sentences
from nmt.data.shapes import MOST_SHAPES, PlannedBatch, choose_shapes, holds, plan_shaped
from nmt.data.vocabulary.files import Vocabularies

MAX_PADDING = 0.05  # fraction of padding at which a batch that is at least half full is cut

AHEAD = 8  # number of batches prefetched for a GPU, enough to hide the planning of an epoch

EpochTransform = Callable[[ParallelIds, int, int], ParallelIds]
"""Maps source and target, a seed, and the epoch, counted from 0, to the source and target of that epoch."""
CorpusExtras = Mapping[str, Sentences]  # annotations of all pairs of a text, by name
PairTransform = Callable[[ParallelIds, CorpusExtras, int, int], tuple[ParallelIds, CorpusExtras]]
"""An :data:`EpochTransform` of sentences and annotations, such as the modifiers of a corpus."""


def plan_batches(
    source_length_N: npt.NDArray[np.int64],
    target_length_N: npt.NDArray[np.int64],
    batch_tokens: int,
    rng: np.random.Generator | None = None,
) -> list[npt.NDArray[np.int64]]:
    """Split sentences into batches of like length under a token budget; returns the indices of each batch.

    Args:
        batch_tokens: most positions, padding included, of the longer side of a batch. A longer sentence is a batch.
        rng: shuffles sentences of equal length, and the batches; without one the order is by length.
    """
    tie_N = rng.random(len(source_length_N)) if rng else np.arange(len(source_length_N))
    longer_N = np.maximum(source_length_N, target_length_N)
    # Among equal lengths the other side grows and shrinks in turns, so that neighbours are alike at the boundaries.
    up_or_down_N = np.where(longer_N % 2, -1, 1) * (target_length_N - source_length_N)
    order = np.lexsort((tie_N, up_or_down_N, longer_N))  # the last key counts first
    cuts = []
    start = longest_source = longest_target = tokens = 0
    sorted_lengths = zip(source_length_N[order].tolist(), target_length_N[order].tolist(), strict=True)
    for end, (source, target) in enumerate(sorted_lengths):
        size = end - start + 1  # with this sentence
        positions = max(longest_source, source) + max(longest_target, target)  # of a row
        full = max(longest_source, source, longest_target, target) * size > batch_tokens
        half_full = max(longest_source, longest_target) * (size - 1) > batch_tokens / 2
        padded = 1 - (tokens + source + target) / (size * positions) > MAX_PADDING
        # Cut before this sentence; a batch that is half full is cut early rather than filled with padding.
        if end > start and (full or (half_full and padded)):
            cuts.append(end)
            start, longest_source, longest_target, tokens = end, 0, 0, 0
        longest_source, longest_target = max(longest_source, source), max(longest_target, target)
        tokens += source + target
    batches = np.split(order, cuts)
    if rng:
        rng.shuffle(batches)
    return batches


class BatchStream(ABC):
    """An endless stream of batches that can be resumed at any position.

    ``share`` is (k, n), where n processes take a batch each in turn, and this is the one with number k.
    """

    epoch: int  # number of complete passes over the data
    stage = ""  # name of the current stage
    is_over = False  # whether the last stage has ended

    def __init__(self, share: tuple[int, int]) -> None:
        self._share, self._device = share, torch.device("cpu")

    @abstractmethod
    def __len__(self) -> int:
        """Number of batches of the current epoch."""

    @abstractmethod
    def make_next(self) -> Batch:
        """Returns the next batch, without moving past it."""

    @abstractmethod
    def advance(self) -> None:
        """Moves past the next batch."""

    @abstractmethod
    def longest(self, batch_tokens: int) -> Batch:
        """Returns the batch of an epoch that needs most memory under a budget: the longest sentences."""

    @abstractmethod
    def use_few_shapes(self, most: int = MOST_SHAPES) -> list[Batch]:
        """Pads batches to about ``most`` shapes, and returns an empty batch of each. Called before the first batch."""

    @property
    @abstractmethod
    def num_positions(self) -> int:
        """Number of positions of the longer side in an epoch, without PAD."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Returns the position of the stream, which is before the first batch that was not yielded."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from a :meth:`state_dict`."""

    def prefetch(self, device: torch.device) -> Self:
        """Makes batches in a thread in advance, unless the device is the CPU, which has no time to spare."""
        self._device = device
        return self

    def __iter__(self) -> Iterator[Batch]:
        return self._one_by_one() if self._device.type == "cpu" else self._in_advance()

    def _in_advance(self) -> Iterator[Batch]:
        """Yields batches made by a copy of the stream in a thread; the stream stays at the last yielded batch."""
        ahead, pins = copy.copy(self), self._device.type == "cuda"
        batches = ahead._one_by_one()

        def make() -> tuple[Batch, dict[str, Any]]:
            with torch.cuda.device(self._device) if pins else contextlib.nullcontext():
                batch = next(batches)
                # From pinned memory, copies overlap with computation.
                return batch.pinned() if pins else batch, vars(copy.copy(ahead))

        thread = ThreadPoolExecutor(1, "batches")
        try:
            pending = deque(thread.submit(make) for _ in range(AHEAD))
            while True:
                batch, state = pending.popleft().result()
                pending.append(thread.submit(make))
                vars(self).update(state)
                yield batch
        finally:
            thread.shutdown(cancel_futures=True)

    def _one_by_one(self) -> Iterator[Batch]:
        own, count = self._share
        while True:
            for process in range(count):
                if process == own:
                    batch = self.make_next()
                self.advance()
            yield batch


class TrainingBatches(BatchStream):
    """The batches of one corpus, buffer by buffer.

    The order of an epoch, and how it reads the sentences, depend on the seed and the epoch alone.

    Args:
        readings: what each epoch makes of the sentences of a buffer, one after the other, such as other pieces.
        modify: changes sentences and annotations before the readings.
        buffers: the pairs that are read, and which of them together; None for all of them.
    """

    def __init__(
        self,
        corpus: EncodedCorpus,
        vocabularies: Vocabularies,
        batch_tokens: int,
        seed: int,
        share: tuple[int, int] = (0, 1),
        readings: Sequence[EpochTransform] = (),
        buffers: ShuffleBuffers | None = None,
        modify: PairTransform | None = None,
    ) -> None:
        super().__init__(share)
        self._corpus, self._vocabularies = corpus, vocabularies
        self._buffers = ShuffleBuffers(len(corpus)) if buffers is None else buffers
        self._batch_tokens, self._seed, self._readings, self._modify = batch_tokens, seed, readings, modify
        self.epoch = self._buffer = -1
        self._shapes_K2: npt.NDArray[np.int64] | None = None
        self._go_to(0, 0, 0)

    def _go_to(self, epoch: int, buffer: int, position: int) -> None:
        """Move to a batch by its number in a buffer; after the last batch of a buffer comes the first of the next."""
        if (epoch, buffer) != (self.epoch, self._buffer):
            self.epoch, self._buffer = epoch, buffer
            self._read(self._buffers.rows(buffer, self._seed, epoch))
        if position < len(self._plan):
            self._position = position
        elif buffer + 1 < self._buffers.count:
            self._go_to(epoch, buffer + 1, 0)
        else:
            self._go_to(epoch + 1, 0, 0)

    def _read(self, rows: npt.NDArray[np.int64]) -> None:
        """Reads the pairs of the current buffer, and divides them into batches."""
        sides: ParallelIds = self._corpus.source.taken(rows), self._corpus.target.taken(rows)
        annotations: CorpusExtras = {name: values.taken(rows) for name, values in self._corpus.annotations.items()}
        seed = self._seed + (self._buffer << 32)  # each buffer has random numbers of its own
        if self._modify is not None:
            sides, annotations = self._modify(sides, annotations, seed, self.epoch)
        for reading in self._readings:
            sides = reading(sides, seed, self.epoch)
        (self._source, self._target), self._annotations = sides, annotations
        self._lengths = self._source.lengths + 1, self._target.lengths + 1  # with EOS
        self._plan_batches()

    def _plan_batches(self) -> None:
        """Divides the pairs of the current buffer into batches."""
        rng = np.random.default_rng((self._seed + (self._buffer << 32), self.epoch))
        if self._shapes_K2 is None:
            self._plan = [
                PlannedBatch(rows, (0, 0, 0)) for rows in plan_batches(*self._lengths, self._batch_tokens, rng)
            ]
            return
        self._plan = plan_shaped(*self._lengths, self._shapes_K2, self._batch_tokens, rng)
        # Another epoch can read sentences in more pieces than the one that the shapes are chosen for.
        if len(rest := np.flatnonzero(~holds(np.stack(self._lengths, 1), self._shapes_K2).any(1))):
            source_lengths, target_lengths = (side[rest] for side in self._lengths)
            planned = plan_batches(source_lengths, target_lengths, self._batch_tokens, rng)
            self._plan += [PlannedBatch(rest[rows], (0, 0, 0)) for rows in planned]

    def use_few_shapes(self, most: int = MOST_SHAPES) -> list[Batch]:
        source, target = self._lengths
        if len(self._plan) > most:  # else each batch of an epoch has a shape of its own
            self._shapes_K2 = choose_shapes(source, target, most)
            self._plan_batches()
        shapes = {
            max(shape, (len(rows), int(source[rows].max()), int(target[rows].max()))) for rows, shape in self._plan
        }
        return [make_batch([((), ())], self._vocabularies, shape=shape) for shape in shapes]

    def __len__(self) -> int:
        return len(self._plan) * self._buffers.count  # buffers are alike

    def make_next(self) -> Batch:
        return self._make_batch(*self._plan[self._position])

    def advance(self) -> None:
        self._go_to(self.epoch, self._buffer, self._position + 1)

    @property
    def place(self) -> tuple[int, int, int]:
        """Epoch, buffer and number within the buffer of the next batch."""
        return self.epoch, self._buffer, self._position

    @property
    def next_tokens(self) -> int:
        """Number of target tokens of the next batch."""
        return int(self._lengths[1][self._plan[self._position].indices].sum())

    @property
    def num_target_tokens(self) -> int:
        """Number of target tokens of an epoch with EOS, in the stored pieces; an estimate if pairs are held out."""
        counts = self._corpus.counts
        return (counts.target_pieces + counts.kept) * len(self._buffers) // counts.kept

    def _make_batch(self, chosen: npt.NDArray[np.int64], shape: tuple[int, int, int] = (0, 0, 0)) -> Batch:
        annotations = {name: [values[i] for i in chosen] for name, values in self._annotations.items()}
        source, target = self._source.joined(chosen), self._target.joined(chosen)
        return joined_batch(source, target, self._vocabularies, annotations, shape)

    def longest(self, batch_tokens: int) -> Batch:
        longer_N = np.maximum(*self._lengths)
        size = max(1, batch_tokens // int(longer_N.max()))
        return self._make_batch(np.resize(np.argsort(-longer_N, kind="stable"), size))  # over again if there are few

    @property
    def num_positions(self) -> int:
        return int(np.maximum(*self._lengths).sum()) * self._buffers.count

    def state_dict(self) -> dict[str, Any]:
        place = {"epoch": self.epoch, "pool": self._buffer, "position": self._position}
        return place | {"corpus": self._corpus.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from a :meth:`state_dict`, or with the next epoch if other settings give fewer batches."""
        if state.get("corpus") != self._corpus.fingerprint:
            warn(
                "the training text isn't the one that the run was started with: going on in the middle of the new one."
            )
        buffer = min(state.get("pool", 0), self._buffers.count - 1)
        self._go_to(state["epoch"], buffer, state.get("position", 0))
