"""Where the heads of a neural Turing machine write and read, step by step, and the picture of it.

As in figure 6 of Graves et al. 2014 time runs to the right and slots stand one above another; the write heads are
above, the read heads below, and under them the attention of a decoder that looks at the source.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from nmt.core.errors import UserError
from nmt.data.batch import make_batch
from nmt.data.vocabulary.base import SPACE, Vocabulary
from nmt.extensions.algorithmic.ntm import NTMState
from nmt.models.calls import recorded_calls
from nmt.plotting.matrix import MAX_WORDS, draw_directions
from nmt.plotting.style import INK, Picture, draw_cells, draw_colour_bar, panels, scaled, style, visible
from nmt.translation.translator import Translator

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MemoryTrace:
    """The weights of every head at every step."""

    source_steps: tuple[str, ...]
    """The input of each step of the encoder; empty where it does not use the memory."""
    target_steps: tuple[str, ...]
    """The output of each step of the decoder; empty where it does not use the memory."""
    slots: tuple[str, ...]
    """Names of the slots: numbers, or the source pieces that they were initialised with."""
    writes_HTC: Weights
    """Weights of the write heads [heads, steps, slots]."""
    reads_HTC: Weights
    attention_TS: Weights | None = None
    """Mean attention of the decoder to the source positions at all steps; None if the slots are these."""


@torch.inference_mode()
def trace_memory(translator: Translator, source: str, target: str) -> MemoryTrace:
    """Follow the heads over a source line and its translation.

    Raises:
        UserError: the model has no external memory, or the sentence is empty or too long to draw.
    """
    model, vocabularies = translator.model, translator.vocabularies
    source_ids, target_ids = translator.encode_source(source), translator.encode_target(target)
    num_pieces = len(source_ids) + len(target_ids)
    if not source_ids or num_pieces > MAX_WORDS:
        raise UserError(f"A sentence pair of {num_pieces} pieces can't be drawn (1 to {MAX_WORDS}).", "Choose another.")
    batch = make_batch([(source_ids, target_ids)], vocabularies).to(model.device)
    with recorded_calls(model) as calls:
        encoded = model.encode(batch.source_BS, batch.source_length_B)
        num_calls = len(calls)
        weights_BHTS = model.decoder.unroll(batch.target_input_BT, encoded, need_weights=True).weights_BHTS
    read, written = (
        [c[2] for c in part if isinstance(c[2], NTMState)] for part in (calls[:num_calls], calls[num_calls:])
    )
    states, num_read = [*read, *written], len(read)
    if not states:
        raise UserError(
            "This model has no external memory.", "Train one with the encoder or decoder ntm: algorithmic/copy_ntm."
        )
    pieces, num_free = _names(vocabularies.source, source_ids), states[-1].num_free_slots
    outputs, attention_TS = _names(vocabularies.target, target_ids), None
    if num_free is None and weights_BHTS is not None and weights_BHTS.shape[1]:
        attention_TS = np.zeros((num_read + len(outputs), len(pieces)), dtype=np.float32)
        attention_TS[num_read:] = weights_BHTS[0].mean(0).float().cpu().numpy()
    if num_free is None:
        slots = tuple(map(str, range(states[0].write_NHC.shape[2])))
    else:  # slots that belong to source positions are a memory of the decoder alone
        slots = (*(f"free-{number + 1}" for number in range(num_free)), *pieces)
        states, num_read = states[num_read:], 0
    return MemoryTrace(
        pieces if num_read else (),
        outputs if len(states) > num_read or attention_TS is not None else (),
        slots,
        _stack([state.write_NHC[0] for state in states]),
        _stack([state.read_NHC[0] for state in states]),
        attention_TS,
    )


def _names(vocabulary: Vocabulary, ids: Sequence[int]) -> tuple[str, ...]:
    """Pieces as a picture shows them, and EOS."""
    return (*(vocabulary.token(i).removeprefix(SPACE) or SPACE for i in ids), "</s>")


def _stack(weights: Sequence[torch.Tensor]) -> Weights:
    """The weights of each step as [heads, steps, slots]. A head that a step lacks has no weights."""
    stacked = np.zeros((max(map(len, weights)), len(weights), weights[0].shape[1]), dtype=np.float32)
    for step, weights_HC in enumerate(weights):
        stacked[: len(weights_HC), step] = weights_HC.float().cpu().numpy()
    return stacked


def draw_memory(trace: MemoryTrace) -> Picture:
    """Draw a panel for each head, with the slots that any uses and dotted lines at those left out; then attention."""
    heads = [(f"write {number}", weights_TC) for number, weights_TC in enumerate(trace.writes_HTC, start=1)]
    heads += [(f"read {number}", weights_TC) for number, weights_TC in enumerate(trace.reads_HTC, start=1)]
    largest_C = np.max([weights_TC.max(axis=0) for _, weights_TC in heads], axis=0)
    # A twentieth of a head's weight at some step.
    used = np.flatnonzero(largest_C >= min(0.05, largest_C.max())).tolist()
    steps = [visible(step) for step in (*trace.source_steps, *trace.target_steps)]
    slots, words = [visible(trace.slots[slot]) for slot in used], [visible(step) for step in trace.source_steps]
    shown = [(name, weights_TC[:, used], slots) for name, weights_TC in heads]
    if trace.attention_TS is not None:
        shown.append(("attention", trace.attention_TS, words))
    gaps = [row for row, (slot, following) in enumerate(pairwise(used), start=1) if following > slot + 1]
    num_rows = max(len(rows) for _, _, rows in shown)
    # For a slide where its words are readable there; otherwise they are readable, in 30 inches at most.
    cell = max(min(scaled(0.22), 12 / len(steps), scaled(5) / num_rows), min(scaled(0.12), 30 / len(steps)))
    with style([*steps, *slots]):
        figure, grid = panels(len(shown), 1, cell * len(steps), cell * num_rows)
        for [axes], (name, weights_TR, rows) in zip(grid, shown, strict=True):
            after = len(steps) - len(weights_TR)  # steps that a head of the encoder has no part in
            draw_cells(axes, np.pad(weights_TR, ((0, after), (0, 0))).T, steps if axes is grid[0][0] else (), rows)
            axes.set_title(name, fontsize=scaled(9), pad=3)
            for row in gaps if rows is slots else ():
                axes.axhline(row, color=INK, linewidth=1.5, linestyle=":")
            if trace.source_steps and trace.target_steps:
                axes.axvline(len(trace.source_steps), color=INK, linewidth=1)
        draw_directions(grid[0][0], "slot ↓   step →")
        draw_colour_bar(grid[0][0], "weight", len(steps))
    return figure


def plot_memory(translator: Translator, line: str) -> Picture:
    """Draws where the heads of a neural Turing machine write and read while it translates a line."""
    return draw_memory(trace_memory(translator, line, translator(line).text))
