"""``nmt inspect memory``."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import Device, ModelDir, Plugins, Quiet, examples
from nmt.cli.inspect import inspect_app


@inspect_app.command(
    short_help="Draw where a neural Turing machine writes and reads.",
    epilog=examples(
        'echo "a c b d" | nmt inspect memory runs/copy_ntm -o memory.png',
        "nmt inspect memory runs/ntm --input test.de -o memory.pdf --limit 5",
    ),
)
def memory(
    model_dir: ModelDir,
    input: Annotated[
        str, typer.Option("--input", "-i", metavar="FILE", help="Source text; - is standard input.")
    ] = "-",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Picture to write: .png, .svg or .pdf.")
    ] = Path("memory.png"),
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Only so many lines, the first ones.")] = 1,
    device: Device = "auto",
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Draw where the heads of a neural Turing machine write (above) and read (below) as it translates.

    Time runs to the right, a column a step; the rows are the slots of the memory that any head looked at. Several lines
    make a page each of a PDF, or numbered pictures: memory-0001.png ….
    """
    from nmt.console import say
    from nmt.data.text import read_lines
    from nmt.errors import UserError
    from nmt.inspection.memory import trace_memory
    from nmt.loading import load
    from nmt.plotting.memory import draw_memory
    from nmt.plotting.style import suffix_of, write_figures

    suffix_of(output)  # before the work
    translator = load(model_dir, device)
    lines = list(islice((line for line in read_lines(input) if line.strip()), limit))
    if not lines:
        raise UserError("There is no line to translate.", "Give --input FILE, or text on standard input.")
    traces = (trace_memory(translator, t.source, t.text) for t in translator.translate(lines))
    figures = ((number, draw_memory(trace)) for number, trace in enumerate(traces, start=1))
    written = write_figures(figures, output, numbered=len(lines) > 1)
    say(f"wrote {written[0]}" + (f" to {written[-1].name}" if len(written) > 1 else ""))
