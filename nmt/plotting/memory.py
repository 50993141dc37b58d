"""The picture of an external memory: where the heads of a neural Turing machine write and read, step by step.

As in figure 6 of Graves et al. 2014 time runs to the right and slots stand one above another; the write heads are
above, the read heads below.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from nmt.plotting.fonts import visible
from nmt.plotting.style import (
    FAINT_INK,
    INK,
    Weights,
    draw_cells,
    draw_colour_bar,
    font_size,
    label_axes,
    panels,
    style,
)


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
    """Of the write heads [heads, steps, slots]."""
    reads_HTC: Weights


def draw_memory(trace: MemoryTrace) -> Figure:
    """Draw a panel for each head, write heads first, with the slots that any head gives weight to."""
    heads = [(f"write {number}", weights_TC) for number, weights_TC in enumerate(trace.writes_HTC, start=1)]
    heads += [(f"read {number}", weights_TC) for number, weights_TC in enumerate(trace.reads_HTC, start=1)]
    used = _used_slots([weights_TC for _, weights_TC in heads])
    steps = [visible(step) for step in (*trace.source_steps, *trace.target_steps)]
    slots = [visible(trace.slots[slot]) for slot in used]
    cell = min(0.22, 12 / len(steps), 5 / len(slots))
    with style([*steps, *slots]):
        figure, grid = panels(len(heads), 1, cell * len(steps), cell * len(slots))
        for [axes], (name, weights_TC) in zip(grid, heads, strict=True):
            draw_cells(axes, weights_TC[:, used].T, num_panels=len(heads))
            axes.set_title(name, fontsize=9, color=FAINT_INK, pad=3)
            label_axes(axes, (), slots)
            if trace.source_steps and trace.target_steps:
                axes.axvline(len(trace.source_steps), color=INK, linewidth=1)
        last = grid[-1][0]
        last.xaxis.tick_bottom()
        last.set_xticks(np.arange(len(steps)) + 0.5, steps, rotation=90, fontsize=font_size(last), color=INK)
        draw_colour_bar(grid[0][0], "weight")
    return figure


def _used_slots(weights: Sequence[Weights]) -> list[int]:
    """The slots to which a head gives a twentieth of its weight or more at some step."""
    largest_C = np.max([weights_TC.max(axis=0) for weights_TC in weights], axis=0)
    return np.flatnonzero(largest_C >= min(0.05, largest_C.max())).tolist()
