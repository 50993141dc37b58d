"""Batches: sentence pairs as padded ids, in six steps.

B sentences, S source positions, T target positions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies

Ids = Sequence[int] | npt.NDArray[np.integer]
BatchExtras = Mapping[str, Sequence[npt.NDArray[np.integer]]]
"""Further integers of each pair of a batch, by name; see :class:`nmt.data.cache.PairExtras`."""


@dataclass(frozen=True)
class Batch:
    """Sentence pairs, padded. A length counts the EOS; target lengths hold for both target tensors."""

    source_BS: Tensor
    source_length_B: Tensor
    target_input_BT: Tensor  # SOS y1 … yn
    target_output_BT: Tensor  # y1 … yn EOS
    target_length_B: Tensor
    annotations: BatchExtras = field(default_factory=dict)
    """Data of training techniques, such as word links: for each name an array for each pair."""
    joined: Tensor | None = None  # all tensors as one, of which they are views; see `parted`

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Returns the tensors by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("annotations", "joined")}

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Returns the batch with every tensor changed."""
        changed: dict[str, Any] = {name: change(tensor) for name, tensor in self.tensors.items()}
        return replace(self, joined=None, **changed)

    def to(self, device: torch.device) -> Self:
        """Returns the batch on another device: one copy, which overlaps with computation if memory is pinned."""
        return self if device == self.source_BS.device else self.parted(self.as_one().to(device, non_blocking=True))

    def pinned(self) -> Self:
        """Returns the batch in pinned memory."""
        return self.parted(self.as_one().pin_memory())

    def as_one(self) -> Tensor:
        """Returns all tensors as one, so that a copy of them is one operation."""
        return torch.cat([part.flatten() for part in self.tensors.values()]) if self.joined is None else self.joined

    def parted(self, joined: Tensor) -> Self:
        """Returns a batch of the same shape whose tensors are views of one tensor, as :meth:`as_one` makes it."""
        parts = torch.split(joined, [part.numel() for part in self.tensors.values()])
        views: dict[str, Any] = {
            name: part.view(tensor.shape) for (name, tensor), part in zip(self.tensors.items(), parts, strict=True)
        }
        return replace(self, joined=joined, **views)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Returns the number of rows, and the lengths of source and target."""
        num_rows, source_length = self.source_BS.shape
        return num_rows, source_length, self.target_output_BT.shape[1]

    def repeated(self, count: int) -> Self:
        """Returns the sentences ``count`` times, one copy below the other."""
        if count == 1:
            return self
        annotations = {name: [*values] * count for name, values in self.annotations.items()}
        return replace(self._each(lambda part: torch.cat([part] * count)), annotations=annotations)

    def halves(self) -> tuple[Self, Self]:
        """Returns the first and the second half of the sentences, each padded to its own longest."""
        middle = (len(self.source_BS) + 1) // 2
        return self._rows(slice(middle)), self._rows(slice(middle, None))

    def _rows(self, rows: slice) -> Self:
        part = self._each(lambda tensor: tensor[rows])
        longest_source, longest_target = int(part.source_length_B.max()), int(part.target_length_B.max())
        return replace(
            part,
            source_BS=part.source_BS[:, :longest_source],
            target_input_BT=part.target_input_BT[:, :longest_target],
            target_output_BT=part.target_output_BT[:, :longest_target],
            annotations={name: values[rows] for name, values in self.annotations.items()},
        )

    @property
    def num_target_tokens(self) -> int:
        """Number of positions that the loss counts: target tokens and EOS, without PAD."""
        return int(self.target_length_B.sum())

    @property
    def num_positions(self) -> int:
        """Number of source and target positions, including PAD."""
        return self.source_BS.numel() + self.target_output_BT.numel()

    @property
    def num_padding(self) -> int:
        """Number of positions that are PAD."""
        return self.num_positions - int(self.source_length_B.sum()) - self.num_target_tokens


def indices_of_runs(first_B: npt.NDArray[np.int64], length_B: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns ``first``, ``first`` + 1 and so on, ``length`` of them, for each run in turn. [N]"""
    before_B = length_B.cumsum() - length_B
    return np.arange(length_B.sum()) + np.repeat(first_B - before_B, length_B)


