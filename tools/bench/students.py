"""Size, speed and quality of small models beside their teacher, as a table in Markdown and a picture.

    python tools/bench/students.py runs/teacher runs/student runs/tiny test.de test.en -o students.svg

Every model translates the file on one thread, in batches of 64 sentences: in nmt (float32) and, where it can be
exported, in CTranslate2 (float32 and int8), both also with a shortlist of 10 where the model directory has a lexicon,
with each beam of ``--beams``, and the first model, the teacher, also with a beam of 5. Each model and engine is a
process of its own, which loads the model and translates a few sentences before it takes the time. Each turn goes
through all. The size is that of the weights, the vocabulary and the shortlist. Rows that no other surpasses in both
speed and BLEU are marked ``*``.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turns import run

BATCH_SIZE = 64
TEACHER_BEAM = 5
ENGINES = {
    "nmt": "o",
    "nmt, shortlist": "s",
    "CTranslate2": "^",
    "CTranslate2, int8": "v",
    "CTranslate2, int8, shortlist": "D",
}
"""Engines, and their marks in the picture."""
WARM_UP = 64


@dataclass
class Row:
    """A model in an engine with a beam."""

    model: str
    engine: str
    beam: int
    parameters: int
    megabytes: float
    bleu: float
    speeds: list[float] = field(default_factory=list)

    @property
    def speed(self) -> float:
        return statistics.median(self.speeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL_DIR", help="the teacher first")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("reference", metavar="REFERENCE")
    parser.add_argument("--beams", default="1,2", metavar="N,N")
    parser.add_argument("--turns", type=int, default=3, metavar="N")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="JSON of the measurements, which later calls add to")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="picture to write (.png, .svg or .pdf)")
    parser.add_argument("--measure", metavar="ENGINE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(list(measure(options.models[0], options.measure, options))))
        return
    rows = {}
    if options.rows and options.rows.exists():
        rows = {(row["model"], row["engine"], row["beam"]): Row(**row) for row in json.loads(options.rows.read_text())}
    for turn in range(options.turns):
        for number, model in enumerate(options.models):
            beams = f"{options.beams},{TEACHER_BEAM}" if number == 0 else options.beams
            for engine in ENGINES:
                command = [sys.executable, __file__, model, options.source, options.reference, "--beams", beams]
                for found in json.loads(run([*command, "--measure", engine], f"{model}, {engine}").splitlines()[-1]):
                    speed = found.pop("speed")
                    key = found["model"], found["engine"], found["beam"]
                    rows.setdefault(key, Row(**found)).speeds.append(speed)
        print(f"turn {turn + 1} of {options.turns} done", file=sys.stderr, flush=True)
        if options.rows:
            options.rows.write_text(json.dumps([vars(row) for row in rows.values()], indent=1))
    teacher = rows[Path(options.models[0]).name, "nmt", TEACHER_BEAM]
    print(table(list(rows.values()), teacher))
    if options.output:
        draw(list(rows.values()), options.output)


def measure(model: str, engine: str, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Translates with each beam, once."""
    import sacrebleu
    import torch

    import nmt
    from nmt.core.errors import UserError
    from nmt.core.model_directory import ModelDirectory
    from nmt.extensions.interchange.ct2 import export
    from nmt.extensions.interchange.run import ExportedModel, ExportedSearcher
    from nmt.extensions.interchange.targets import with_decoding

    torch.set_num_threads(1)
    translator, files = nmt.load(model, "cpu"), ModelDirectory(Path(model))
    search: dict[str, Any] = {"batch_size": BATCH_SIZE}
    folder = files.path
    if "shortlist" in engine:
        if not files.lexicon.is_file():
            return
        search["shortlist"] = 10
        translator = with_decoding(translator, **search)
    if "CTranslate2" in engine:
        folder = files.path / engine.lower().replace(", ", "-")
        try:
            if not folder.exists():
                export(translator, folder, "int8" if "int8" in engine else None)
            search = ExportedModel(folder, translator).search
            translator = translator.replaced(searcher=ExportedSearcher(search, translator.searcher))
        except UserError:
            return
    names = ("model.safetensors", "model.bin", "vmap.txt", "vocabulary.model", "source.model", "target.model")
    megabytes = sum(path.stat().st_size for name in names if (path := folder / name).is_file()) / 1e6
    lines = Path(options.source).read_text("utf-8").splitlines()
    references = Path(options.reference).read_text("utf-8").splitlines()
    for beam in map(int, options.beams.split(",")):
        translator.translate(lines[:WARM_UP], beam_size=beam, **search)
        started = time.perf_counter()
        found = translator.translate(lines, beam_size=beam, **search)
        seconds = time.perf_counter() - started
        bleu = sacrebleu.corpus_bleu([each.text for each in found], [references]).score
        yield {
            "model": files.path.name, "engine": engine, "beam": beam, "parameters": translator.model.num_parameters,
            "megabytes": round(megabytes, 2), "bleu": round(bleu, 2), "speed": round(len(lines) / seconds, 1),
        }  # fmt: skip


def is_surpassed(row: Row, rows: Sequence[Row]) -> bool:
    return any(other.speed >= row.speed and other.bleu >= row.bleu and other is not row for other in rows)


def table(rows: Sequence[Row], teacher: Row) -> str:
    """The rows, the fastest first, with speed and BLEU relative to the teacher's."""
    columns = ("model", "engine", "beam", "parameters", "MB", "lines/s", "times the teacher", "BLEU", "difference", "")
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for row in sorted(rows, key=lambda row: -row.speed):
        cells = (
            row.model, row.engine, row.beam, f"{row.parameters:,}", f"{row.megabytes:.1f}", f"{row.speed:,.0f}",
            f"{row.speed / teacher.speed:.1f}", f"{row.bleu:.2f}", f"{row.bleu - teacher.bleu:+.2f}",
            "" if is_surpassed(row, rows) else "*",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draws BLEU by speed; the area of a mark is the size of the model."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter

    from nmt.plotting.style import style, write_figure

    with style():
        figure = Figure(figsize=(7.5, 4.8), layout="constrained")
        axes = figure.subplots()
        models = list(dict.fromkeys(row.model for row in rows))
        for row in rows:
            mark, colour = ENGINES[row.engine], f"C{models.index(row.model)}"
            axes.scatter(row.speed, row.bleu, s=12 * row.megabytes, marker=mark, color=colour, alpha=0.75)
        best = sorted((row for row in rows if not is_surpassed(row, rows)), key=lambda row: row.speed)
        axes.plot([row.speed for row in best], [row.bleu for row in best], color="0.6", linewidth=0.8, zorder=0)
        axes.set_axisbelow(True)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.tick_params(axis="x", which="both", labelrotation=45, labelsize=7)
        axes.set_xlabel("lines per second on one core")
        axes.set_ylabel("BLEU")
        entries = [Line2D([], [], color=f"C{place}", label=model) for place, model in enumerate(models)]
        marks = ((engine, mark) for engine, mark in ENGINES.items() if any(row.engine == engine for row in rows))
        entries += [Line2D([], [], color="0.4", marker=mark, linestyle="", label=engine) for engine, mark in marks]
        figure.legend(handles=entries, fontsize=7, loc="outside right upper")
        write_figure(figure, path)


if __name__ == "__main__":
    main()
