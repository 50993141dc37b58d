"""``nmt inspect memory``."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.common import Device, Input, ModelDir, command, say_wrote
from nmt.cli.inspect import Limit
from nmt.core.errors import UserError


@command(
    'echo "a c b d" | nmt inspect memory runs/copy_ntm -o memory.png',
    "nmt inspect memory runs/ntm --input test.de -o memory.pdf --limit 5",
    draws=True,
)
def memory(
    model_dir: ModelDir,
    input: Input = "-",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Picture to write: .png, .svg or .pdf.")
    ] = Path("memory.png"),
    limit: Limit = 1,
    device: Device = "auto",
) -> None:
    """Draw where a neural Turing machine writes and reads.

    Its heads write (above) and read (below) as it translates. Time runs to the right, a column a step; the rows are the
    slots of the memory that any head looked at. Below is the attention of the decoder, if it has any. Several lines
    make a page each of a PDF, or numbered pictures: memory-0001.png ….
    """
    from nmt.core.text import read_lines
    from nmt.extensions.algorithmic.memory import draw_memory, trace_memory
    from nmt.plotting.style import suffix_of, write_figures
    from nmt.translation.load import load

    suffix_of(output)  # before the work
    translator = load(model_dir, device)
    lines = list(islice((line for line in read_lines(input) if line.strip()), limit))
    if not lines:
        raise UserError("There is no line to translate.", "Give --input FILE, or text on standard input.")
    traces = (trace_memory(translator, t.source, t.text) for t in translator.translate(lines))
    numbers = range(1, len(lines) + 1) if len(lines) > 1 else [None]
    say_wrote(*write_figures(zip(numbers, map(draw_memory, traces), strict=True), output))