@dataclass(frozen=True)
class Joined:
    """B sentences one after the other."""

    ids_N: npt.NDArray[np.integer]
    length_B: npt.NDArray[np.int64]

    @classmethod
    def of(cls, sentences: Sequence[Ids]) -> Self:
        """Joins sentences."""
        length_B = np.fromiter(map(len, sentences), np.int64, len(sentences))
        return cls(np.concatenate(sentences, dtype=np.int64, casting="unsafe"), length_B)

    def with_rows(self, num_rows: int) -> "Joined":
        """Returns these and empty sentences behind them, ``num_rows`` in all if there are fewer."""
        more = max(0, num_rows - len(self.length_B))
        return Joined(self.ids_N, np.concatenate((self.length_B, np.zeros(more, np.int64))))

    def padded(self, vocabulary: Vocabulary, *, sos: bool = False, eos: bool = False, longest: int = 0) -> Tensor:
        """Returns a row for each sentence, with SOS before and EOS after it where asked. [B, longest]"""
        length_B, longest = self.length_B, max(longest, int(self.length_B.max()) + sos + eos)
        padded_BL = np.full((len(length_B), longest), vocabulary.pad, dtype=np.int64)
        first_B = np.arange(len(length_B)) * longest + sos
        padded_BL.ravel()[indices_of_runs(first_B, length_B)] = self.ids_N
        if sos:
            padded_BL[:, 0] = vocabulary.sos
        if eos:
            padded_BL.ravel()[first_B + length_B] = vocabulary.eos
        return torch.from_numpy(padded_BL)


def pad(sentences: Sequence[Ids], vocabulary: Vocabulary, *, eos: bool = False) -> Tensor:
    """Stack sentences, with EOS after each where asked, padded to the longest. [B, longest]"""
    return Joined.of(sentences).padded(vocabulary, eos=eos)


def lengths(sentences: Sequence[Ids]) -> Tensor:
    """Length of each sentence with its EOS. [B]"""
    return torch.tensor([len(sentence) + 1 for sentence in sentences])


def make_batch(
    pairs: Sequence[tuple[Ids, Ids]],
    vocabularies: Vocabularies,
    annotations: BatchExtras | None = None,
    shape: tuple[int, int, int] = (0, 0, 0),
) -> Batch:
    """Makes a batch in six steps.

    1. sample the pairs (done by :func:`plan_batches`), 2. look up ids, OOV as UNK (done by the vocabulary),
    3. append EOS to the source, 4. prepend SOS for the decoder's input and append EOS for its output,
    5. pad to the longest sentence of the batch, 6. compute the lengths. A label is predicted from SOS, without EOS.

    Args:
        annotations: for each name an array for each pair.
        shape: least number of rows, and least lengths of source and target. Further rows have an empty source, and no
            target token that counts.
    """
    sources, targets = zip(*pairs, strict=True)
    return joined_batch(Joined.of(sources), Joined.of(targets), vocabularies, annotations, shape)


def joined_batch(
    sources: Joined,
    targets: Joined,
    vocabularies: Vocabularies,
    annotations: BatchExtras | None,
    shape: tuple[int, int, int],
) -> Batch:
    """Makes a batch of joined sentences; see :func:`make_batch`."""
    num_pairs = len(sources.length_B)
    sources, targets = sources.with_rows(shape[0]), targets.with_rows(shape[0])
    is_label = vocabularies.target.is_closed
    read = Joined(targets.ids_N[:0], np.zeros_like(targets.length_B)) if is_label else targets
    target_length_B = read.length_B + 1
    target_length_B[num_pairs:] = 0
    longest = 0 if is_label else shape[2]
    return Batch(
        source_BS=sources.padded(vocabularies.source, eos=True, longest=shape[1]),
        source_length_B=torch.from_numpy(sources.length_B + 1),
        target_input_BT=read.padded(vocabularies.target, sos=True, longest=longest),
        target_output_BT=targets.padded(vocabularies.target, eos=not is_label, longest=longest),
        target_length_B=torch.from_numpy(target_length_B),
        annotations=annotations or {},
    )
