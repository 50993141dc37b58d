"""What the commands share: the app, common options, and the message of a run that was stopped."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TextIO

import typer

app = typer.Typer(
    name="nmt",
    help="Neural machine translation, from the vanilla RNN to the Transformer.",
    epilog="Start with: nmt quickstart",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _be_quiet(wanted: bool) -> None:
    if wanted:
        from nmt.console import set_quiet

        set_quiet(True)


def _version(wanted: bool) -> None:
    if wanted:
        from nmt import __version__

        typer.echo(f"nmt {__version__}")
        raise typer.Exit


def _load_plugins(modules: list[str] | None) -> list[str] | None:
    if modules:
        from nmt.plugins import load_plugin

        for module in modules:
            load_plugin(module)
    return modules


Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="MODULE",
        callback=_load_plugins,
        help="Import the components of a module that isn't installed; may be repeated. A plugin runs code with "
        "your rights.",
        show_default=False,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_be_quiet, help="Show no progress bars and messages, only warnings.")
]
Output = Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="File to write; - is standard output.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="The device: auto, cpu, cuda, cuda:1, mps.")]
ModelDir = Annotated[
    Path, typer.Argument(metavar="MODEL_DIR", help="Folder that `nmt train` wrote.", show_default=False)
]
Heads = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Attention heads whose mean is the alignment, as LAYER:HEAD, such as 2:1,2:3.",
        show_default="as MODEL_DIR says",
    ),
]
AttentionStep = Annotated[
    Literal["output", "input"] | None,
    typer.Option(
        help="Use the attention of the step that predicts a word (output) or of the step that reads it (input).",
        show_default="as MODEL_DIR says",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, such as training.max_steps=1000; may be repeated.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def examples(*lines: str) -> str:
    """Epilog of a help page; the backspace tells the formatter to leave the line breaks alone."""
    return "\b\n" + "\n".join((f"Example{'s' if len(lines) > 1 else ''}:", *(f"  {line}" for line in lines)))


@app.callback()
def options(
    quiet: Quiet = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def on_screen(output: str) -> bool:
    """Whether results go to a terminal, where a progress bar would be mixed with them."""
    return output == "-" and is_terminal(sys.stdout)


def is_terminal(stream: TextIO | None) -> bool:
    """Python has None in place of a standard stream that is closed."""
    return stream is not None and stream.isatty()


@contextmanager
def stopped_by_signal(remedy: str) -> Iterator[None]:
    """Turn the interruption of a training run into a message and the exit code of its signal."""
    from nmt.training.interrupts import Interrupted

    try:
        yield
    except Interrupted as stop:
        from nmt.console import say

        say(f"{stop}: stopped, checkpoint saved; {remedy}")
        raise typer.Exit(128 + stop.signal_number) from None
