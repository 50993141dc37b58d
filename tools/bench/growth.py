"""How time and memory grow with the work: lines, length, batch, beam, vocabulary and parameters.

    python tools/bench/growth.py --points growth.json -o growth.svg

Models with random weights train on, and search for translations of, random sentences of one length. In each series one
size doubles and the others stay as they are in :data:`SIZES`; a sentence is searched for to its highest length. Every
point is a process of its own on one thread in float32: processor time is the least of several repetitions after one
that isn't measured (of what takes seconds there is one alone), and memory the most that the process needed beyond what
it had before. The exponent is the slope of the last three points of a series on logarithmic axes: 1 is proportional.
A measurement that was stopped goes on with the points in its file.
"""

import argparse
import json
import math
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from nmt.core.console import print_table, progress_bar
from nmt.core.output import open_output
from nmt.data.batch import make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.models.build import build
from nmt.models.seq2seq import Seq2Seq
from nmt.plotting.style import style, write_figure
from nmt.recipe.schema import DecodingOptions, Recipe
from nmt.training.objective import Objective
from nmt.translation.translator import Translator

SYSTEMS: dict[str, Callable[[int], dict[str, Any]]] = {
    "Transformer": lambda width: {
        side: {"type": "transformer", "num_layers": 3, "num_heads": 4, "feed_forward_size": 4 * width}
        for side in ("encoder", "decoder")
    },
    "Bahdanau": lambda width: {
        "encoder": {"type": "recurrent", "cell": "lstm", "hidden_size": width, "bidirectional": True},
        "decoder": {"type": "bahdanau", "cell": "lstm", "hidden_size": width, "attention": {"type": "additive"}},
    },
    "Luong": lambda width: {
        "encoder": {"type": "recurrent", "cell": "lstm", "hidden_size": width, "bidirectional": True},
        "decoder": {"type": "luong", "cell": "lstm", "hidden_size": width, "attention": {"type": "general"}},
    },
}
"""The ``model`` part of a recipe by the width of its layers."""


@dataclass(frozen=True)
class Sizes:
    """Of a measurement."""

    lines: int = 16
    length: int = 16
    batch: int = 16
    beam: int = 5
    vocabulary: int = 8_000
    width: int = 256


SIZES = {
    "search": {
        "lines": [16, 32, 64, 128, 256],
        "length": [8, 16, 32, 64, 128, 256, 512, 1024],
        "batch": [1, 2, 4, 8, 16, 32, 64, 128],
        "beam": [1, 2, 4, 8, 16, 32, 64],
        "vocabulary": [2_000, 4_000, 8_000, 16_000, 32_000, 64_000],
        "width": [64, 128, 256, 512, 1024],
    },
    "training": {
        "length": [8, 16, 32, 64, 128, 256, 512, 1024],
        "batch": [1, 2, 4, 8, 16, 32, 64, 128],
        "vocabulary": [2_000, 4_000, 8_000, 16_000, 32_000, 64_000],
        "width": [64, 128, 256, 512, 1024],
    },
}
LABELS = {
    "lines": "lines, 16 at a time",
    "length": "tokens of a sentence, {batch} sentences",
    "batch": "sentences at a time",
    "beam": "beam size",
    "vocabulary": "target vocabulary",
    "width": "parameters",
}
LONG = 4
"""Sentences at a time where their length grows."""
ENOUGH = 5.0
"""Seconds after which nothing is repeated."""


class Point(NamedTuple):
    """What a size costs."""

    at: int
    """The size; for the width the number of parameters."""
    seconds: float
    mebibytes: float


def measured(work: str, system: str, sizes: Sizes, repeat: int) -> tuple[int, float, float]:
    """Parameters, processor seconds of one search or update, and MiB, in this process."""
    torch.set_num_threads(1)
    before = resident()
    model, vocabularies, recipe = made(system, sizes)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    run = (search_work if work == "search" else training_work)(model, vocabularies, recipe, sizes)
    seconds: list[float] = []
    while len(seconds) <= repeat and sum(seconds) < ENOUGH:
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return num_parameters, min(seconds[1:] or seconds), most - before


def made(system: str, sizes: Sizes) -> tuple[Seq2Seq, Vocabularies, Recipe]:
    """A model with random weights."""
    torch.manual_seed(1)
    words = WordVocabulary([f"w{number}" for number in range(sizes.vocabulary - 4)])
    vocabularies = Vocabularies(WordVocabulary(["a", "b", "c", "d"]), words)
    recipe = Recipe.model_validate(
        {
            "data": {"source": "a", "target": "b", "task": {"type": "copy"}, "max_length": 2048},
            "model": {"embedding_size": sizes.width, **SYSTEMS[system](sizes.width)},
            "training": {"max_steps": 1},
        }
    )
    return build(recipe, vocabularies), vocabularies, recipe


def search_work(model: Seq2Seq, vocabularies: Vocabularies, recipe: Recipe, sizes: Sizes) -> Callable[[], Any]:
    """Translate all lines; no hypothesis ends before the highest length, which is that of the source plus one."""
    with torch.no_grad():
        model.decoder.output.bias_V[vocabularies.target.eos] = -1e4
    decoding = DecodingOptions(beam_size=sizes.beam, batch_size=sizes.batch, max_length_ratio=1, max_length_extra=1)
    recipe = recipe.model_copy(update={"decoding": decoding})
    translator = Translator(model.eval(), vocabularies, recipe, "fp32")
    lines = [" ".join("abcd"[(row + at) % 4] for at in range(sizes.length)) for row in range(sizes.lines)]
    return lambda: translator.translate(lines)


