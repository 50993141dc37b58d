"""Where the heads of a neural Turing machine write and read, step by step, and the picture of it.

As in figure 6 of Graves et al. 2014 time runs to the right and slots stand one above another; the write heads are
above, the read heads below.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from nmt.alignment.matrix import FAINT_INK, GRID_OF_FIVE, INK, MAX_WORDS, SHADES, fit
from nmt.data.batching import make_batch
from nmt.data.vocabulary import SPACE, Vocabulary
from nmt.errors import UserError
from nmt.fonts import font_families, quiet_fonts, visible
from nmt.models.decoders.ntm import NtmDecoder
from nmt.models.encoders.ntm import NtmEncoder
from nmt.models.ntm_memory import MachineState
from nmt.translator import Translator

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MemoryTrace:
    """The weights of every head at every step."""

    source_steps: tuple[str, ...]
    """What the encoder read while it worked on the memory; empty where it did not."""
    target_steps: tuple[str, ...]
    """What the decoder said at each step; empty where it did not use the memory."""
    slots: tuple[str, ...]
    """Names of the slots: numbers, or the source pieces they began with."""
    writes_HTC: Weights
    """Write heads, steps, slots."""
    reads_HTC: Weights


@torch.inference_mode()
def trace_memory(translator: Translator, source: str, target: str) -> MemoryTrace:
    """Follow the heads over a source line and its translation.

    Raises:
        UserError: the model has no external memory, or the sentence is empty or too long to draw.
    """
    model, vocabularies = translator.model, translator.vocabularies
    encoder, decoder = model.encoder, model.decoder
    if not isinstance(encoder, NtmEncoder) and not isinstance(decoder, NtmDecoder):
        raise UserError(
            "This model has no external memory.", "Train one with the encoder or decoder ntm: algorithmic/copy_ntm."
        )
    source_ids, target_ids = translator.encode_source(source), translator.encode_target(target)
    num_pieces = len(source_ids) + len(target_ids)
    if not source_ids or num_pieces > MAX_WORDS:
        raise UserError(f"A sentence pair of {num_pieces} pieces can't be drawn (1 to {MAX_WORDS}).", "Choose another.")
    batch = make_batch([(source_ids, target_ids)], vocabularies).to(model.device)
    pieces = _names(vocabularies.source, source_ids)
    states: list[MachineState] = []
    read: Sequence[str] = ()
    said: Sequence[str] = ()
    free = decoder.num_free_slots if isinstance(decoder, NtmDecoder) else 0
    slots = [*(f"free-{number + 1}" for number in range(free)), *pieces]
    if isinstance(encoder, NtmEncoder) and not (isinstance(decoder, NtmDecoder) and not decoder.goes_on):
        states += encoder.states(batch.source_BS, batch.source_length_B)
        read, slots = pieces, [str(slot) for slot in range(encoder.num_slots)]
    if isinstance(decoder, NtmDecoder):
        states += decoder.states(batch.target_input_BT, model.encode(batch.source_BS, batch.source_length_B))
        said = _names(vocabularies.target, target_ids)
    return MemoryTrace(
        tuple(read),
        tuple(said),
        tuple(slots),
        _stack([state.write_NHC for state in states]),
        _stack([state.read_NHC for state in states]),
    )


def _names(vocabulary: Vocabulary, ids: Sequence[int]) -> list[str]:
    """Pieces as a picture shows them, and EOS."""
    return [*(vocabulary.token(i).removeprefix(SPACE) or SPACE for i in ids), "</s>"]


def _stack(weights: Sequence[torch.Tensor]) -> Weights:
    """Encoder and decoder may have different numbers of heads; a head that is missing looks at nothing."""
    num_heads = max(weight.shape[1] for weight in weights)
    stacked = np.zeros((num_heads, len(weights), weights[0].shape[2]), dtype=np.float32)
    for step, weight_1HC in enumerate(weights):
        stacked[: weight_1HC.shape[1], step] = weight_1HC[0].float().cpu().numpy()
    return stacked


@quiet_fonts()
def draw_memory(trace: MemoryTrace, dpi: int = 150) -> Figure:
    """A panel for each head, write heads first, of the slots that any head looked at."""
    heads = [(f"write {h + 1}", weights) for h, weights in enumerate(trace.writes_HTC)]
    heads += [(f"read {h + 1}", weights) for h, weights in enumerate(trace.reads_HTC)]
    used = _used_slots([weights for _, weights in heads])
    steps = [visible(step) for step in (*trace.source_steps, *trace.target_steps)]
    slots = [visible(trace.slots[slot]) for slot in used]
    cell = min(0.22, 12 / len(steps), 5 / len(slots))
    width, height, gap = cell * len(steps), cell * len(slots), 0.3
    total = len(heads) * (height + gap) - gap
    figure = Figure(figsize=(width, total), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    families = font_families([*steps, *slots])
    style: dict[str, Any] = {"fontsize": max(min(cell * 72 * 0.55, 9.0), 3.0), "family": families, "color": INK}
    panels: list[Axes] = []
    for number, (name, weights_TC) in enumerate(heads):
        top = 1 - number * (height + gap) / total
        axes = figure.add_axes((0, top - height / total, 1, height / total))
        axes.pcolormesh(weights_TC[:, used].T, cmap=SHADES, norm=Normalize(0, 1))
        panels.append(axes)
        axes.invert_yaxis()
        axes.set_title(name, loc="left", fontsize=9, color=FAINT_INK, family=families, pad=3)
        axes.set_yticks(np.arange(len(slots)) + 0.5, slots, parse_math=False, **style)
        shown = steps if number == len(heads) - 1 else [""] * len(steps)
        axes.set_xticks(np.arange(len(steps)) + 0.5, shown, rotation=90, parse_math=False, **style)
        axes.tick_params(length=0, pad=2)
        _divide(axes, trace)
    bar = figure.add_axes((1 + 0.12 / width, 1 - min(1.2, height) / total, 0.09 / width, min(1.2, height) / total))
    figure.colorbar(ScalarMappable(Normalize(0, 1), SHADES), cax=bar, ticks=[0, 1]).outline.set(linewidth=0.5)
    bar.tick_params(length=2, labelsize=7, colors=FAINT_INK)
    fit(figure, [*panels, bar], dpi)
    return figure


def _used_slots(weights: Sequence[Weights]) -> npt.NDArray[np.int64]:
    """The slots that a head looked at with a twentieth of its weight or more at some step."""
    largest_C = np.max([weights_TC.max(axis=0) for weights_TC in weights], axis=0)
    return np.flatnonzero(largest_C >= min(0.05, largest_C.max()))


def _divide(axes: Axes, trace: MemoryTrace) -> None:
    """A line where the encoder ends and the decoder begins."""
    for spine in axes.spines.values():
        spine.set(color=GRID_OF_FIVE, linewidth=0.8)
    if trace.source_steps and trace.target_steps:
        axes.axvline(len(trace.source_steps), color=INK, linewidth=1)