def training_work(model: Seq2Seq, vocabularies: Vocabularies, recipe: Recipe, sizes: Sizes) -> Callable[[], Any]:
    """One update."""
    draw = np.random.default_rng(1)
    pairs = [
        (draw.integers(4, 8, sizes.length).tolist(), draw.integers(4, sizes.vocabulary, sizes.length).tolist())
        for _ in range(sizes.batch)
    ]
    batch, objective = make_batch(pairs, vocabularies), Objective(model, recipe.training, "fp32")
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def update() -> None:
        (objective(batch).total / batch.num_target_tokens).backward()
        optimizer.step()
        optimizer.zero_grad()

    return update


def resident() -> float:
    """MiB of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def in_own_process(work: str, system: str, sizes: Sizes, repeat: int) -> tuple[int, float, float]:
    """:func:`measured` in a process that is forked from this one, which never computes."""

    def send(to: Connection) -> None:
        to.send(measured(work, system, sizes, repeat))

    forking = multiprocessing.get_context("fork")
    here, there = forking.Pipe(duplex=False)
    process = forking.Process(target=send, args=(there,))
    process.start()
    there.close()
    try:
        return here.recv()  # type: ignore[no-any-return]
    except EOFError:
        raise SystemExit(f"{work} of {system} with {sizes} failed") from None
    finally:
        process.join()


def exponent(ats: Sequence[float], costs: Sequence[float]) -> float:
    """The slope of the last three points on logarithmic axes; NaN where a cost is too small to be measured."""
    if min(costs[-3:]) <= 0:
        return math.nan
    return float(np.polyfit(np.log(ats[-3:]), np.log(costs[-3:]), 1)[0])


def draw(series: Mapping[tuple[str, str, str], Sequence[Point]]) -> Figure:
    """A row for each size, and a column each for time and memory of each work."""
    works, names = list(SIZES), list(LABELS)
    with style():
        figure = Figure(figsize=(2.3 * 2 * len(works), 1.9 * len(names)), layout="constrained")
        grid = figure.subplots(len(names), 2 * len(works), squeeze=False).T
        for column, (work, quantity) in enumerate((work, quantity) for work in works for quantity in Point._fields[1:]):
            for axes, name in zip(grid[column], names, strict=True):
                lines = {system: points for (of, by, system), points in series.items() if (of, by) == (work, name)}
                axes.set_visible(bool(lines))
                for system, points in lines.items():
                    ats, costs = [point.at for point in points], [getattr(point, quantity) for point in points]
                    axes.plot(ats, costs, marker=".", label=f"{system}, {exponent(ats, costs):.2f}")
                axes.set(xscale="log", yscale="log")
                for axis, formatter in ((axes.xaxis, EngFormatter(sep="")), (axes.yaxis, "{x:,g}")):
                    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=5))
                    axis.set_major_formatter(formatter)
                    axis.set_minor_formatter(NullFormatter())
                axes.set_title(f"{work}: {'processor time, s' if quantity == 'seconds' else 'memory, MiB'}", fontsize=8)
                axes.set_xlabel(LABELS[name].format(batch=LONG), fontsize=8)
                if lines:
                    axes.legend(fontsize=6, loc="upper left")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="picture to write (.png, .svg or .pdf)")
    parser.add_argument("--points", type=Path, metavar="FILE", help="JSON file that keeps what was measured")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument("--sizes", nargs="+", choices=list(LABELS), default=list(LABELS), metavar="SIZE")
    parser.add_argument("--most", type=int, default=1 << 30, metavar="N", help="leave out larger sizes")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="repetitions, of which the best counts (3)")
    options = parser.parse_args()
    keys = [
        (work, name, system)
        for work, by_size in SIZES.items()
        for name in by_size
        if name in options.sizes
        for system in options.systems
    ]
    series: dict[tuple[str, str, str], list[Point]] = {}
    known: dict[str, Any] = {}
    if options.points and options.points.exists():
        known = json.loads(options.points.read_text("utf-8"))
    with progress_bar("measuring", len(keys)) as bar:
        for work, name, system in bar.counted(keys):
            points = series[work, name, system] = []
            for size in SIZES[work][name]:
                if size > options.most and len(points) > 1:
                    break
                changed = {name: size} | ({"batch": LONG, "lines": LONG} if name == "length" else {})
                changed |= {"lines": size} if name == "batch" else {}
                place = f"{work} {name} {system} {size}"
                if place not in known:
                    known[place] = in_own_process(work, system, Sizes(**changed), options.repeat)
                    if options.points:
                        with open_output(options.points) as file:
                            json.dump(known, file, indent=1)
                found = known[place]
                points.append(Point(found[0] if name == "width" else size, *found[1:]))
    rows = []
    for (work, name, system), points in series.items():
        ats, first, last = [point.at for point in points], points[0], points[-1]
        costs = [f"{low:,.3g} – {high:,.3g}" for low, high in zip(first[1:], last[1:], strict=True)]
        slopes = [f"{exponent(ats, [getattr(point, kind) for point in points]):.2f}" for kind in Point._fields[1:]]
        label = LABELS[name].format(batch=LONG)
        rows.append((work, label, system, f"{ats[0]:,} – {ats[-1]:,}", *costs, *slopes))
    print_table("", ("work", "size", "system", "from – to", "time, s", "memory, MiB", "of time", "of memory"), rows)
    if options.output:
        write_figure(draw(series), options.output)


if __name__ == "__main__":
    main()
